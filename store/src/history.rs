//! The recent past: every change with its old and new item, bounded by bytes and by age.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::item::{Item, Revision, Slot, Stored};
use crate::snapshot::View;

/// One object changed, once. A deletion has no `new`, a creation no `old`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision this change took.
    pub revision: Revision,
    /// The key that changed.
    pub key: Bytes,
    /// The item after the change.
    pub new: Option<Item>,
    /// The item before the change.
    pub old: Option<Item>,
    /// The proposer's stamp of the transaction, in milliseconds since 1970.
    pub stamp_ms: u64,
}

/// The asked revision lies before the history that is kept. List again and continue from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "history before revision {oldest} is no longer kept: list again and continue from the list's revision"
)]
pub struct Compacted {
    /// The oldest revision that can still be read, and after which changes are still known.
    pub oldest: Revision,
}

/// Changes `(base, last]`, without a gap: the n-th kept change has revision `base + 1 + n`.
#[derive(Debug)]
pub(crate) struct History {
    base: Revision,
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    bytes_max: usize,
    age_max_ms: u64,
}

impl History {
    pub(crate) fn new(base: Revision, bytes_max: usize, age_max_ms: u64) -> Self {
        Self {
            base,
            changes: VecDeque::new(),
            bytes: 0,
            bytes_max,
            age_max_ms,
        }
    }

    /// Forgets everything: the state jumped (a snapshot was installed) and the changes that led
    /// to it are unknown here.
    pub(crate) fn reset(&mut self, base: Revision) {
        *self = Self::new(base, self.bytes_max, self.age_max_ms);
    }

    pub(crate) fn push(&mut self, change: Arc<Change>) {
        debug_assert_eq!(change.revision, self.last() + 1, "history has no gaps");
        self.bytes += weight(&change);
        self.changes.push_back(change);
        self.compact();
    }

    /// The oldest revision that can be read back.
    pub(crate) fn oldest(&self) -> Revision {
        self.base
    }

    /// Number of changes kept.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Their memory, at most.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn last(&self) -> Revision {
        self.base + self.changes.len() as u64
    }

    /// Up to `limit` changes after the revision, in order.
    pub(crate) fn after(
        &self,
        revision: Revision,
        limit: usize,
    ) -> Result<Vec<Arc<Change>>, Compacted> {
        let skip = self.offset(revision)?;
        Ok(self
            .changes
            .iter()
            .skip(skip)
            .take(limit)
            .cloned()
            .collect())
    }

    /// The view as it was at `revision`, rebuilt from a later view by undoing the changes between.
    pub(crate) fn rewind(later: &View, revision: Revision, changes: &[Arc<Change>]) -> View {
        let mut slots = later.slots.clone();
        let undone =
            |change: &&Arc<Change>| (revision + 1..=later.revision).contains(&change.revision);
        for change in changes.iter().rev().filter(undone) {
            match &change.old {
                Some(old) => slots.insert(Slot(Arc::new(Stored {
                    item: old.clone(),
                    digest: 0,
                }))),
                None => slots.remove::<[u8]>(&change.key),
            };
        }
        View {
            slots,
            revision: revision.min(later.revision),
        }
    }

    fn offset(&self, revision: Revision) -> Result<usize, Compacted> {
        let offset = revision
            .checked_sub(self.base)
            .ok_or(Compacted { oldest: self.base })?;
        Ok(usize::try_from(offset).unwrap_or(usize::MAX))
    }

    fn compact(&mut self) {
        let newest_ms = self.changes.back().map_or(0, |change| change.stamp_ms);
        // The newest change is always kept, so one huge value cannot blind every watcher.
        while self.changes.len() > 1 {
            let Some(oldest) = self.changes.front() else {
                return;
            };
            let expired = oldest.stamp_ms.saturating_add(self.age_max_ms) < newest_ms;
            if self.bytes <= self.bytes_max && !expired {
                return;
            }
            self.bytes -= weight(oldest);
            self.base = oldest.revision;
            self.changes.pop_front();
        }
    }
}

/// Memory of a change, at most. The new item is mostly shared with the state and the old one with the
/// change that made it, but either may outlive the other, so both count.
fn weight(change: &Change) -> usize {
    // The change itself, and a header for each of its allocations.
    const OVERHEAD: usize = 384;
    let value = |item: &Option<Item>| item.as_ref().map_or(0, |item| item.value.len());
    OVERHEAD + change.key.len() + value(&change.new) + value(&change.old)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: Revision, stamp_ms: u64) -> Arc<Change> {
        let key = Bytes::from(format!("k{revision}"));
        Arc::new(Change {
            revision,
            key,
            new: None,
            old: None,
            stamp_ms,
        })
    }

    fn filled(bytes_max: usize, age_max_ms: u64, stamps: &[u64]) -> History {
        let mut history = History::new(10, bytes_max, age_max_ms);
        for (n, stamp) in stamps.iter().enumerate() {
            history.push(change(11 + n as u64, *stamp));
        }
        history
    }

    #[test]
    fn bounds() {
        for (bytes_max, age_max_ms, stamps, oldest) in [
            (1 << 20, 1000, &[0, 1, 2][..], 10),
            (0, 1000, &[0, 1, 2], 12),
            (1 << 20, 5, &[0, 1, 20], 12),
            (1 << 20, 5, &[0, 18, 20], 11),
        ] {
            let history = filled(bytes_max, age_max_ms, stamps);
            assert_eq!(
                history.oldest(),
                oldest,
                "{bytes_max} {age_max_ms} {stamps:?}"
            );
            assert_eq!(history.last(), 13);
            assert_eq!(history.after(oldest, 9).unwrap().len() as u64, 13 - oldest);
            assert_eq!(history.after(oldest - 1, 9), Err(Compacted { oldest }));
            assert!(history.after(99, 9).unwrap().is_empty());
        }
    }
}
