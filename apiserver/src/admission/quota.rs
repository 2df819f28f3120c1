//! ResourceQuota: what a namespace may hold, and what it holds.
//!
//! A creation that a quota is about adds to the quota's `status.used` in its own transaction, so
//! two creators cannot both take the last place. What is released is found by counting: nobody
//! subtracts, so nothing can be subtracted twice (docs/decisions/017-admission.md).

pub mod measure;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use manifests::kinds::GROUP;
use manifests::resources::Milli;
use serde_json::{Map, Value, json};
use store::View;

pub use measure::{Measure, Usage};

use crate::keys;
use crate::metadata;
use crate::object;
use crate::registry::builtin::admission::QUOTAS;
use crate::world::World;

/// What is written: a resource, and the object before and after.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// API group.
    pub group: &'a str,
    /// Plural.
    pub plural: &'a str,
    /// In which namespace.
    pub namespace: &'a str,
    /// None: it is created.
    pub old: Option<&'a Value>,
    /// As it is to be stored.
    pub new: &'a Value,
}

impl Change<'_> {
    fn is_task(&self) -> bool {
        self.group == GROUP && self.plural == "tasks"
    }
}

/// Charges the quotas of the namespace for a change.
///
/// # Errors
/// The sentence that follows `is forbidden: `.
pub fn charge(world: &mut World, change: &Change<'_>) -> Result<(), String> {
    // An object is counted when it comes; after that only a task's wishes can grow.
    if change.old.is_some() && !change.is_task() {
        return Ok(());
    }
    let prefix = keys::object("", QUOTAS, Some(change.namespace), "");
    let quotas: Vec<(Bytes, Value)> = world
        .view()
        .prefix(&prefix)
        .map(|item| (item.key.clone(), object::decode(&item)))
        .collect();
    if quotas.is_empty() {
        return Ok(());
    }
    let usage = change.is_task().then(|| Usage::of(change.new));
    let before = change.old.map(Usage::of);
    for (key, seen) in quotas {
        // Only a quota that is about this change becomes a guard of the transaction.
        let wanted = requested(&seen, change, usage.as_ref(), before.as_ref())?;
        if wanted.is_empty() {
            continue;
        }
        if let Some(quota) = world.read(&key) {
            let charged = charged(&quota, &wanted)?;
            world.put(&key, charged);
        }
    }
    Ok(())
}

type Wanted = BTreeMap<String, (Measure, Milli)>;

/// What the change adds to each entry of a quota, where it adds anything.
fn requested(
    quota: &Value,
    change: &Change<'_>,
    usage: Option<&Usage>,
    before: Option<&Usage>,
) -> Result<Wanted, String> {
    let (mut wanted, mut unsaid) = (Wanted::new(), Vec::new());
    for (name, _) in hard(quota) {
        let Some(measure) = Measure::of(name) else {
            continue;
        };
        if usage.is_some_and(|usage| usage.live && measure.is_unsaid(usage)) {
            unsaid.push(name.as_str());
        }
        let now = measure.taken(change.group, change.plural, usage);
        let then = match change.old {
            Some(_) => measure.taken(change.group, change.plural, before),
            None => Milli::ZERO,
        };
        let added = now.saturating_sub(then);
        if !added.is_zero() {
            wanted.insert(name.clone(), (measure, added));
        }
    }
    // A task that said nothing before may be changed otherwise.
    if !unsaid.is_empty() && (change.old.is_none() || !wanted.is_empty()) {
        let name = metadata::text(quota, "name");
        return Err(format!(
            "failed quota: {name}: must specify {}",
            unsaid.join(",")
        ));
    }
    Ok(wanted)
}

fn hard(quota: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let hard = quota.pointer("/spec/hard").and_then(Value::as_object);
    hard.into_iter().flatten()
}

/// An entry that would be exceeded.
struct Over<'a> {
    name: &'a str,
    measure: &'a Measure,
    added: Milli,
    used: Milli,
    limit: Milli,
}

