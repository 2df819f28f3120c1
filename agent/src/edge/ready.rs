//! Waits until a descriptor of the kernel is readable.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::net::unix::pipe::Receiver;

/// A descriptor that can be waited for.
///
/// tokio's general `AsyncFd` is unsafe to make; its pipe takes any owned descriptor, and waits for
/// a process or an inotify instance just as well, since all three are epoll's to watch.
#[derive(Debug)]
pub(crate) struct Ready(Receiver);

impl Ready {
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        Receiver::from_owned_fd_unchecked(descriptor).map(Self)
    }

    pub(crate) fn get_ref(&self) -> impl AsFd + '_ {
        self.0.as_fd()
    }

    /// Returns when the descriptor is readable.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads what is there and forgets it; false when nothing is, and then waits anew.
    pub(crate) fn drain(&self, buffer: &mut [u8]) -> io::Result<bool> {
        match self
            .0
            .try_io(|| Ok(rustix::io::read(&self.0, &mut *buffer)?))
        {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }
}
