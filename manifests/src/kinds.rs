//! The kinds of the group `stoa.dev`, one file each.
#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn repeats its keys, which the lint takes for attributes of one list"
)]

pub mod pool;

pub mod framework;

pub mod task;

pub mod group;

pub mod reservation;

pub mod offer;

pub mod agent;

pub mod revocation;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use agent::{Agent, AgentPhase, AgentSpec, AgentStatus};
pub use framework::{Framework, FrameworkSpec, FrameworkStatus, Scheduler};
pub use group::{GroupMember, GroupPlacement, TaskGroup, TaskGroupSpec, TaskGroupStatus};
pub use offer::{
    Acceptance, AcceptedTask, Launched, Offer, OfferPhase, OfferSpec, OfferStatus, Refusal,
};
pub use pool::{QueuePolicy, Quota, ResourcePool, ResourcePoolSpec, ResourcePoolStatus};
pub use reservation::{AgentSelector, Reservation, ReservationSpec, ReservationStatus};
pub use revocation::{Revocation, RevocationSpec};
pub use task::{
    Constraint, ConstraintOperator, KillPolicy, RestartPolicy, Retry, Task, TaskSpec, TaskStatus,
};

/// API group of our kinds.
pub const GROUP: &str = "stoa.dev";

/// Version of our kinds.
pub const VERSION: &str = "v1";

/// `group/version` of our kinds.
pub const API_VERSION: &str = "stoa.dev/v1";

/// The definitions of all our kinds, in the order in which they are best read.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        ResourcePool::crd(),
        Framework::crd(),
        Task::crd(),
        TaskGroup::crd(),
        Reservation::crd(),
        Offer::crd(),
        Agent::crd(),
        Revocation::crd(),
    ]
}

#[cfg(test)]
mod tests;
