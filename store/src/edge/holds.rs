//! Followers that are sent a snapshot need the log behind it next. It must not be forgotten meanwhile, or they would need
//! another snapshot, and so on without end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// From the end of a snapshot to the first entries behind it. From then on consensus keeps what it is sending, until
/// the stream breaks.
const GRACE: Duration = Duration::from_secs(5);

/// What of the log is held. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    held: BTreeMap<u64, Hold>,
}

#[derive(Debug)]
struct Hold {
    /// The last entry that is in the snapshot.
    upto: u64,
    /// Known once the snapshot has arrived.
    ends: Option<Instant>,
}

/// A snapshot on its way.
#[derive(Debug)]
pub(crate) struct Held {
    holds: Holds,
    number: u64,
}

impl Holds {
    /// Holds the entries after this one until the result is dropped, or a moment after the snapshot has arrived.
    pub(crate) fn hold(&self, upto: u64) -> Held {
        let mut table = self.table();
        let number = table.next;
        table.next += 1;
        table.held.insert(number, Hold { upto, ends: None });
        Held {
            holds: self.clone(),
            number,
        }
    }

    /// The last entry that nobody needs; none when that is any.
    pub(crate) fn free(&self, now: Instant) -> Option<u64> {
        let held = &mut self.table().held;
        held.retain(|_, hold| hold.ends.is_none_or(|ends| now < ends));
        held.values().map(|hold| hold.upto).min()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The follower has the snapshot, and is sent what comes behind it next.
    pub(crate) fn arrived(self, now: Instant) {
        if let Some(hold) = self.holds.table().held.get_mut(&self.number) {
            hold.ends = Some(now + GRACE);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = &mut self.holds.table().held;
        if held
            .get(&self.number)
            .is_some_and(|hold| hold.ends.is_none())
        {
            held.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_held_until_a_moment_after_the_snapshot() {
        let holds = Holds::default();
        let now = Instant::now();
        assert_eq!(holds.free(now), None);
        let late = holds.hold(20);
        let early = holds.hold(10);
        assert_eq!(holds.free(now), Some(10));
        early.arrived(now);
        assert_eq!(holds.free(now), Some(10), "it is only just there");
        assert_eq!(holds.free(now + GRACE), Some(20));
        drop(late);
        assert_eq!(holds.free(now), None, "its successor has a newer one");
    }
}
