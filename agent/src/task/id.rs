//! `RunId`: the name of one run of one task.

use std::fmt;
use std::str::FromStr;

/// One run: the task's uid and its attempt. The agent never starts the same run twice.
///
/// Ordered by uid first, so that the runs of one task are neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    uid: String,
    attempt: u32,
}

/// Longest uid taken; a UUID has 36 characters.
const UID_MAX: usize = 64;

impl RunId {
    /// The run's name, or `None` when the uid could not be a directory name: uids become paths
    /// here, and a server is not trusted to write outside of the agent's own directory.
    #[must_use]
    pub fn new(uid: &str, attempt: u32) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = !uid.is_empty() && uid.len() <= UID_MAX && uid.bytes().all(plain);
        fits.then(|| Self {
            uid: uid.to_owned(),
            attempt,
        })
    }

    /// `metadata.uid` of the task.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Runs begun before this one.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// `<uid>.<attempt>`: the name of the run's directories and cgroups.
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.uid, self.attempt)
    }
}

/// A text that names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a run; its form is <uid>.<attempt>")]
pub struct NotARun(String);

impl FromStr for RunId {
    type Err = NotARun;

    fn from_str(text: &str) -> Result<Self, NotARun> {
        let wrong = || NotARun(text.to_owned());
        let (uid, attempt) = text.rsplit_once('.').ok_or_else(wrong)?;
        let attempt = attempt.parse().map_err(|_not_a_number| wrong())?;
        Self::new(uid, attempt).ok_or_else(wrong)
    }
}