/// The quota with the additions in its status.
fn charged(quota: &Value, wanted: &Wanted) -> Result<Value, String> {
    let (mut charged, mut over) = (quota.clone(), Vec::new());
    for (name, (measure, added)) in wanted {
        let amount = |part: &str| {
            let value = quota.pointer(part).and_then(|amounts| amounts.get(name));
            value
                .and_then(|value| measure.amount(value).ok())
                .unwrap_or_default()
        };
        let (used, limit) = (amount("/status/used"), amount("/spec/hard"));
        match used.checked_add(*added).filter(|sum| *sum <= limit) {
            Some(sum) => set(&mut charged, "used", name, measure.text(sum)),
            None => over.push(Over {
                name,
                measure,
                added: *added,
                used,
                limit,
            }),
        }
    }
    if over.is_empty() {
        return Ok(charged);
    }
    let list = |which: fn(&Over<'_>) -> Milli| {
        let entries = over
            .iter()
            .map(|one| format!("{}={}", one.name, one.measure.text(which(one))));
        entries.collect::<Vec<_>>().join(",")
    };
    Err(format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        metadata::text(quota, "name"),
        list(|one| one.added),
        list(|one| one.used),
        list(|one| one.limit),
    ))
}

fn set(quota: &mut Value, field: &str, name: &str, text: String) {
    let place = &mut quota["status"][field];
    if !place.is_object() {
        *place = json!({});
    }
    place[name] = text.into();
}

/// What was counted before, so that counting again parses only what changed.
#[derive(Debug, Default)]
pub struct Tally {
    tasks: BTreeMap<Bytes, (u64, Usage)>,
}

/// The status of a quota by what the view holds.
#[must_use]
pub fn status(view: &View, quota: &Value, namespace: &str, tally: &mut Tally) -> Value {
    let names: BTreeSet<&String> = hard(quota).map(|(name, _)| name).collect();
    let measures: Vec<(&String, Measure)> = names
        .into_iter()
        .filter_map(|name| Some((name, Measure::of(name)?)))
        .collect();
    let weighs = |measure: &Measure| {
        matches!(
            measure,
            Measure::Tasks | Measure::Requests(_) | Measure::Limits(_)
        )
    };
    if measures.iter().any(|(_, measure)| weighs(measure)) {
        tally.refresh(view, namespace);
    }
    let mut used = Map::new();
    for (name, measure) in measures {
        let amount = match &measure {
            Measure::Count(group, plural) => count(view, group, plural, namespace),
            Measure::Tasks | Measure::Requests(_) | Measure::Limits(_) | Measure::Nothing => {
                tally.sum(&measure)
            }
        };
        used.insert(name.clone(), measure.text(amount).into());
    }
    json!({"hard": quota.pointer("/spec/hard").cloned().unwrap_or_else(|| json!({})), "used": used})
}

fn count(view: &View, group: &str, plural: &str, namespace: &str) -> Milli {
    let found = view
        .prefix(&keys::object(group, plural, Some(namespace), ""))
        .count();
    i64::try_from(found)
        .ok()
        .and_then(Milli::whole)
        .unwrap_or(Milli::MAX)
}

impl Tally {
    fn refresh(&mut self, view: &View, namespace: &str) {
        let mut before = std::mem::take(&mut self.tasks);
        for item in view.prefix(&keys::object(GROUP, "tasks", Some(namespace), "")) {
            let known = before
                .remove(&item.key)
                .filter(|known| known.0 == item.mod_revision);
            let known =
                known.unwrap_or_else(|| (item.mod_revision, Usage::of(&object::decode(&item))));
            self.tasks.insert(item.key, known);
        }
    }

    fn sum(&self, measure: &Measure) -> Milli {
        let each = self
            .tasks
            .values()
            .map(|(_, usage)| measure.taken(GROUP, "tasks", Some(usage)));
        each.fold(Milli::ZERO, |sum, one| {
            sum.checked_add(one).unwrap_or(Milli::MAX)
        })
    }
}

/// Brings the quotas of a namespace in line with what it holds. Every creation that is charged
/// changes its quota, so a quota that has not changed since the view was taken has missed none.
pub fn recount(world: &mut World, namespace: &str, tally: &mut Tally) {
    let prefix = keys::object("", QUOTAS, Some(namespace), "");
    let found: Vec<Bytes> = world.view().keys(&prefix).map(|(key, _)| key).collect();
    for key in found {
        let Some(quota) = world.read(&key) else {
            continue;
        };
        let status = status(world.view(), &quota, namespace, tally);
        if quota.get("status") != Some(&status) {
            let mut counted = (*quota).clone();
            counted["status"] = status;
            world.put(&key, counted);
        }
    }
}

/// True if the namespace has a quota.
#[must_use]
pub fn is_limited(view: &View, namespace: &str) -> bool {
    let prefix = keys::object("", QUOTAS, Some(namespace), "");
    view.keys(&prefix).next().is_some()
}

#[cfg(test)]
mod tests;
