//! Server-side apply: a configuration laid over an object by somebody who owns what it says.

use serde_json::{Map, Value};

use super::conflict::Conflict;
use super::ledger::{Claim, Ledger};
use super::merge::merge;
use super::prune::prune;
use super::scope::Scope;
use super::types::Type;

/// What everything below needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Applier<'a> {
    /// The type of the object.
    pub type_: &'a Type,
    /// The part of it that can be written here.
    pub scope: Scope,
    /// In whose name.
    pub claim: Claim<'a>,
}

/// Who owns what was there before anybody applied.
pub const BEFORE_FIRST_APPLY: &str = "before-first-apply";

impl Applier<'_> {
    /// The owners of an object nobody has applied to yet: all that is there belongs to one.
    #[must_use]
    pub fn first(&self, live: &Value) -> Ledger {
        let mut ledger = Ledger::default();
        let claim = Claim {
            manager: BEFORE_FIRST_APPLY,
            ..self.claim
        };
        ledger.update(&self.scope.changes(self.type_, None, live), &claim);
        ledger
    }

    /// The owners of an object that the configuration creates.
    #[must_use]
    pub fn create(&self, config: &Value) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.claim(&self.claim, self.scope.owned(self.type_, config));
        ledger
    }

    /// The object and its owners once the configuration is applied. Neither has managedFields.
    ///
    /// # Errors
    /// What others own and the configuration would change, unless it is forced.
    pub fn apply(
        &self,
        live: &Value,
        config: &Value,
        mut ledger: Ledger,
        force: bool,
    ) -> Result<(Value, Ledger), Vec<Conflict>> {
        let said = self.scope.owned(self.type_, config);
        let last = ledger.claim(&self.claim, said);
        let merged = merge(self.type_, live.clone(), config);
        let new = prune(self.type_, merged, &last, &ledger.owned());
        let changes = self.scope.changes(self.type_, Some(live), &new);
        if !force {
            let conflicts = ledger.conflicts(&self.claim, &changes);
            if !conflicts.is_empty() {
                return Err(Conflict::list(&conflicts));
            }
        }
        ledger.applied(&self.claim, &changes);
        Ok((new, ledger))
    }
}

/// True if two objects differ in nothing but who owns what.
#[must_use]
pub fn same_but_for_owners(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return a == b;
    };
    let same = |(key, value): (&String, &Value)| match (key.as_str(), value, b.get(key)) {
        ("metadata", Value::Object(own), Some(Value::Object(other))) => {
            unowned(own).eq(unowned(other))
        }
        (_, value, other) => other == Some(value),
    };
    a.len() == b.len() && a.iter().all(same)
}

fn unowned(metadata: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    metadata.iter().filter(|(name, _)| *name != "managedFields")
}
