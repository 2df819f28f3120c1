//! Ports of this machine: wished ones where they are free, and never one that another `up`, which is
//! about to use it, has chosen at the same moment.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;

use rustix::fs::{FlockOperation, flock};

use crate::exit::{Failure, Outcome};

/// Tries to find a free port before giving up.
const TRIES: usize = 64;

/// Chosen ports, each held by a lock file until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: Vec<File>,
}

impl Ports {
    /// The wished port if nobody has it, otherwise any free one; never one of `taken`.
    pub(crate) fn pick(&mut self, wish: u16, taken: &BTreeSet<u16>) -> Outcome<u16> {
        if !taken.contains(&wish)
            && TcpListener::bind(("127.0.0.1", wish)).is_ok()
            && self.hold(wish)
        {
            return Ok(wish);
        }
        for _ in 0..TRIES {
            let listener = TcpListener::bind(("127.0.0.1", 0))
                .map_err(|e| Failure::new("no port of 127.0.0.1 is free").because(e))?;
            let port = listener.local_addr()?.port();
            if !taken.contains(&port) && self.hold(port) {
                return Ok(port);
            }
        }
        Err(Failure::new("no port of 127.0.0.1 is free"))
    }

    /// False when another `up` holds the port. Where no lock can be had at all, for lack of
    /// permission, things are as if there were none.
    fn hold(&mut self, port: u16) -> bool {
        let folder = std::env::temp_dir().join("stoa-ports");
        let file = fs::create_dir_all(&folder).and_then(|()| {
            let mut options = OpenOptions::new();
            options
                .create(true)
                .truncate(false)
                .write(true)
                .open(folder.join(port.to_string()))
        });
        let Ok(file) = file else { return true };
        let free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if free {
            self.held.push(file);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_replaced() {
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        assert_ne!(
            Ports::default().pick(taken, &BTreeSet::new()).unwrap(),
            taken
        );
    }

    #[test]
    fn two_that_choose_at_once_choose_differently() {
        let (mut one, mut other) = (Ports::default(), Ports::default());
        let port = one.pick(0, &BTreeSet::new()).unwrap();
        assert_ne!(other.pick(port, &BTreeSet::new()).unwrap(), port);
        drop(one);
        assert_eq!(other.pick(port, &BTreeSet::new()).unwrap(), port);
    }
}
