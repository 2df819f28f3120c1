//! The judge's own idea of the store: a sorted map, and the rules of a transaction.

use std::collections::BTreeMap;

use crate::check::history::{Guard, Item, Key, Op, Revision, Select, Snapshot, Txn, Value};

/// One object changed, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) revision: Revision,
    pub(super) key: Key,
    pub(super) new: Option<Item>,
    pub(super) old: Option<Item>,
}

impl Change {
    pub(super) fn value(&self) -> Option<&Value> {
        self.new.as_ref().map(|item| &item.value)
    }
}

/// What a transaction would do.
#[derive(Debug)]
pub(super) enum Decision {
    Refused {
        guard: usize,
    },
    Applied {
        revisions: Vec<Revision>,
        changes: Vec<Change>,
    },
}

/// The store at one revision.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) revision: Revision,
    items: BTreeMap<Key, Item>,
}

impl Model {
    pub(super) fn new(base: &Snapshot) -> Self {
        Self {
            revision: base.revision,
            items: base.items.iter().cloned().collect(),
        }
    }

    /// Index of the first guard that does not hold.
    pub(super) fn failed_guard(&self, txn: &Txn) -> Option<usize> {
        txn.guards.iter().position(|guard| !self.holds(guard))
    }

    /// What the transaction would do in this state. The state stays.
    pub(super) fn decide(&self, txn: &Txn) -> Decision {
        if let Some(guard) = self.failed_guard(txn) {
            return Decision::Refused { guard };
        }
        let mut draft = Draft {
            model: self,
            touched: BTreeMap::new(),
            changes: Vec::new(),
        };
        let revisions = txn.ops.iter().map(|op| draft.apply(op)).collect();
        Decision::Applied {
            revisions,
            changes: draft.changes,
        }
    }

    /// The next change, whatever made it.
    pub(super) fn change(&self, key: &Key, value: Option<&Value>) -> Change {
        change(self.revision + 1, key, value, self.items.get(key))
    }

    pub(super) fn step(&mut self, change: &Change) {
        self.revision = change.revision;
        match &change.new {
            Some(item) => self.items.insert(Key::clone(&change.key), item.clone()),
            None => self.items.remove(&change.key),
        };
    }

    pub(super) fn select(&self, select: &Select) -> Vec<(&Key, &Item)> {
        match select {
            Select::Keys(keys) => keys
                .iter()
                .filter_map(|key| self.items.get_key_value(key))
                .collect(),
            Select::Prefix(prefix) => self
                .items
                .range(Key::clone(prefix)..)
                .take_while(|(key, _)| key.starts_with(prefix))
                .collect(),
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Exists(key) => self.items.contains_key(key),
            Guard::Absent(key) => !self.items.contains_key(key),
            Guard::RevisionIs { key, revision } => self
                .items
                .get(key)
                .is_some_and(|item| item.mod_revision == *revision),
        }
    }
}

/// A transaction half done: later operations see the earlier ones.
struct Draft<'m> {
    model: &'m Model,
    touched: BTreeMap<&'m Key, Option<Item>>,
    changes: Vec<Change>,
}

impl<'m> Draft<'m> {
    fn apply<'t: 'm>(&mut self, op: &'t Op) -> Revision {
        let (key, value) = match op {
            Op::Put { key, value } => (key, Some(value)),
            Op::Delete { key } => (key, None),
        };
        let old = match self.touched.get(key) {
            Some(item) => item.as_ref(),
            None => self.model.items.get(key),
        };
        if old.map(|item| &item.value) == value {
            return old.map_or(0, |item| item.mod_revision);
        }
        let revision = self.model.revision + self.changes.len() as u64 + 1;
        let change = change(revision, key, value, old);
        self.touched.insert(key, change.new.clone());
        self.changes.push(change);
        revision
    }
}

fn change(revision: Revision, key: &Key, value: Option<&Value>, old: Option<&Item>) -> Change {
    let item = |value: &Value| Item {
        value: Value::clone(value),
        create_revision: old.map_or(revision, |item| item.create_revision),
        mod_revision: revision,
        version: old.map_or(1, |item| item.version + 1),
    };
    Change {
        revision,
        key: Key::clone(key),
        new: value.map(item),
        old: old.cloned(),
    }
}
