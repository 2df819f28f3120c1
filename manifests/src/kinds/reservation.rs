//! `Reservation`: resources held for a pool on chosen agents.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::resources::ResourceList;

/// Resources held for a pool on chosen agents.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "Reservation",
    plural = "reservations",
    singular = "reservation",
    shortname = "rsv",
    category = "stoa",
    namespaced,
    status = "ReservationStatus",
    derive = "PartialEq",
    selectable = ".spec.pool",
    validation = kube::core::Rule::new("self.spec.pool == oldSelf.spec.pool")
        .message("pool is immutable; create another reservation instead"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Count", type_ = "integer", json_path = ".spec.count"),
    printcolumn(name = "Bound", type_ = "integer", json_path = ".status.bound"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ReservationSpec {
    /// The pool (and its children) that may use the resources.
    #[schemars(length(min = 1))]
    pub pool: String,
    /// On how many agents. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub count: u32,
    /// True: nobody else's tasks are placed on the chosen agents at all. Default false.
    #[serde(default)]
    pub exclusive: bool,
    /// Which agents may be chosen; empty: any.
    #[serde(default, skip_serializing_if = "AgentSelector::is_empty")]
    pub agent_selector: AgentSelector,
    /// Held on each chosen agent.
    pub resources: ResourceList,
}

fn one() -> u32 {
    1
}

/// Chooses agents by attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSelector {
    /// Attributes that must have exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_attributes: BTreeMap<String, String>,
}

impl AgentSelector {
    /// True when every agent matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_attributes.is_empty()
    }
}

/// Where the reservation holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationStatus {
    /// Pending (waits for agents), Bound, or Degraded (a chosen agent went away).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Number of agents chosen so far.
    #[serde(default)]
    pub bound: u32,
    /// The chosen agents, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Why it is not bound, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Bound` for `kubectl wait`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
