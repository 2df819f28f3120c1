//! `TaskGroup`: tasks that start together, all or nothing.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::task::TaskSpec;

/// Tasks that start together, all or nothing.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "TaskGroup",
    plural = "taskgroups",
    singular = "taskgroup",
    shortname = "tg",
    category = "stoa",
    namespaced,
    status = "TaskGroupStatus",
    derive = "PartialEq",
    selectable = ".spec.framework",
    validation = kube::core::Rule::new("self.spec.framework == oldSelf.spec.framework")
        .message("framework is immutable; create another group instead"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Framework", type_ = "string", json_path = ".spec.framework"),
    printcolumn(name = "Placement", type_ = "string", json_path = ".spec.placement"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TaskGroupSpec {
    /// The Framework that schedules the group.
    #[schemars(length(min = 1))]
    pub framework: String,
    /// Together on one agent, or anywhere. Default Spread.
    #[serde(default)]
    pub placement: GroupPlacement,
    /// The members; each becomes the Task `<group>-<name>` owned by the group.
    #[schemars(length(min = 1, max = 256))]
    pub tasks: Vec<GroupMember>,
}

/// Where the members of a group may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GroupPlacement {
    /// On any agents.
    #[default]
    Spread,
    /// All on one agent.
    SameAgent,
}

/// One member of a group. Its `framework` may be left out: the group's holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMember {
    /// Unique within the group.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What to run. `framework` must equal the group's.
    #[schemars(schema_with = "super::task::member_spec")]
    pub spec: TaskSpec,
}

/// What is known of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskGroupStatus {
    /// Pending, Running, Finished or Failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Members placed and not ended.
    #[serde(default)]
    pub running: i64,
    /// Members that ended well.
    #[serde(default)]
    pub finished: i64,
    /// Members that ended badly.
    #[serde(default)]
    pub failed: i64,
}
