//! `metadata.managedFields` as a whole, and what writes do to it (`managedfields/internal`,
//! structured-merge-diff `merge/update.go`).

use serde_json::Value;

use super::compare::Changes;
use super::entry::{Entry, EntryError, Operation};
use super::prune::reconcile;
use super::set::Set;
use super::types::Type;

/// Most entries of updates; the oldest beyond are taken together, as upstream.
const UPDATERS_MAX: usize = 10;

/// Whoever those were.
const ANCIENT: &str = "ancient-changes";

/// Everybody who owns something.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    entries: Vec<Entry>,
}

/// In whose name a write is made.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Who writes.
    pub manager: &'a str,
    /// In which version.
    pub api_version: &'a str,
    /// On which subresource; empty: the object itself.
    pub subresource: &'a str,
    /// When, RFC 3339.
    pub now: &'a str,
}

impl Claim<'_> {
    fn entry(&self, operation: Operation, fields: Set) -> Entry {
        Entry {
            manager: self.manager.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            time: Some(self.now.to_owned()),
            fields,
        }
    }
}

impl Ledger {
    /// Reads managedFields; none at all is nobody.
    ///
    /// # Errors
    /// When an entry is malformed.
    pub fn decode(value: Option<&Value>) -> Result<Self, EntryError> {
        let mut ledger = Self::default();
        let list = match value {
            None | Some(Value::Null) => return Ok(ledger),
            Some(value) => value.as_array().ok_or(EntryError::Shape)?,
        };
        for value in list {
            ledger.put(Entry::decode(value)?);
        }
        Ok(ledger)
    }

    /// Writes them in upstream's order; none if nobody owns anything.
    #[must_use]
    pub fn encode(&self) -> Option<Value> {
        let mut sorted: Vec<&Entry> = self.entries.iter().collect();
        sorted.sort_by_cached_key(|entry| {
            let who = (&entry.manager, &entry.api_version, &entry.subresource);
            (entry.operation, entry.seconds(), who)
        });
        let list: Vec<Value> = sorted.into_iter().map(Entry::encode).collect();
        (!list.is_empty()).then_some(Value::Array(list))
    }

    /// True if nobody owns anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts an entry in the place of the one of the same identity, and answers that.
    fn put(&mut self, entry: Entry) -> Option<Entry> {
        match self.position(&entry) {
            Some(at) => Some(std::mem::replace(&mut self.entries[at], entry)),
            None => {
                self.entries.push(entry);
                None
            }
        }
    }

    /// Puts an entry in place, and adds to it what the one of the same identity owned.
    fn join(&mut self, mut entry: Entry) {
        if let Some(at) = self.position(&entry) {
            let before = std::mem::take(&mut self.entries[at].fields);
            entry.fields = before.union(entry.fields);
        }
        self.put(entry);
    }

    fn position(&self, entry: &Entry) -> Option<usize> {
        self.entries
            .iter()
            .position(|own| own.identity() == entry.identity())
    }

    /// Forgets entries in versions that are not served any more, and fits the others to the type as
    /// it is now.
    pub fn refresh(&mut self, type_: &Type, is_served: impl Fn(&str) -> bool) {
        self.entries.retain(|entry| is_served(&entry.api_version));
        for entry in &mut self.entries {
            entry.fields = reconcile(type_, &entry.fields);
        }
    }

