//! What the entries of a quota measure, and what a task takes of it.

use std::collections::BTreeMap;

use manifests::lifecycle::TaskState;
use manifests::resources::{CPUS, DISK, GPUS, MEM, Milli, QuantityError, amount_text, canonical};
use serde_json::Value;

use crate::admission::limits::amounts;

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
        let amount: Milli = text.parse().map_err(|error| {
            if matches!(error, QuantityError::Negative(_)) {
                "must be greater than or equal to 0".to_owned()
            } else {
                error.to_string()
            }
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
    pub(super) fn taken(&self, group: &str, plural: &str, usage: Option<&Usage>) -> Milli {
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
    pub(super) fn is_unsaid(&self, usage: &Usage) -> bool {
        match self {
            Self::Requests(name) => {
                [CPUS, MEM].contains(&name.as_str()) && !usage.requests.contains_key(name)
            }
            Self::Limits(name) => {
                let by_request = name == MEM && usage.requests.contains_key(MEM);
                !(usage.limits.contains_key(name) || by_request)
            }
            Self::Count(..) | Self::Tasks | Self::Nothing => false,
        }
    }
}

pub(super) const ONE: Milli = match Milli::whole(1) {
    Some(one) => one,
    None => Milli::ZERO,
};

/// What a task takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub(super) live: bool,
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
