//! Waiting until this replica has come far enough. Each waiter is woken once, when its own level is
//! reached: with a thousand writers in flight, waking all of them at every batch would cost more than
//! the writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// A level that only rises.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    level: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By level, then in order of arrival.
    queue: BTreeMap<(u64, u64), oneshot::Sender<()>>,
}

impl Gate {
    /// Waits until the level is reached; false when the time is over.
    pub(crate) async fn reached(&self, level: u64, limit: Duration) -> bool {
        let Some((place, wait)) = self.queue(level) else {
            return true;
        };
        let _leave = Leave { gate: self, place };
        matches!(tokio::time::timeout(limit, wait).await, Ok(Ok(())))
    }

    /// Raises the level and wakes those it lets through.
    pub(crate) fn raise(&self, level: u64) {
        let mut waiting = self.lock();
        self.level.fetch_max(level, Ordering::Release);
        while let Some(first) = waiting.queue.first_entry() {
            if first.key().0 > level {
                return;
            }
            // One that gave up is gone.
            first.remove().send(()).ok();
        }
    }

    /// A place in the queue, or none when the level is reached already.
    fn queue(&self, level: u64) -> Option<((u64, u64), oneshot::Receiver<()>)> {
        if self.level.load(Ordering::Acquire) >= level {
            return None;
        }
        let mut waiting = self.lock();
        // Again, under the lock under which it is raised.
        if self.level.load(Ordering::Acquire) >= level {
            return None;
        }
        let (woken, wait) = oneshot::channel();
        let place = (level, waiting.next);
        waiting.next += 1;
        waiting.queue.insert(place, woken);
        Some((place, wait))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a waiter out of the queue, however its wait ended.
struct Leave<'a> {
    gate: &'a Gate,
    place: (u64, u64),
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.gate.lock().queue.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn waiters_are_woken_at_their_level_and_leave_nothing_behind() {
        let gate = Gate::default();
        gate.raise(2);
        assert!(gate.reached(2, Duration::ZERO).await);
        assert!(!gate.reached(3, Duration::from_millis(1)).await);
        let low = gate.reached(3, LONG);
        let high = gate.reached(9, LONG);
        let raise = async {
            gate.raise(5);
            assert_eq!(gate.lock().queue.len(), 1);
            gate.raise(9);
        };
        assert_eq!(tokio::join!(low, high, raise), (true, true, ()));
        assert!(gate.lock().queue.is_empty());
        // Lower levels neither lower it nor wake anybody.
        gate.raise(1);
        assert!(gate.reached(9, Duration::ZERO).await);
    }
}
