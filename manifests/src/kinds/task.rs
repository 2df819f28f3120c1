//! `Task`: one thing to run.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::duration::Span;
use crate::explain::Explanation;
use crate::lifecycle::TaskState;
use crate::resources::ResourceList;

/// One thing to run, once or until it succeeds.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "Task",
    plural = "tasks",
    singular = "task",
    shortname = "tk",
    category = "all",
    category = "stoa",
    namespaced,
    status = "TaskStatus",
    derive = "PartialEq",
    selectable = ".spec.agent",
    selectable = ".spec.framework",
    selectable = ".status.state",
    validation = kube::core::Rule::new("self.spec.framework == oldSelf.spec.framework")
        .message("framework is immutable; create another task instead"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Framework", type_ = "string", json_path = ".spec.framework"),
    printcolumn(name = "Agent", type_ = "string", json_path = ".spec.agent"),
    printcolumn(name = "Exit", type_ = "integer", json_path = ".status.exitCode"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".status.attempt", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = require_framework)]
pub struct TaskSpec {
    /// The Framework, in the same namespace, that schedules this task.
    // Read without it, since a member of a group or of an acceptance may leave it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1))]
    pub framework: String,
    /// Program and arguments, run without a shell, e.g. `["/bin/sh", "-c", "echo hello"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Environment in addition to what Stoa sets (`STOA_TASK`, `STOA_NAMESPACE`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the task asks for and is charged for; absent resources are 0.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub resources: ResourceList,
    /// Ceilings enforced by the agent where the machine allows it; default: `mem` as requested.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub limits: ResourceList,
    /// Higher leaves the queue first under the policy Priority. Default 0.
    #[serde(default)]
    pub priority: i32,
    /// Which agents will do; every entry has to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// What happens when the command ends. Default Never.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// Bounds and pace of restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How the task is asked to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_policy: Option<KillPolicy>,
    /// The group this task starts with, if any (set by TaskGroup).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The agent the task is bound to. Written by the accept verb alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The reservation whose resources the task uses. Written by the accept verb alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// True asks the agent to stop the task (a delete does the same).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
}

fn require_framework(schema: &mut schemars::Schema) {
    schema.insert("required".to_owned(), serde_json::json!(["framework"]));
}

/// The schema of a task's spec whose framework is said elsewhere.
pub(super) fn member_spec(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = TaskSpec::json_schema(generator);
    schema.remove("required");
    schema
}

/// A requirement on an agent's attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Constraint {
    /// Attribute name; `agent` stands for the agent's own name.
    #[schemars(length(min = 1))]
    pub attribute: String,
    /// How the attribute relates to the values.
    pub operator: ConstraintOperator,
    /// Values for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How an attribute relates to a constraint's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConstraintOperator {
    /// The attribute has one of the values.
    #[default]
    In,
    /// The attribute has none of the values, or is absent.
    NotIn,
    /// The attribute is present.
    Exists,
    /// The attribute is absent.
    DoesNotExist,
}

/// What happens when the command ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// The first end is the end.
    #[default]
    Never,
    /// Run again after a failure.
    OnFailure,
    /// Run again whatever the exit code.
    Always,
}

/// Bounds and pace of restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Runs in all, the first included; absent: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
    /// Pause before the second run; doubles up to `maxBackoff`. Default 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Span>,
    /// Longest pause. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Span>,
}

/// How a task is asked to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KillPolicy {
    /// Time between SIGTERM and SIGKILL. Default 3s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<Span>,
}

/// What is known of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Where in its life the task is.
    #[serde(default)]
    pub state: TaskState,
    /// Who said so: `Scheduler`, `Agent`, `Controller`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// One CamelCase word on why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence on why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The agent of the present or last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Runs begun before this one.
    #[serde(default)]
    pub attempt: u32,
    /// Exit code of the last run; 128 + n for signal n.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When the task was bound to its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_at: Option<MicroTime>,
    /// When the command was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<MicroTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<MicroTime>,
    /// A retry does not begin before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Why the task waits, as the scheduler computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Explanation>,
    /// Limits the machine could not enforce, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_enforced: Vec<String>,
    /// `Scheduled`, `Started`, `Complete`, for `kubectl wait --for=condition=...`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
