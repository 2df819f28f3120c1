//! Who is told that the log is durable.

use std::io;

use openraft::storage::IOFlushed;
use tokio::sync::{oneshot, watch};

use crate::raft::Types;
use crate::wal::Position;

/// Somebody who must know when everything written before is durable.
pub(crate) enum Waiter {
    /// Entries, of which this is the last.
    Raft(IOFlushed<Types>, Position),
    Caller(oneshot::Sender<io::Result<()>>),
}

/// Tells them all how it went, and everybody which entry is the last that is durable.
pub(crate) fn complete(
    waiters: &mut Vec<Waiter>,
    result: &io::Result<()>,
    durable: &watch::Sender<Position>,
) {
    let mut last = None;
    for waiter in waiters.drain(..) {
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        match waiter {
            Waiter::Raft(flushed, at) => {
                last = result.is_ok().then_some(at);
                flushed.io_completed(result);
            }
            // The caller may have gone away; the write stands regardless.
            Waiter::Caller(done) => drop(done.send(result)),
        }
    }
    if let Some(last) = last {
        durable.send_replace(last);
    }
}
