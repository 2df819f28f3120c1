//! Which transactions were decided recently, so that a retry is answered and not applied again.

use std::collections::HashMap;
use std::sync::Arc;

use imbl::Vector;
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

/// The bounded table, in order of decision. What was decided is structurally shared, so that a snapshot
/// costs nothing; the index is not: a clone makes its own when it is first asked.
#[derive(Debug, Default)]
pub(crate) struct Dedupe {
    /// Oldest first.
    by_age: Vector<Kept>,
    /// How many were forgotten: the n-th ever remembered is at `n - forgotten`.
    forgotten: u64,
    by_id: Option<HashMap<u128, u64>>,
    newest_ms: u64,
}

/// A request as the table holds it. There are many, so the common case is small.
#[derive(Clone, Debug)]
struct Kept {
    id: u128,
    stamp_ms: u64,
    outcome: Outcome,
}

impl Clone for Dedupe {
    fn clone(&self) -> Self {
        Self {
            by_age: self.by_age.clone(),
            forgotten: self.forgotten,
            by_id: None,
            newest_ms: self.newest_ms,
        }
    }
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
    pub(crate) fn get(&mut self, id: u128) -> Option<Remembered> {
        let nth = *self.index().get(&id)?;
        let at = usize::try_from(nth - self.forgotten).ok()?;
        self.by_age.get(at).map(|kept| kept.outcome.recall())
    }

    /// Remembers a request that is not in the table.
    pub(crate) fn insert(&mut self, request: Request) {
        self.newest_ms = self.newest_ms.max(request.stamp_ms);
        let nth = self.forgotten + self.by_age.len() as u64;
        self.index().insert(request.id, nth);
        self.by_age.push_back(Kept {
            id: request.id,
            stamp_ms: request.stamp_ms,
            outcome: Outcome::keep(request.outcome),
        });
        self.forget();
    }

    /// Oldest first; inserting these in order into an empty table rebuilds it.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Request> + '_ {
        self.by_age.iter().map(|kept| Request {
            id: kept.id,
            stamp_ms: kept.stamp_ms,
            outcome: kept.outcome.recall(),
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

    fn index(&mut self) -> &mut HashMap<u128, u64> {
        let (by_age, first) = (&self.by_age, self.forgotten);
        self.by_id
            .get_or_insert_with(|| by_age.iter().map(|kept| kept.id).zip(first..).collect())
    }

    fn forget(&mut self) {
        while self.by_age.len() > COUNT_MIN {
            let Some(oldest) = self.by_age.front() else {
                return;
            };
            let expired = oldest.stamp_ms.saturating_add(AGE_MAX_MS) < self.newest_ms;
            if self.by_age.len() <= COUNT_MAX && !expired {
                return;
            }
            let id = oldest.id;
            self.by_age.pop_front();
            self.forgotten += 1;
            self.index().remove(&id);
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
        let mut table = filled(0..100);
        let mut copy = Dedupe::default();
        table.requests().for_each(|request| copy.insert(request));
        assert!(table.requests().eq(copy.requests()));
        for request in copy.requests().collect::<Vec<_>>() {
            assert_eq!(table.get(request.id), Some(request.outcome));
        }
    }

    #[test]
    fn a_clone_knows_what_its_original_knew() {
        let mut table = filled((0..COUNT_MAX as u64 + 10).map(|_| 1));
        let mut copy = table.clone();
        for id in [11, 12, COUNT_MAX as u128, COUNT_MAX as u128 + 10] {
            assert!(copy.get(id).is_some());
            assert_eq!(copy.get(id), table.get(id), "{id}");
        }
        assert_eq!((copy.get(10), table.get(10)), (None, None));
    }
}
