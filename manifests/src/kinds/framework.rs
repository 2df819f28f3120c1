//! `Framework`: somebody who schedules tasks for a pool.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::duration::Span;
use crate::resources::ResourceList;

/// Somebody who schedules tasks for a pool.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "Framework",
    plural = "frameworks",
    singular = "framework",
    shortname = "fw",
    category = "stoa",
    namespaced,
    status = "FrameworkStatus",
    derive = "PartialEq",
    selectable = ".spec.pool",
    validation = kube::core::Rule::new("self.spec.pool == oldSelf.spec.pool")
        .message("pool is immutable; create another framework instead"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.pool"),
    printcolumn(name = "Scheduler", type_ = "string", json_path = ".spec.scheduler"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.running"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct FrameworkSpec {
    /// The ResourcePool that is charged for the tasks.
    #[schemars(length(min = 1))]
    pub pool: String,
    /// Who decides what runs where. Default Builtin.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// How long tasks outlive a scheduler that went away. Default 1w (Mesos: 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_timeout: Option<Span>,
    /// For an external framework: how long an offer stands before it expires. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer_timeout: Option<Span>,
    /// For an external framework: what it would like to be offered. Absent: whatever is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<Demand>,
}

/// Who decides what runs where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scheduler {
    /// Stoa's own scheduler places the framework's tasks.
    #[default]
    Builtin,
    /// A program watches the framework's Offers and accepts or declines them.
    External,
}

/// What an external framework asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// No offers are made while true (Mesos: SUPPRESS).
    #[serde(default)]
    pub suppressed: bool,
    /// An offer smaller than this is not worth making.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub minimum: ResourceList,
    /// Total outstanding offers are not grown beyond this.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub total: ResourceList,
}

/// What is known of the framework.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FrameworkStatus {
    /// Tasks placed and not ended.
    #[serde(default)]
    pub running: i64,
    /// Tasks waiting for resources.
    #[serde(default)]
    pub waiting: i64,
    /// `Ready` is False while the pool does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
