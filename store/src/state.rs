//! The replicated state machine: a pure function of the log. Same log, same bytes on every replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dedupe::{Dedupe, Remembered, Request};
use crate::digest;
use crate::history::Step;
use crate::item::{Item, NodeId, Revision};
use crate::slot::{Numbers, Resident, Slot};
use crate::snapshot::View;
use crate::txn::{Guard, Op, Txn, TxnOutcome};
use crate::values::Unread;

/// Everything the log has built up. Cloning is cheap: its collections are structurally shared.
#[derive(Clone, Debug)]
pub(crate) struct State {
    view: View,
    items_digest: u128,
    dedupe: Dedupe,
    next_node: NodeId,
    resident: Tally,
}

/// What the values take that the latest state holds in memory, in bytes. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicU64>);

impl Tally {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The counters of a state, apart from its items and remembered requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Counters {
    pub(crate) revision: Revision,
    pub(crate) next_node: NodeId,
    pub(crate) newest_ms: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            view: View::default(),
            items_digest: 0,
            dedupe: Dedupe::default(),
            // 0 is never a member, so that it can mean "none".
            next_node: 1,
            resident: Tally::default(),
        }
    }
}

impl State {
    /// Applies one transaction of an entry proposed in `term`, unless its request id was applied
    /// before; its changes are appended in order. After an error the state is of no use any more: it
    /// only comes from a value on disk that cannot be read, which stops the replica.
    pub(crate) fn apply(
        &mut self,
        term: u64,
        txn: &Txn<&[u8]>,
        steps: &mut Vec<Step>,
    ) -> Result<TxnOutcome, Unread> {
        if txn.request_id == 0 {
            return self.apply_txn(term, txn, steps);
        }
        if let Some(remembered) = self.dedupe.get(txn.request_id) {
            return self.recall(remembered, txn);
        }
        let outcome = self.apply_txn(term, txn, steps)?;
        // Without operations it only asks, and what it asks about may yet happen under its id.
        if !txn.ops.is_empty() {
            self.dedupe.insert(Request {
                id: txn.request_id,
                stamp_ms: txn.stamp_ms,
                outcome: Remembered::from(&outcome),
            });
        }
        Ok(outcome)
    }

    /// A node id that was never used.
    pub(crate) fn allocate_node(&mut self) -> NodeId {
        self.next_node += 1;
        self.next_node - 1
    }

    /// Learns that this id is in use, so that it is never allocated.
    pub(crate) fn note_node(&mut self, id: NodeId) {
        self.next_node = self.next_node.max(id + 1);
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn dedupe(&self) -> &Dedupe {
        &self.dedupe
    }

    /// Digest of everything; equal on replicas that applied the same log.
    pub(crate) fn digest(&self) -> u128 {
        let counters = self.counters();
        let remembered = self.dedupe.len() as u64;
        digest::state(
            self.items_digest,
            &[
                counters.revision,
                counters.next_node,
                counters.newest_ms,
                remembered,
            ],
        )
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            revision: self.view.revision,
            next_node: self.next_node,
            newest_ms: self.dedupe.newest_ms(),
        }
    }

    /// Puts an item back as a snapshot or checkpoint recorded it.
    pub(crate) fn restore_item(&mut self, item: &Item) {
        let numbers = Numbers::of(item);
        let digest = digest::item(&item.key, &item.value, numbers);
        self.restore(Slot::new(&item.key, &item.value, numbers), digest);
    }

    /// Puts an item back, with its digest, whose key is not there yet.
    pub(crate) fn restore(&mut self, slot: Slot, digest: u128) {
        self.items_digest = self.items_digest.wrapping_add(digest);
        self.resident.add(slot.resident_bytes());
        let replaced = self.view.slots.insert(slot);
        debug_assert!(replaced.is_none(), "{replaced:?} was there already");
    }

    /// Values in memory.
    pub(crate) fn resident(&self) -> &Tally {
        &self.resident
    }

    pub(crate) fn restore_request(&mut self, request: Request) {
        self.dedupe.insert(request);
    }

    pub(crate) fn restore_counters(&mut self, counters: Counters) {
        self.view.revision = counters.revision;
        self.next_node = counters.next_node;
        self.dedupe.restore_newest_ms(counters.newest_ms);
    }

