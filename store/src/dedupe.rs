//! Which transactions were decided recently, so that a retry is answered and not applied again.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::item::Revision;
use crate::txn::TxnOutcome;

/// Ids kept at most. At 5,000 writes a second this covers 13 s, more than a proposer retries.
const COUNT_MAX: usize = 65_536;
/// Ids kept whatever their stamps say, so that one proposer whose clock runs ahead cannot make
/// the table forget everybody else's writes.
const COUNT_MIN: usize = 4_096;
/// Proposers give up after 10 s; the rest is slack for their clocks.
const AGE_MAX_MS: u64 = 60_000;

/// An outcome without the item it may have carried: that is looked up again when asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Remembered {
    Applied {
        revision: Revision,
        revisions: Vec<Revision>,
    },
    Refused {
        guard: usize,
        revision: Revision,
    },
}

impl From<&TxnOutcome> for Remembered {
    fn from(outcome: &TxnOutcome) -> Self {
        match outcome {
            TxnOutcome::Applied {
                revision,
                revisions,
            } => Self::Applied {
                revision: *revision,
                revisions: revisions.clone(),
            },
            TxnOutcome::Refused {
                guard, revision, ..
            } => Self::Refused {
                guard: *guard,
                revision: *revision,
            },
        }
    }
}

/// One remembered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: u128,
    pub(crate) stamp_ms: u64,
    pub(crate) outcome: Remembered,
}

/// The bounded table, in order of decision. Structurally shared, so that a snapshot costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dedupe {
    by_id: OrdMap<u128, Kept>,
    /// Oldest first.
    by_age: Vector<u128>,
    newest_ms: u64,
}

/// A request as the table holds it. There are many, so the common case is small.
#[derive(Clone, Debug)]
struct Kept {
    stamp_ms: u64,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    /// One operation that changed its object: the store's revision is the object's.
    Changed(Revision),
    Other(Arc<Remembered>),
}

impl Outcome {
    fn keep(outcome: Remembered) -> Self {
        match outcome {
            Remembered::Applied {
                revision,
                revisions,
            } if revisions == [revision] => Self::Changed(revision),
            Remembered::Applied { .. } | Remembered::Refused { .. } => {
                Self::Other(Arc::new(outcome))
            }
        }
    }

    fn recall(&self) -> Remembered {
        match self {
            Self::Changed(revision) => Remembered::Applied {
                revision: *revision,
                revisions: vec![*revision],
            },
            Self::Other(outcome) => Remembered::clone(outcome),
        }
    }
}

impl Dedupe {
    pub(crate) fn get(&self, id: u128) -> Option<Remembered> {
        self.by_id.get(&id).map(|kept| kept.outcome.recall())
    }

    pub(crate) fn insert(&mut self, request: Request) {
        self.newest_ms = self.newest_ms.max(request.stamp_ms);
        self.by_age.push_back(request.id);
        let kept = Kept {
            stamp_ms: request.stamp_ms,
            outcome: Outcome::keep(request.outcome),
        };
        self.by_id.insert(request.id, kept);
        self.forget();
    }

    /// Oldest first; inserting these in order into an empty table rebuilds it.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Request> + '_ {
        self.by_age.iter().filter_map(|id| {
            let kept = self.by_id.get(id)?;
            Some(Request {
                id: *id,
                stamp_ms: kept.stamp_ms,
                outcome: kept.outcome.recall(),
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// The largest stamp seen. It outlives the request that carried it.
    pub(crate) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    pub(crate) fn restore_newest_ms(&mut self, newest_ms: u64) {
        self.newest_ms = self.newest_ms.max(newest_ms);
    }

    fn forget(&mut self) {
        while self.by_age.len() > COUNT_MIN {
            let Some(id) = self.by_age.front().copied() else {
                return;
            };
            let stamp_ms = self.by_id.get(&id).map_or(0, |kept| kept.stamp_ms);
            let expired = stamp_ms.saturating_add(AGE_MAX_MS) < self.newest_ms;
            if self.by_age.len() <= COUNT_MAX && !expired {
                return;
            }
            self.by_age.pop_front();
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(stamps: impl Iterator<Item = u64>) -> Dedupe {
        let mut table = Dedupe::default();
        for (n, stamp_ms) in stamps.enumerate() {
            let revision = n as u64;
            let outcome = match n % 3 {
                0 => Remembered::Refused { guard: n, revision },
                1 => Remembered::Applied {
                    revision,
                    revisions: vec![revision],
                },
                _ => Remembered::Applied {
                    revision,
                    revisions: vec![0, revision],
                },
            };
            table.insert(Request {
                id: n as u128 + 1,
                stamp_ms,
                outcome,
            });
        }
        table
    }

    #[test]
    fn bounded_by_count_and_age_but_not_by_one_fast_clock() {
        assert_eq!(
            filled((0..COUNT_MAX as u64 + 10).map(|_| 1)).len(),
            COUNT_MAX
        );
        let aged = filled((0..10_000).map(|n| if n < 5_000 { 0 } else { AGE_MAX_MS + 1 }));
        assert_eq!(aged.len(), 5_000);
        let fast = filled((0..1_000).map(|n| if n == 999 { u64::MAX } else { 5 }));
        assert_eq!(fast.len(), 1_000);
    }

    #[test]
    fn rebuilds_from_its_requests() {
        let table = filled(0..100);
        let mut copy = Dedupe::default();
        table.requests().for_each(|request| copy.insert(request));
        assert!(table.requests().eq(copy.requests()));
        for request in table.requests() {
            assert_eq!(table.get(request.id), Some(request.outcome));
        }
    }
}
