//! `Offer`: resources of one agent offered to one framework until it expires.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::task::TaskSpec;
use crate::resources::ResourceList;

/// Resources of one agent offered to one framework until it expires. Made by the allocator alone.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "Offer",
    plural = "offers",
    singular = "offer",
    shortname = "of",
    category = "stoa",
    namespaced,
    status = "OfferStatus",
    derive = "PartialEq",
    selectable = ".spec.framework",
    selectable = ".spec.agent",
    printcolumn(name = "Framework", type_ = "string", json_path = ".spec.framework"),
    printcolumn(name = "Agent", type_ = "string", json_path = ".spec.agent"),
    printcolumn(name = "CPUs", type_ = "string", json_path = ".spec.resources.cpus"),
    printcolumn(name = "Mem", type_ = "string", json_path = ".spec.resources.mem"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct OfferSpec {
    /// To whom.
    pub framework: String,
    /// The pool that is charged.
    pub pool: String,
    /// Whose resources.
    pub agent: String,
    /// What is offered.
    pub resources: ResourceList,
    /// The agent's attributes, so that a framework can place without reading agents.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The reservation (`namespace/name`) these resources come from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// After this the offer is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<MicroTime>,
}

/// What became of the offer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfferStatus {
    /// Open, Accepted or Declined.
    #[serde(default)]
    pub phase: OfferPhase,
    /// The tasks launched with it, once Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub launched: Vec<Launched>,
    /// After a decline, or for the unused remainder: how long not to offer the like again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_seconds: Option<f64>,
}

/// A task launched with an offer. The allocator keeps the offer charged until it has seen each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Launched {
    /// Name in the offer's namespace.
    pub name: String,
    /// Identity.
    pub uid: String,
    /// `status.attempt` of the run.
    #[serde(default)]
    pub attempt: u32,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OfferPhase {
    /// Stands until it expires.
    #[default]
    Open,
    /// Tasks were launched with it; the allocator settles and removes it.
    Accepted,
    /// Refused; the allocator notes the filter and removes it.
    Declined,
}

/// Body of `POST .../offers/NAME/accept`: tasks to launch on the offer's resources, all or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// `stoa.dev/v1`; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `OfferAcceptance`; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The tasks, each either the name of a Pending one or a whole new one.
    #[serde(default)]
    pub tasks: Vec<AcceptedTask>,
    /// How long the unused remainder is not offered again. Default 5 (Mesos).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_seconds: Option<f64>,
}

/// A task to launch: by name, or whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedTask {
    /// Name of an existing Pending task of the framework.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `name`: refuse unless the task is at this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// A new task: its metadata (name or generateName, labels, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub metadata: Option<ObjectMeta>,
    /// A new task: its spec. `framework` may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub spec: Option<TaskSpec>,
}

/// Body of `POST .../offers/NAME/decline`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// How long the like is not offered again. Default 5, negative means 5, at most 365 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_seconds: Option<f64>,
}