    /// Takes what was changed from everybody for whom `from` holds.
    fn take(&mut self, changes: &Changes, set: &Set, from: impl Fn(&Entry) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| from(entry)) {
            entry.fields = entry.fields.difference(set).difference(&changes.removed);
        }
        self.entries.retain(|entry| !entry.fields.is_empty());
    }

    /// A write by somebody who owns nothing.
    pub fn disown(&mut self, changes: &Changes) {
        self.take(changes, &changes.set(), |_| true);
    }

    /// A write that is no apply: the writer owns what it has set, and nobody else does.
    pub fn update(&mut self, changes: &Changes, claim: &Claim<'_>) {
        let set = changes.set();
        self.take(changes, &set, |_| true);
        if !set.is_empty() {
            self.join(claim.entry(Operation::Update, set));
        }
        self.cap();
    }

    /// Takes the oldest updates of each version together until few enough are left.
    fn cap(&mut self) {
        let is_update = |entry: &&Entry| entry.operation == Operation::Update;
        let mut count = self.entries.iter().filter(is_update).count();
        if count <= UPDATERS_MAX {
            return;
        }
        let mut old: Vec<Entry> = self.entries.iter().filter(is_update).cloned().collect();
        self.entries
            .retain(|entry| entry.operation == Operation::Apply);
        old.sort_by_cached_key(|entry| {
            let who = (
                entry.manager.clone(),
                entry.api_version.clone(),
                entry.subresource.clone(),
            );
            (entry.seconds(), who)
        });
        // The first of a version stays as it is until there is a second.
        let mut kept: Vec<Entry> = Vec::new();
        for entry in old {
            let earlier = kept
                .iter_mut()
                .find(|own| own.api_version == entry.api_version);
            match earlier {
                Some(earlier) if count > UPDATERS_MAX => {
                    ANCIENT.clone_into(&mut earlier.manager);
                    earlier.subresource.clear();
                    earlier.time = entry.time;
                    earlier.fields = std::mem::take(&mut earlier.fields).union(entry.fields);
                    count -= 1;
                }
                Some(_) | None => kept.push(entry),
            }
        }
        kept.into_iter().for_each(|entry| self.join(entry));
    }

    /// The applier's entry from now on; answers what it owned before.
    pub fn claim(&mut self, claim: &Claim<'_>, fields: Set) -> Set {
        let before = self.put(claim.entry(Operation::Apply, fields));
        self.entries.retain(|entry| !entry.fields.is_empty());
        before.map_or_else(Set::default, |entry| entry.fields)
    }

    /// Everything anybody owns.
    #[must_use]
    pub fn owned(&self) -> Set {
        let all = self.entries.iter().map(|entry| entry.fields.clone());
        all.fold(Set::default(), Set::union)
    }

    /// What others than the applier own of what it changes, by owner.
    #[must_use]
    pub fn conflicts(&self, claim: &Claim<'_>, changes: &Changes) -> Vec<(&Entry, Set)> {
        let own = claim.entry(Operation::Apply, Set::default());
        let set = changes.set();
        let others = self
            .entries
            .iter()
            .filter(|entry| entry.identity() != own.identity());
        let mut found: Vec<_> = others
            .map(|entry| (entry, entry.fields.intersection(&set)))
            .filter(|(_, conflict)| !conflict.is_empty())
            .collect();
        found.sort_by_key(|(entry, _)| entry.identity());
        found
    }

    /// Takes what the applier changed from everybody else.
    pub fn applied(&mut self, claim: &Claim<'_>, changes: &Changes) {
        let own = claim.entry(Operation::Apply, Set::default());
        let set = changes.set();
        self.take(changes, &set, |entry| entry.identity() != own.identity());
    }

    /// True if everybody owns the same as in the other, whenever they came to it.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let twin = |entry: &Entry| other.position(entry).map(|at| &other.entries[at]);
        let same = |entry: &Entry| {
            let twin = twin(entry);
            twin.is_some_and(|t| t.fields == entry.fields && t.api_version == entry.api_version)
        };
        self.entries.len() == other.entries.len() && self.entries.iter().all(same)
    }
}

/// `[]` and `[{}]`: somebody wants tracking to begin anew.
#[must_use]
pub fn is_reset(managed: &Value) -> bool {
    let Some(list) = managed.as_array() else {
        return false;
    };
    match list.as_slice() {
        [] => true,
        [only] => only.as_object().is_some_and(serde_json::Map::is_empty),
        [_, _, ..] => false,
    }
}
