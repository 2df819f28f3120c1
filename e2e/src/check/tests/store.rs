//! A small store that is right, unless it is told to be wrong once.

use std::collections::{BTreeMap, HashMap};

use crate::check::history::{
    Event, Guard, Item, Key, Nanos, Op, Outcome, RequestId, Revision, Select, Snapshot, Txn, Value,
};

/// What the store does wrong, the first time it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// Acknowledges a write and forgets it.
    Lose,
    /// Makes the first of several changes only.
    Half,
    /// Makes a change once more when its key has moved on.
    Twice,
    /// Applies whatever the guards say.
    IgnoreGuards,
    /// Refuses although all guards hold.
    RefuseInVain,
    /// Forgets which requests it has decided.
    ForgetRequests,
    /// Answers a linearizable read from a state older than an acknowledged write.
    StaleRead,
    /// Shows a state of the middle of a transaction.
    TornRead,
    /// Changes a key nobody asked it to change.
    Invent,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) revision: Revision,
    pub(super) log: Vec<Event>,
    /// Revisions between transactions.
    pub(super) boundaries: Vec<Revision>,
    pub(super) bug: Bug,
    /// True once it has been wrong.
    pub(super) is_wrong: bool,
    /// Whether the client at hand hears of it: to forget what nobody was told is no sin.
    is_told: bool,
    versions: BTreeMap<Key, Vec<(Revision, Option<Item>)>>,
    decided: HashMap<RequestId, Outcome>,
    again: Option<Op>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            revision: 0,
            log: Vec::new(),
            boundaries: vec![0],
            bug: Bug::None,
            is_wrong: false,
            is_told: false,
            versions: BTreeMap::new(),
            decided: HashMap::new(),
            again: None,
        }
    }

    pub(super) fn apply(&mut self, id: RequestId, txn: &Txn, now: Nanos, is_told: bool) -> Outcome {
        self.is_told = is_told;
        let forgets = self.bug == Bug::ForgetRequests;
        let before = self.decided.get(&id).cloned();
        let is_applied = |outcome: &Outcome| matches!(outcome, Outcome::Applied { .. });
        if let Some(before) = before
            .clone()
            .filter(|before| !(forgets && is_applied(before)))
        {
            return before;
        }
        let revision = self.revision;
        let outcome = self.decide(txn, now);
        let mut made = self
            .log
            .iter()
            .rev()
            .take_while(|event| event.revision > revision);
        let puts = made.any(|event| event.new.is_some());
        self.is_wrong |= before.is_some() && puts;
        if !txn.ops.is_empty() {
            self.decided.insert(id, outcome.clone());
        }
        self.repeat(now);
        outcome
    }

    pub(super) fn at(&self, key: &Key, revision: Revision) -> Option<&Item> {
        let versions = self.versions.get(key)?;
        let count = versions.partition_point(|(at, _)| *at <= revision);
        versions[..count].last()?.1.as_ref()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Item> {
        self.at(key, self.revision)
    }

    pub(super) fn read(&self, select: &Select, revision: Revision) -> Snapshot {
        let keys: Vec<Key> = match select {
            Select::Keys(keys) => keys.clone(),
            Select::Prefix(prefix) => {
                let keys = self.versions.keys();
                keys.filter(|key| key.starts_with(prefix))
                    .cloned()
                    .collect()
            }
        };
        let items = keys
            .into_iter()
            .filter_map(|key| self.at(&key, revision).cloned().map(|item| (key, item)))
            .collect();
        Snapshot { revision, items }
    }

    pub(super) fn is_armed(&self, bug: Bug) -> bool {
        self.bug == bug && !self.is_wrong
    }

    fn decide(&mut self, txn: &Txn, now: Nanos) -> Outcome {
        let failed = txn.guards.iter().position(|guard| !self.holds(guard));
        let (is_told, revision) = (self.is_told, self.revision);
        let refused = |guard| Outcome::Refused { guard, revision };
        match failed {
            Some(guard) if is_told && self.is_armed(Bug::IgnoreGuards) => {
                let before = self.revision;
                let outcome = self.make(txn, now);
                self.is_wrong = self.revision > before;
                if self.is_wrong {
                    outcome
                } else {
                    refused(guard)
                }
            }
            Some(guard) => refused(guard),
            None if is_told && self.is_armed(Bug::RefuseInVain) && !txn.guards.is_empty() => {
                self.is_wrong = true;
                Outcome::Refused {
                    guard: 0,
                    revision: self.revision,
                }
            }
            None => self.make(txn, now),
        }
    }

    fn make(&mut self, txn: &Txn, now: Nanos) -> Outcome {
        let before = self.revision;
        let mut revisions = Vec::new();
        for op in &txn.ops {
            revisions.push(self.change(op, now));
        }
        let outcome = Outcome::Applied {
            revision: self.revision,
            revisions,
        };
        let made = self.revision - before;
        let is_put = self
            .log
            .get(self.log.len() - usize::try_from(made).unwrap()..)
            .and_then(|log| log.first())
            .is_some_and(|event| event.new.is_some());
        if made == 1 && is_put && self.is_told && self.is_armed(Bug::Lose) {
            self.forget_after(before);
        } else if made > 1 && is_put && self.is_armed(Bug::Half) {
            self.forget_after(before + 1);
        } else if made == 1
            && is_put
            && txn.ops.len() == 1
            && self.is_armed(Bug::Twice)
            && self.again.is_none()
        {
            self.again = txn
                .ops
                .iter()
                .find(|op| matches!(op, Op::Put { .. }))
                .cloned();
        }
        if self.revision > before {
            self.boundaries.push(self.revision);
        }
        outcome
    }

    fn forget_after(&mut self, revision: Revision) {
        self.is_wrong = true;
        self.revision = revision;
        self.log.retain(|event| event.revision <= revision);
        for versions in self.versions.values_mut() {
            versions.retain(|(at, _)| *at <= revision);
        }
    }

    fn repeat(&mut self, now: Nanos) {
        let op = if self.is_armed(Bug::Invent) && self.revision > 20 {
            let (key, value) = (Key::from(*b"k0"), Value::from(*b"invented"));
            Some(Op::Put { key, value })
        } else {
            self.again.clone().filter(|op| self.has_moved_on(op))
        };
        if let Some(op) = op {
            self.change(&op, now);
            self.boundaries.push(self.revision);
            self.again = None;
            self.is_wrong = true;
        }
    }

    fn has_moved_on(&self, op: &Op) -> bool {
        match op {
            Op::Put { key, value } => self.get(key).is_none_or(|item| item.value != *value),
            Op::Delete { .. } => false,
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Exists(key) => self.get(key).is_some(),
            Guard::Absent(key) => self.get(key).is_none(),
            Guard::RevisionIs { key, revision } => {
                self.get(key).map(|item| item.mod_revision) == Some(*revision)
            }
        }
    }

    fn change(&mut self, op: &Op, at: Nanos) -> Revision {
        let (key, new) = match op {
            Op::Put { key, value } => (key, Some(value)),
            Op::Delete { key } => (key, None),
        };
        let old = self.get(key).cloned();
        match (&old, new) {
            (None, None) => return 0,
            (Some(item), Some(value)) if item.value == *value => return item.mod_revision,
            (None | Some(_), None | Some(_)) => {}
        }
        self.revision += 1;
        let revision = self.revision;
        let item = new.map(|value| Item {
            value: Value::clone(value),
            create_revision: old.as_ref().map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.as_ref().map_or(0, |old| old.version) + 1,
        });
        self.versions
            .entry(Key::clone(key))
            .or_default()
            .push((revision, item));
        let (key, new, old) = (Key::clone(key), new.cloned(), old.map(|old| old.value));
        self.log.push(Event {
            at,
            revision,
            key,
            new,
            old,
        });
        revision
    }
}
