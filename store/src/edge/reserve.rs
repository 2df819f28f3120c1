//! Disk space kept back for the checkpoint that a full disk would otherwise prevent: without it nothing
//! is purged from the log, and without purging even deletions stop in the end.
//!
//! While it is given away the log makes nothing new, or it would take what was given; afterwards only what it cannot go
//! on without.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::edge::files::{self, is_full};
use crate::edge::log::LogStore;
use crate::edge::wal::pool::Claim;

const NAME: &str = "reserve";

/// The space kept back in a data directory.
pub(crate) struct Reserve {
    dir: PathBuf,
    /// What it should have.
    wanted: u64,
    log: LogStore,
    is_wanting: AtomicBool,
}

impl Reserve {
    /// Nothing is taken yet.
    pub(crate) fn new(dir: &Path, bytes: u64, log: LogStore) -> Self {
        Self {
            dir: dir.to_owned(),
            wanted: bytes,
            log,
            is_wanting: AtomicBool::new(false),
        }
    }

    /// What it has at present.
    pub(crate) fn bytes(&self) -> u64 {
        fs::metadata(path(&self.dir)).map_or(0, |it| it.len())
    }

    /// Whether it could not be taken, or was given away since.
    pub(crate) fn is_wanting(&self) -> bool {
        self.is_wanting.load(Ordering::Relaxed)
    }

    /// Takes the space, unless it is taken. Blocks.
    pub(crate) fn take(&self) {
        match ensure(&self.dir, self.wanted) {
            Ok(()) => self.claims(Claim::Nothing),
            Err(error) if is_full(&error) => {
                if !self.is_wanting() {
                    tracing::warn!(%error, "no disk space can be kept in reserve; the log is not to grow until it can");
                }
                self.claims(Claim::Later);
            }
            Err(error) => tracing::warn!(%error, "no disk space can be kept in reserve"),
        }
    }

    /// Gives the space to who asks, and to nobody else until it is taken again. True if there was any. Blocks.
    pub(crate) fn give(&self) -> bool {
        if self.wanted > 0 {
            self.claims(Claim::Now);
        }
        release(&self.dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "the disk space kept in reserve cannot be given back");
            false
        })
    }

    fn claims(&self, claim: Claim) {
        let wanting = claim != Claim::Nothing;
        self.is_wanting.store(wanting, Ordering::Relaxed);
        self.log.leave(claim);
    }
}

fn ensure(dir: &Path, bytes: u64) -> io::Result<()> {
    let path = path(dir);
    if bytes == 0 || fs::metadata(&path).is_ok_and(|it| it.len() >= bytes) {
        return Ok(());
    }
    // An attempt that fails half-way would take from others what they need meanwhile.
    files::require(dir, bytes)?;
    let fresh = path.with_extension("new");
    let taken = claim(&fresh, bytes).and_then(|()| fs::rename(&fresh, &path));
    if taken.is_err() {
        fs::remove_file(&fresh).ok();
    }
    taken
}

fn release(dir: &Path) -> io::Result<bool> {
    match fs::remove_file(path(dir)) {
        Ok(()) => files::sync_dir(dir).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

fn claim(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::create(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&file, bytes)?,
        claimed => claimed?,
    }
    file.sync_all()
}

/// Zeros, because a hole would take no space.
fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(zeros.len() as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn space_is_taken_once_and_given_back() {
        let dir = tempfile::TempDir::new().unwrap();
        assert!(!release(dir.path()).unwrap());
        for _ in 0..2 {
            ensure(dir.path(), 3 << 20).unwrap();
            let taken = fs::metadata(path(dir.path())).unwrap();
            assert_eq!(taken.len(), 3 << 20);
            assert!(taken.blocks() * 512 >= 3 << 20, "a hole takes no space");
        }
        assert!(release(dir.path()).unwrap());
        assert!(!release(dir.path()).unwrap());
        ensure(dir.path(), 0).unwrap();
        assert!(!path(dir.path()).exists());
    }

    #[test]
    fn what_the_disk_does_not_have_is_not_tried() {
        let dir = tempfile::TempDir::new().unwrap();
        let refused = ensure(dir.path(), u64::MAX).unwrap_err();
        assert!(is_full(&refused), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
