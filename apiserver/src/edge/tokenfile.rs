//! The file of static tokens, read again when it changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::authn::fixed::{Problem, Table};
use crate::user::User;

/// The file is looked at this often at most, and only when a token is shown.
const PAUSE: Duration = Duration::from_secs(1);

/// Larger files are no lists of tokens.
const BYTES_MAX: u64 = 4 << 20;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no list of tokens.
    #[error("{0}")]
    Line(#[from] Problem),
}

/// What tells one state of a file from another.
type Mark = (Option<SystemTime>, u64);

/// The file and what it held when it was last good.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Table,
    mark: Mark,
    looked: Instant,
    generation: u64,
}

impl TokenFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be read, or a line is wrong.
    pub(crate) fn open(path: PathBuf) -> Result<Self, FileError> {
        let mark = mark(&path)?;
        let table = read(&path)?;
        let looked = Instant::now();
        Ok(Self {
            path,
            state: Mutex::new(State {
                table,
                mark,
                looked,
                generation: 0,
            }),
        })
    }

    /// The user of a token.
    pub(crate) fn user(&self, token: &str, now: Instant) -> Option<User> {
        self.fresh(now).table.user(token).cloned()
    }

    /// Grows when the file has changed.
    pub(crate) fn generation(&self, now: Instant) -> u64 {
        self.fresh(now).generation
    }

    fn fresh(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(state.looked) >= PAUSE {
            state.looked = now;
            self.refresh(&mut state);
        }
        state
    }

    /// A file that is being written, or was damaged, changes nothing until it is good again.
    fn refresh(&self, state: &mut State) {
        let changed = match mark(&self.path) {
            Ok(mark) if mark == state.mark => return,
            Ok(mark) => read(&self.path).map(|table| (mark, table)),
            Err(error) => Err(error.into()),
        };
        match changed {
            Ok((mark, table)) => {
                tracing::info!(path = %self.path.display(), "static tokens read again");
                (state.mark, state.table) = (mark, table);
                state.generation += 1;
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "static tokens stay as they were");
            }
        }
    }
}

fn mark(path: &Path) -> io::Result<Mark> {
    let metadata = fs::metadata(path)?;
    if metadata.len() > BYTES_MAX {
        return Err(io::Error::other("larger than 4 MiB"));
    }
    Ok((metadata.modified().ok(), metadata.len()))
}

fn read(path: &Path) -> Result<Table, FileError> {
    Ok(Table::parse(&fs::read_to_string(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_and_damage_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.csv");
        fs::write(&path, "t1,alice,1").unwrap();
        let file = TokenFile::open(path.clone()).unwrap();
        let now = Instant::now();
        let at =
            |pauses: u32, token: &str| file.user(token, now + PAUSE * pauses).map(|user| user.name);
        assert_eq!(at(0, "t1").as_deref(), Some("alice"));
        fs::write(&path, "t2,bob-the-second,1").unwrap();
        assert_eq!(at(0, "t2"), None, "not looked at yet");
        assert_eq!(at(2, "t2").as_deref(), Some("bob-the-second"));
        assert_eq!(at(2, "t1"), None);
        fs::write(&path, "t2").unwrap();
        assert_eq!(
            at(4, "t2").as_deref(),
            Some("bob-the-second"),
            "stays as it was"
        );
        fs::remove_file(&path).unwrap();
        assert_eq!(at(6, "t2").as_deref(), Some("bob-the-second"));
        assert!(matches!(TokenFile::open(path), Err(FileError::Io(_))));
    }
}
