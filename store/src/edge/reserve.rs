//! Disk space kept back for the checkpoint that a full disk would otherwise prevent: without it nothing
//! is purged from the log, and without purging even deletions stop in the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::edge::files;

const NAME: &str = "reserve";

/// Takes the space, unless it is taken. Blocks. Fails when there is none.
pub(crate) fn ensure(dir: &Path, bytes: u64) -> io::Result<()> {
    let path = path(dir);
    if bytes == 0 || fs::metadata(&path).is_ok_and(|it| it.len() >= bytes) {
        return Ok(());
    }
    let fresh = path.with_extension("new");
    let written = fill(&fresh, bytes).and_then(|()| fs::rename(&fresh, &path));
    if written.is_err() {
        fs::remove_file(&fresh).ok();
    }
    written
}

/// Gives the space back. True if there was any. Blocks.
pub(crate) fn release(dir: &Path) -> io::Result<bool> {
    match fs::remove_file(path(dir)) {
        Ok(()) => files::sync_dir(dir).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Zeros, because a hole would take no space.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_taken_once_and_given_back() {
        let dir = tempfile::TempDir::new().unwrap();
        assert!(!release(dir.path()).unwrap());
        for _ in 0..2 {
            ensure(dir.path(), 3 << 20).unwrap();
            assert_eq!(fs::metadata(path(dir.path())).unwrap().len(), 3 << 20);
        }
        assert!(release(dir.path()).unwrap());
        assert!(!release(dir.path()).unwrap());
        ensure(dir.path(), 0).unwrap();
        assert!(!path(dir.path()).exists());
    }
}
