//! ResourceQuota: what a namespace may hold, and what it holds.
//!
//! A creation that a quota is about adds to the quota's `status.used` in its own transaction, so
//! two creators cannot both take the last place. What is released is found by counting: nobody
//! subtracts, so nothing can be subtracted twice (docs/decisions/017-admission.md).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use manifests::kinds::GROUP;
use manifests::lifecycle::TaskState;
use manifests::resources::{CPUS, DISK, GPUS, MEM, Milli, amount_text, canonical};
use serde_json::{Map, Value, json};
use store::View;

use super::limits::amounts;
use crate::keys;
use crate::metadata;
use crate::object;
use crate::registry::builtin::admission::QUOTAS;
use crate::world::World;

/// What one entry of a quota measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Objects of a resource, whatever their state: group and plural.
    Count(String, String),
    /// Tasks that have not ended.
    Tasks,
    /// What tasks that have not ended ask for.
    Requests(String),
    /// What they are limited to.
    Limits(String),
    /// Something there is none of here.
    Nothing,
}

/// Core resources that may be named without `count/`.
const PLAIN: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

/// What upstream knows beside, and there is none of here.
const ELSEWHERE: [&str; 5] = [
    "ephemeral-storage",
    "requests.ephemeral-storage",
    "requests.storage",
    "services.loadbalancers",
    "services.nodeports",
];

impl Measure {
    /// What the name of an entry stands for; none: it is no resource of quotas.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if let Some(resource) = name.strip_prefix("count/") {
            let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
            return (!plural.is_empty()).then(|| Self::Count(group.to_owned(), plural.to_owned()));
        }
        if PLAIN.contains(&name) {
            return Some(Self::Count(String::new(), name.to_owned()));
        }
        if ELSEWHERE.contains(&name) {
            return Some(Self::Nothing);
        }
        if name == "tasks" {
            return Some(Self::Tasks);
        }
        let wanted = |name: &str| (!name.is_empty()).then(|| canonical(name).to_owned());
        if let Some(resource) = name.strip_prefix("limits.") {
            return wanted(resource).map(Self::Limits);
        }
        if let Some(resource) = name.strip_prefix("requests.") {
            return wanted(resource).map(Self::Requests);
        }
        let own = [CPUS, MEM, DISK, GPUS, "network"].contains(&canonical(name));
        own.then(|| Self::Requests(canonical(name).to_owned()))
    }

    /// The amount an entry says.
    ///
    /// # Errors
    /// What is no amount, in words.
    pub fn amount(&self, value: &Value) -> Result<Milli, String> {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let amount: Milli = text.parse().map_err(|error| match error {
            manifests::resources::QuantityError::Negative(_) => {
                "must be greater than or equal to 0".to_owned()
            }
            other => other.to_string(),
        })?;
        let counts = matches!(self, Self::Count(..) | Self::Tasks);
        if counts && amount.get() % 1_000 != 0 {
            return Err("must be an integer".to_owned());
        }
        Ok(amount)
    }

    /// An amount as this entry is best read.
    #[must_use]
    pub fn text(&self, amount: Milli) -> String {
        match self {
            Self::Requests(name) | Self::Limits(name) => amount_text(name, amount),
            Self::Count(..) | Self::Tasks | Self::Nothing => amount.to_string(),
        }
    }

    /// How much of it one object takes.
    fn taken(&self, group: &str, plural: &str, usage: Option<&Usage>) -> Milli {
        let live = usage.filter(|usage| usage.live);
        match self {
            Self::Count(own_group, own_plural) if own_group == group && own_plural == plural => ONE,
            Self::Tasks if live.is_some() => ONE,
            Self::Requests(name) => live.map_or(Milli::ZERO, |usage| usage.request(name)),
            Self::Limits(name) => live.map_or(Milli::ZERO, |usage| usage.limit(name)),
            Self::Count(..) | Self::Tasks | Self::Nothing => Milli::ZERO,
        }
    }

    /// True if a task that says nothing about it would escape it.
    fn is_unsaid(&self, usage: &Usage) -> bool {
        match self {
            Self::Requests(name) => {
                [CPUS, MEM].contains(&name.as_str()) && !usage.requests.contains_key(name)
            }
            Self::Limits(name) => {
                !usage.limits.contains_key(name)
                    && !(name == MEM && usage.requests.contains_key(MEM))
            }
            Self::Count(..) | Self::Tasks | Self::Nothing => false,
        }
    }
}

const ONE: Milli = match Milli::whole(1) {
    Some(one) => one,
    None => Milli::ZERO,
};

/// What a task takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    live: bool,
    requests: BTreeMap<String, Milli>,
    limits: BTreeMap<String, Milli>,
}

impl Usage {
    /// Of a task as stored, or about to be.
    #[must_use]
    pub fn of(task: &Value) -> Self {
        let state = task.pointer("/status/state");
        let state: Option<TaskState> = state.and_then(|s| serde_json::from_value(s.clone()).ok());
        Self {
            live: !state.unwrap_or_default().is_terminal(),
            requests: amounts(task.pointer("/spec/resources")),
            limits: amounts(task.pointer("/spec/limits")),
        }
    }

    fn request(&self, name: &str) -> Milli {
        self.requests.get(name).copied().unwrap_or_default()
    }

    /// Memory is limited to what is asked for, unless another limit is named.
    fn limit(&self, name: &str) -> Milli {
        let named = self.limits.get(name).copied();
        named.unwrap_or_else(|| {
            if name == MEM {
                self.request(MEM)
            } else {
                Milli::ZERO
            }
        })
    }
}

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
            None => over.push((name, measure, added, used, limit)),
        }
    }
    if over.is_empty() {
        return Ok(charged);
    }
    let list = |which: &dyn Fn(&(&String, &Measure, &Milli, Milli, Milli)) -> Milli| {
        let entries = over
            .iter()
            .map(|one| format!("{}={}", one.0, one.1.text(which(one))));
        entries.collect::<Vec<_>>().join(",")
    };
    Err(format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        metadata::text(quota, "name"),
        list(&|one| *one.2),
        list(&|one| one.3),
        list(&|one| one.4),
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
            weighed => tally.sum(weighed),
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
    let found: Vec<Bytes> = world.view().prefix(&prefix).map(|item| item.key).collect();
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
    view.prefix(&prefix).next().is_some()
}

#[cfg(test)]
mod tests;
