//! Conditions as `kubectl wait --for=condition=X` reads them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of an object's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the aspect, e.g. `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One CamelCase word on why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence on why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When `status` last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// Sets a condition in place, keeping its transition time unless the status changes.
/// Returns true when anything changed.
pub fn set(conditions: &mut Vec<Condition>, mut wanted: Condition) -> bool {
    let Some(present) = conditions.iter_mut().find(|c| c.kind == wanted.kind) else {
        conditions.push(wanted);
        return true;
    };
    if present.status == wanted.status {
        wanted
            .last_transition_time
            .clone_from(&present.last_transition_time);
    }
    let changed = *present != wanted;
    *present = wanted;
    changed
}
