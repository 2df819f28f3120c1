//! Waits for files to change, without polling.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::ready::Ready;

/// Tells when something in its set of files and directories has changed.
#[derive(Debug)]
pub(crate) struct Changes(Ready);

impl Changes {
    pub(crate) fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self(Ready::new(descriptor)?))
    }

    /// Watches the content of a file.
    pub(crate) fn add_file(&self, path: &Path) -> io::Result<()> {
        inotify::add_watch(self.0.get_ref(), path, WatchFlags::MODIFY)?;
        Ok(())
    }

    /// Watches for files that appear in a directory, or the directory's end.
    pub(crate) fn add_dir(&self, path: &Path) -> io::Result<()> {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
        inotify::add_watch(self.0.get_ref(), path, flags)?;
        Ok(())
    }

    /// Returns once something has changed since the last return.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            self.0.readable().await?;
            if self.0.drain(&mut buffer)? {
                return Ok(());
            }
        }
    }
}