    fn apply_txn(
        &mut self,
        term: u64,
        txn: &Txn<&[u8]>,
        steps: &mut Vec<Step>,
    ) -> Result<TxnOutcome, Unread> {
        if let Some(guard) = txn.guards.iter().position(|guard| !self.holds(term, guard)) {
            return Ok(TxnOutcome::Refused {
                guard,
                current: self.guarded(txn, guard)?,
                revision: self.view.revision,
            });
        }
        let stamp_ms = txn.stamp_ms;
        let ops = txn.ops.iter().map(|op| match op {
            Op::Put { key, value } => self.put(key, value, stamp_ms, steps),
            Op::Delete { key } => self.delete(key, stamp_ms, steps),
        });
        let mut revisions = Vec::with_capacity(txn.ops.len());
        for revision in ops {
            revisions.push(revision?);
        }
        Ok(TxnOutcome::Applied {
            revisions,
            revision: self.view.revision,
        })
    }

    fn recall(&self, remembered: Remembered, txn: &Txn<&[u8]>) -> Result<TxnOutcome, Unread> {
        Ok(match remembered {
            Remembered::Applied {
                revision,
                revisions,
            } => TxnOutcome::Applied {
                revision,
                revisions,
            },
            Remembered::Refused { guard, revision } => TxnOutcome::Refused {
                guard,
                current: self.guarded(txn, guard)?,
                revision,
            },
        })
    }

    fn guarded(&self, txn: &Txn<&[u8]>, guard: usize) -> Result<Option<Item>, Unread> {
        let key = txn.guards.get(guard).and_then(Guard::key);
        let slot = key.and_then(|key| self.slot(key));
        slot.map(Slot::item).transpose()
    }

    fn holds(&self, term: u64, guard: &Guard<&[u8]>) -> bool {
        match guard {
            Guard::Exists(key) => self.slot(key).is_some(),
            Guard::Absent(key) => self.slot(key).is_none(),
            Guard::Revision { key, revision } => self
                .slot(key)
                .is_some_and(|slot| slot.numbers().mod_revision == *revision),
            Guard::Epoch(epoch) => *epoch == term,
        }
    }

    fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.view.slots.get(key)
    }

    fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        stamp_ms: u64,
        steps: &mut Vec<Step>,
    ) -> Result<Revision, Unread> {
        let old = self.slot(key);
        if let Some(old) = old
            && old.has_value(value)?
        {
            return Ok(old.numbers().mod_revision);
        }
        let old = old.map(Slot::numbers);
        let revision = self.view.revision + 1;
        let numbers = Numbers {
            create_revision: old.map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.map_or(1, |old| old.version + 1),
        };
        let new = Slot::new(key, value, numbers);
        self.items_digest = self
            .items_digest
            .wrapping_add(digest::item(key, value, numbers));
        self.resident.add(Resident::memory_of(value.len()));
        let old = self.view.slots.insert(new.clone());
        let old_len = match &old {
            Some(old) => self.let_go(old)?,
            None => 0,
        };
        self.view.revision = revision;
        steps.push(Step {
            revision,
            stamp_ms,
            new: Some(new),
            old,
            new_len: short(value.len()),
            old_len,
        });
        Ok(revision)
    }

    fn delete(
        &mut self,
        key: &[u8],
        stamp_ms: u64,
        steps: &mut Vec<Step>,
    ) -> Result<Revision, Unread> {
        let Some(old) = self.view.slots.remove::<[u8]>(key) else {
            return Ok(0);
        };
        let old_len = self.let_go(&old)?;
        self.view.revision += 1;
        let revision = self.view.revision;
        steps.push(Step {
            revision,
            stamp_ms,
            new: None,
            old: Some(old),
            new_len: 0,
            old_len,
        });
        Ok(revision)
    }

    /// A slot is no longer in the map; the history shows it for a while. Returns its value's length.
    fn let_go(&mut self, old: &Slot) -> Result<u32, Unread> {
        let (value, freed) = old.retire()?;
        self.resident.sub(freed);
        // Computed again rather than kept: at a million small objects the sums would be a tenth of the state.
        let digest = digest::item(old.key(), value.bytes(), old.numbers());
        self.items_digest = self.items_digest.wrapping_sub(digest);
        Ok(short(value.bytes().len()))
    }
}

#[cfg(test)]
impl State {
    /// Applies a transaction the way it comes out of the log.
    pub(crate) fn apply_logged(&mut self, txn: &Txn) -> Vec<Step> {
        let encoded = crate::command::encode(txn).unwrap();
        let decoded = crate::command::Txns::one(&encoded).unwrap();
        let mut steps = Vec::new();
        self.apply(1, &decoded, &mut steps).unwrap();
        steps
    }
}

/// The length of a value, which came in one log entry.
fn short(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
