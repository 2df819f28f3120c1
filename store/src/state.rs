//! The replicated state machine: a pure function of the log. Same log, same bytes on every replica.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Command, Response};
use crate::dedupe::{Dedupe, Remembered, Request};
use crate::digest;
use crate::history::Change;
use crate::item::{Item, NodeId, Revision, Slot, Stored};
use crate::snapshot::View;
use crate::txn::{Guard, Op, Txn, TxnOutcome};

/// Everything the log has built up. Cloning is cheap: its collections are structurally shared.
#[derive(Clone, Debug)]
pub(crate) struct State {
    view: View,
    items_digest: u128,
    dedupe: Dedupe,
    next_node: NodeId,
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
        }
    }
}

impl State {
    /// Applies one command of an entry proposed in `term`; its changes are appended in order.
    pub(crate) fn apply(
        &mut self,
        term: u64,
        command: Command,
        changes: &mut Vec<Change>,
    ) -> Response {
        match command {
            Command::Txns(txns) => Response::Txns(
                txns.into_iter()
                    .map(|txn| self.apply_once(term, txn, changes))
                    .collect(),
            ),
            Command::AllocateNode => {
                self.next_node += 1;
                Response::Node(self.next_node - 1)
            }
        }
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
    pub(crate) fn restore_item(&mut self, item: Item) {
        let digest = digest::item(&item);
        self.items_digest = self.items_digest.wrapping_add(digest);
        if let Some(Slot(old)) = self
            .view
            .slots
            .insert(Slot(Arc::new(Stored { item, digest })))
        {
            self.items_digest = self.items_digest.wrapping_sub(old.digest);
        }
    }

    pub(crate) fn restore_request(&mut self, request: Request) {
        self.dedupe.insert(request);
    }

    pub(crate) fn restore_counters(&mut self, counters: Counters) {
        self.view.revision = counters.revision;
        self.next_node = counters.next_node;
        self.dedupe.restore_newest_ms(counters.newest_ms);
    }

    fn apply_once(&mut self, term: u64, txn: Txn, changes: &mut Vec<Change>) -> TxnOutcome {
        if txn.request_id == 0 {
            return self.apply_txn(term, txn, changes);
        }
        if let Some(remembered) = self.dedupe.get(txn.request_id) {
            return self.recall(remembered, &txn);
        }
        let (id, stamp_ms) = (txn.request_id, txn.stamp_ms);
        // Without operations it only asks, and what it asks about may yet happen under its id.
        let asks = txn.ops.is_empty();
        let outcome = self.apply_txn(term, txn, changes);
        if asks {
            return outcome;
        }
        self.dedupe.insert(Request {
            id,
            stamp_ms,
            outcome: Remembered::from(&outcome),
        });
        outcome
    }

    fn apply_txn(&mut self, term: u64, txn: Txn, changes: &mut Vec<Change>) -> TxnOutcome {
        if let Some(guard) = txn.guards.iter().position(|guard| !self.holds(term, guard)) {
            let current = self.guarded(&txn, guard);
            return TxnOutcome::Refused {
                guard,
                current,
                revision: self.view.revision,
            };
        }
        let stamp_ms = txn.stamp_ms;
        let revisions = txn
            .ops
            .into_iter()
            .map(|op| match op {
                Op::Put { key, value } => self.put(key, value, stamp_ms, changes),
                Op::Delete { key } => self.delete(&key, stamp_ms, changes),
            })
            .collect();
        TxnOutcome::Applied {
            revision: self.view.revision,
            revisions,
        }
    }

    fn recall(&self, remembered: Remembered, txn: &Txn) -> TxnOutcome {
        match remembered {
            Remembered::Applied {
                revision,
                revisions,
            } => TxnOutcome::Applied {
                revision,
                revisions,
            },
            Remembered::Refused { guard, revision } => TxnOutcome::Refused {
                guard,
                current: self.guarded(txn, guard),
                revision,
            },
        }
    }

    fn guarded(&self, txn: &Txn, guard: usize) -> Option<Item> {
        txn.guards
            .get(guard)
            .and_then(Guard::key)
            .and_then(|key| self.view.get(key))
    }

    fn holds(&self, term: u64, guard: &Guard) -> bool {
        match guard {
            Guard::Exists(key) => self.slot(key).is_some(),
            Guard::Absent(key) => self.slot(key).is_none(),
            Guard::Revision { key, revision } => self
                .slot(key)
                .is_some_and(|slot| slot.item().mod_revision == *revision),
            Guard::Epoch(epoch) => *epoch == term,
        }
    }

    fn slot(&self, key: &[u8]) -> Option<&Slot> {
        self.view.slots.get(key)
    }

    fn put(
        &mut self,
        key: Bytes,
        value: Bytes,
        stamp_ms: u64,
        changes: &mut Vec<Change>,
    ) -> Revision {
        let old = self.slot(&key).map(|slot| slot.item().clone());
        if let Some(same) = old.as_ref().filter(|item| item.value == value) {
            return same.mod_revision;
        }
        self.view.revision += 1;
        let revision = self.view.revision;
        let item = Item {
            key: key.clone(),
            value,
            create_revision: old.as_ref().map_or(revision, |item| item.create_revision),
            mod_revision: revision,
            version: old.as_ref().map_or(1, |item| item.version + 1),
        };
        self.restore_item(item.clone());
        changes.push(Change {
            revision,
            key,
            new: Some(item),
            old,
            stamp_ms,
        });
        revision
    }

    fn delete(&mut self, key: &Bytes, stamp_ms: u64, changes: &mut Vec<Change>) -> Revision {
        let Some(Slot(old)) = self.view.slots.remove::<[u8]>(key) else {
            return 0;
        };
        self.items_digest = self.items_digest.wrapping_sub(old.digest);
        self.view.revision += 1;
        let revision = self.view.revision;
        let old = Some(old.item.clone());
        changes.push(Change {
            revision,
            key: key.clone(),
            new: None,
            old,
            stamp_ms,
        });
        revision
    }
}

#[cfg(test)]
mod tests;
