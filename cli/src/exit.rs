//! How a command ends: exit codes scripts can use, and the one function that prints an error.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// What the exit code says. `docs/cli.md` lists them for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It did not work.
    Failure = 1,
    /// The command line itself is wrong. clap uses the same number.
    Usage = 2,
    /// A named object does not exist.
    NotFound = 3,
    /// A wait reached its `--timeout`; the number is that of timeout(1).
    Timeout = 124,
}

/// Why a command ends with an error: what was wrong, the cause, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
    quiet: bool,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            code: Code::Failure,
            what: what.into(),
            cause: None,
            hint: None,
            quiet: false,
        }
    }

    /// A command line that asks for something impossible; exit code 2.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(what).with_code(Code::Usage)
    }

    /// Ends with this exit code and says nothing: what is to be said was printed.
    pub(crate) fn silent(code: Code) -> Self {
        Self {
            quiet: true,
            ..Self::new("").with_code(code)
        }
    }

    /// Sets the exit code.
    pub(crate) const fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Adds the error underneath.
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what the user can do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    pub(crate) const fn code(&self) -> Code {
        self.code
    }

    /// Prints the chain and the hint on standard error and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.quiet {
            eprintln!("error: {}", self.text());
        }
        ExitCode::from(self.code as u8)
    }

    /// What was wrong, its causes, and what to do next, each cause once.
    pub(crate) fn text(&self) -> String {
        let mut text = self.what.clone();
        let mut next: Option<&dyn Error> = self.cause.as_ref().map(|c| c.as_ref() as &dyn Error);
        while let Some(cause) = next {
            let words = cause.to_string();
            // Many libraries repeat their source in their own text.
            if !text.contains(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            next = cause.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str("\n  ");
            text.push_str(&hint.replace('\n', "\n  "));
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // Whoever read our output has seen enough (`stoa get ... | head`).
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self {
            quiet,
            ..Self::new("input or output failed").because(error)
        }
    }
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_each_cause_once_and_what_to_do() {
        let io = std::io::Error::other("disk on fire");
        let failure = Failure::new("cannot write x")
            .because(io)
            .hint("use another disk");
        assert_eq!(
            failure.text(),
            "cannot write x: disk on fire\n  use another disk"
        );
        let repeated = Failure::new("a: b").because("b");
        assert_eq!(repeated.text(), "a: b");
    }
}
