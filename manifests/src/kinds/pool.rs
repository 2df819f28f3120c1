//! `ResourcePool`: a node of the fairness tree, what Mesos calls a role.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resources::ResourceList;

/// A node of the fairness tree. Dotted names nest: `eng.batch` is a child of `eng`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "ResourcePool",
    plural = "resourcepools",
    singular = "resourcepool",
    shortname = "pool",
    shortname = "pools",
    category = "stoa",
    status = "ResourcePoolStatus",
    derive = "PartialEq",
    printcolumn(name = "Weight", type_ = "number", json_path = ".spec.weight"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
    printcolumn(name = "Share", type_ = "string", json_path = ".status.dominantShare"),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.running"),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(
        name = "Priority",
        type_ = "integer",
        json_path = ".spec.priority",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePoolSpec {
    /// Share of the parent relative to its siblings. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0.001, max = 1_000_000.0))]
    pub weight: f64,
    /// Order among pools that are equally entitled; higher goes first. Default 0.
    #[serde(default)]
    pub priority: i32,
    /// Order in which the tasks of built-in frameworks leave the queue. Default Fifo.
    #[serde(default)]
    pub policy: QueuePolicy,
    /// What the pool is promised, and what it may never exceed (its children included).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

fn one() -> f64 {
    1.0
}

/// How a queue of waiting tasks is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Hash)]
pub enum QueuePolicy {
    /// Oldest first.
    #[default]
    Fifo,
    /// Highest `spec.priority` first, then oldest.
    Priority,
}

/// Guarantees and limits of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Resources held back for the pool even while it does not use them.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub guarantees: ResourceList,
    /// Resources the pool and its children may not exceed together.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub limits: ResourceList,
}

/// What the allocator last computed for the pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePoolStatus {
    /// Resources used or offered in the pool and its children.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub allocated: ResourceList,
    /// Largest fraction of any resource of the cluster held by the pool, e.g. `0.250`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dominant_share: Option<String>,
    /// Tasks placed and not ended.
    #[serde(default)]
    pub running: i64,
    /// Tasks waiting for resources.
    #[serde(default)]
    pub waiting: i64,
}
