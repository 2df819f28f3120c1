//! What a proof that did not hold says: one sentence, with the last reason that was seen.

use std::fmt;

/// Result of a step of a proof.
pub type Outcome<T> = Result<T, Fault>;

/// A step that did not hold, in words.
pub struct Fault(String);

impl Fault {
    /// A fault with this account of itself.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Says what was being done when the fault was met.
    #[must_use]
    pub fn while_doing(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tests print a fault through `{:?}`; the plain sentence is what a reader wants there as well.
impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Any error ends as the chain of its causes.
impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            cause = inner.source();
        }
        Self(text)
    }
}

/// A fault unless `holds`.
///
/// # Errors
/// The sentence made by `what`, when the condition does not hold.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(Fault(what())) }
}
