//! What all clients of a run share: the replicas and their lives, one clock, and the record.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::check::history::{Call, Final, History, Nanos, Replica, Watch};
use crate::node::Client;
use crate::rig::Stores;
use crate::{Fault, Outcome};

/// The replicas, the clock, and the record.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) seats: Vec<Seat>,
    /// Cancelled when nobody shall begin anything new.
    pub(super) stop: CancellationToken,
    start: Instant,
    lives: AtomicU32,
    calls: Mutex<Vec<Call>>,
    watches: Mutex<Vec<Watch>>,
}

/// A replica, in whichever life it is.
#[derive(Debug)]
pub(super) struct Seat {
    name: String,
    pub(super) client: Client,
    life: AtomicU32,
}

impl Scene {
    pub(super) fn new(stores: &Stores) -> Outcome<Self> {
        let names = stores.names();
        let mut seats = Vec::new();
        for (name, life) in names.into_iter().zip(0..) {
            seats.push(Seat {
                client: stores.client(&name)?,
                name,
                life: AtomicU32::new(life),
            });
        }
        Ok(Self {
            lives: AtomicU32::new(u32::try_from(seats.len())?),
            seats,
            stop: CancellationToken::new(),
            start: Instant::now(),
            calls: Mutex::default(),
            watches: Mutex::default(),
        })
    }

    /// Now, by the clock all share.
    pub(super) fn now(&self) -> Nanos {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The replica begins another life. To be said while it does not run.
    pub(super) fn reborn(&self, name: &str) -> Outcome<()> {
        let seat = self.seats.iter().find(|seat| seat.name == name);
        let seat = seat.ok_or_else(|| Fault::new(format!("`{name}` is not in the scene")))?;
        seat.life.store(self.another(), Ordering::SeqCst);
        Ok(())
    }

    /// A life that nobody had.
    fn another(&self) -> u32 {
        self.lives.fetch_add(1, Ordering::SeqCst)
    }

    /// The life a call met, given the one before it: when it changed meanwhile, nobody knows which.
    pub(super) fn met(&self, seat: &Seat, before: Replica) -> Replica {
        if seat.replica() == before {
            before
        } else {
            Replica(self.another())
        }
    }

    pub(super) fn record(&self, call: Call) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
    }

    pub(super) fn record_watch(&self, watch: Watch) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.push(watch);
    }

    /// Everything recorded, with this end.
    pub(super) fn history(&self, end: Final) -> History {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        History {
            base: crate::check::history::Snapshot::default(),
            calls: std::mem::take(&mut *calls),
            watches: std::mem::take(&mut *watches),
            end,
        }
    }
}

impl Seat {
    pub(super) fn replica(&self) -> Replica {
        Replica(self.life.load(Ordering::SeqCst))
    }
}
