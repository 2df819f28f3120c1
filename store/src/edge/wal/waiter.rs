//! Who is told that the log is durable.

use std::io;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use crate::raft::Types;

/// Somebody who must know when everything written before is durable.
pub(crate) enum Waiter {
    Raft(IOFlushed<Types>),
    Caller(oneshot::Sender<io::Result<()>>),
}

/// Tells them all how it went.
pub(crate) fn complete(waiters: &mut Vec<Waiter>, result: &io::Result<()>) {
    for waiter in waiters.drain(..) {
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        match waiter {
            Waiter::Raft(flushed) => flushed.io_completed(result),
            // The caller may have gone away; the write stands regardless.
            Waiter::Caller(done) => drop(done.send(result)),
        }
    }
}
