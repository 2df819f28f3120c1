//! The recent past: every change with its old and new item, bounded by bytes and by age.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::item::{Item, Revision};
use crate::slot::Slot;
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

/// A change as the history keeps it: the slots are the map's own, so what the map still holds costs a
/// word here.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) revision: Revision,
    pub(crate) stamp_ms: u64,
    /// None for a deletion.
    pub(crate) new: Option<Slot>,
    /// None for a creation.
    pub(crate) old: Option<Slot>,
    /// Length of the value after the change.
    pub(crate) new_len: u32,
    /// Length of the value before.
    pub(crate) old_len: u32,
}

impl Step {
    pub(crate) fn key(&self) -> &[u8] {
        let slot = self.new.as_ref().or(self.old.as_ref());
        slot.map_or(&[], Slot::key)
    }

    /// The change as readers see it.
    pub(crate) fn change(&self) -> Change {
        let item = |slot: &Slot| slot.item().unwrap_or_else(|unread| unread.abandon());
        let new = self.new.as_ref().map(item);
        let old = self.old.as_ref().map(item);
        let key = new.as_ref().or(old.as_ref()).map(|item| item.key.clone());
        Change {
            revision: self.revision,
            key: key.unwrap_or_default(),
            new,
            old,
            stamp_ms: self.stamp_ms,
        }
    }
}

/// Changes `(base, last]`, without a gap: the n-th kept change has revision `base + 1 + n`.
#[derive(Debug)]
pub(crate) struct History {
    base: Revision,
    steps: VecDeque<Step>,
    bytes: usize,
    bytes_max: usize,
    age_max_ms: u64,
}

impl History {
    pub(crate) fn new(base: Revision, bytes_max: usize, age_max_ms: u64) -> Self {
        Self {
            base,
            steps: VecDeque::new(),
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

    pub(crate) fn push(&mut self, step: Step) {
        debug_assert_eq!(step.revision, self.last() + 1, "history has no gaps");
        self.bytes += weight(&step);
        self.steps.push_back(step);
        self.compact();
    }

    /// The oldest revision that can be read back.
    pub(crate) fn oldest(&self) -> Revision {
        self.base
    }

    /// Number of changes kept.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Their memory, at most.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn last(&self) -> Revision {
        self.base + self.steps.len() as u64
    }

    /// Up to `limit` changes after the revision, in order.
    pub(crate) fn after(&self, revision: Revision, limit: usize) -> Result<Vec<Step>, Compacted> {
        let skip = self.offset(revision)?;
        Ok(self.steps.iter().skip(skip).take(limit).cloned().collect())
    }

    /// The view as it was at `revision`, rebuilt from a later view by undoing the changes between.
    pub(crate) fn rewind(later: &View, revision: Revision, steps: &[Step]) -> View {
        let mut slots = later.slots.clone();
        let undone = |step: &&Step| (revision + 1..=later.revision).contains(&step.revision);
        for step in steps.iter().rev().filter(undone) {
            match &step.old {
                Some(old) => slots.insert(old.clone()),
                None => slots.remove::<[u8]>(step.key()),
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
        let newest_ms = self.steps.back().map_or(0, |change| change.stamp_ms);
        // The newest change is always kept, so one huge value cannot blind every watcher.
        while self.steps.len() > 1 {
            let Some(oldest) = self.steps.front() else {
                return;
            };
            let expired = oldest.stamp_ms.saturating_add(self.age_max_ms) < newest_ms;
            if self.bytes <= self.bytes_max && !expired {
                return;
            }
            self.bytes -= weight(oldest);
            self.base = oldest.revision;
            self.steps.pop_front();
        }
    }
}

/// Memory of a step, at most. The new item is mostly shared with the state and the old one with the
/// step that made it, but either may outlive the other, so both count.
fn weight(step: &Step) -> usize {
    // What key and value have beside themselves.
    const SLOT: usize = 96;
    let slot = |slot: &Option<Slot>, len: u32| {
        slot.as_ref()
            .map_or(0, |it| SLOT + it.key().len() + len as usize)
    };
    size_of::<Step>() + slot(&step.new, step.new_len) + slot(&step.old, step.old_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(revision: Revision, stamp_ms: u64) -> Step {
        Step {
            revision,
            stamp_ms,
            new: None,
            old: None,
            new_len: 0,
            old_len: 0,
        }
    }

    fn filled(bytes_max: usize, age_max_ms: u64, stamps: &[u64]) -> History {
        let mut history = History::new(10, bytes_max, age_max_ms);
        for (n, stamp) in stamps.iter().enumerate() {
            history.push(step(11 + n as u64, *stamp));
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
            assert_eq!(
                history.after(oldest - 1, 9).map(|steps| steps.len()),
                Err(Compacted { oldest })
            );
            assert!(history.after(99, 9).unwrap().is_empty());
        }
    }
}
