//! The parsed objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use manifests::condition::Condition;
use manifests::explain::Explanation;
use manifests::kinds::{
    AgentPhase, Constraint, GroupPlacement, Launched, OfferPhase, QueuePolicy, ReservationStatus,
    Scheduler, TaskGroupSpec, TaskGroupStatus,
};
use manifests::lifecycle::TaskState;
use manifests::resources::Resources;

use super::{Key, Name};

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Identity.
    pub uid: String,
    /// `resourceVersion`: our server's are one ascending counter.
    pub version: u64,
    /// Creation, ms since 1970.
    pub created_ms: u64,
    /// True once a deletion was asked for.
    pub deleting: bool,
    /// Who has to let go before the object may vanish.
    pub finalizers: Vec<String>,
    /// On whom it depends.
    pub owners: Vec<OwnerReference>,
}

/// A parsed ResourcePool.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Dotted name.
    pub name: Name,
    /// Common part.
    pub meta: Meta,
    /// Weight in thousandths.
    pub weight_milli: u64,
    /// Tie-break among equally entitled siblings.
    pub priority: i32,
    /// Order of the queue.
    pub policy: QueuePolicy,
    /// Promised resources.
    pub guarantees: Resources,
    /// Ceilings by resource, thousandths; a zero is a ceiling too.
    pub limits: BTreeMap<String, i64>,
    /// Status as stored.
    pub status: manifests::kinds::ResourcePoolStatus,
}

/// A parsed Framework.
#[derive(Clone, Debug, PartialEq)]
pub struct Framework {
    /// Name.
    pub key: Key,
    /// Common part.
    pub meta: Meta,
    /// The pool charged.
    pub pool: Name,
    /// Who schedules.
    pub scheduler: Scheduler,
    /// How long its offers stand; `None`: the cluster's default.
    pub offer_timeout_ms: Option<u64>,
    /// What an external one wants.
    pub appetite: Appetite,
    /// Status as stored.
    pub status: manifests::kinds::FrameworkStatus,
}

/// What an external framework wants to be offered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appetite {
    /// Nothing at all for now.
    pub suppressed: bool,
    /// Not worth less than this.
    pub minimum: Resources,
    /// Outstanding offers never exceed this; `None`: no bound.
    pub total: Option<Resources>,
}

/// What placement looks at; tasks alike share one.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Distinct for distinct shapes.
    pub id: u64,
    /// What is asked for.
    pub resources: Resources,
    /// Which agents will do.
    pub constraints: Vec<Constraint>,
}

/// A parsed Task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Name.
    pub key: Key,
    /// Common part.
    pub meta: Meta,
    /// Its framework.
    pub framework: Key,
    /// What placement looks at; the world makes it shared.
    pub shape: std::sync::Arc<Shape>,
    /// Leaves a Priority queue first.
    pub priority: i32,
    /// The group it starts with.
    pub group: Option<Key>,
    /// Where it is bound.
    pub agent: Option<Name>,
    /// The reservation it uses.
    pub reservation: Option<Key>,
    /// Where in its life.
    pub state: TaskState,
    /// Runs begun before this one.
    pub attempt: u32,
    /// Not to be placed earlier.
    pub not_before_ms: u64,
    /// Asked to stop.
    pub killed: bool,
    /// The run is over and another follows at this time.
    pub retry_at_ms: Option<u64>,
    /// Why it waits, as last written.
    pub waiting: Option<Explanation>,
    /// Its resources cannot be read.
    pub fault: Option<String>,
    /// What its status says of the present or last run: a sentence, or a word.
    pub said: Option<String>,
    /// Exit code of the last run.
    pub exit_code: Option<i32>,
}

impl Task {
    /// True while it holds resources of an agent.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.agent.is_some() && self.state.is_active()
    }

    /// True when it could be placed, were there room.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state == TaskState::Pending && !self.meta.deleting && !self.killed
    }
}

/// A parsed TaskGroup.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Name.
    pub key: Key,
    /// Common part.
    pub meta: Meta,
    /// Together or anywhere.
    pub placement: GroupPlacement,
    /// As written: the members are made from it.
    pub spec: TaskGroupSpec,
    /// Status as stored.
    pub status: TaskGroupStatus,
}

/// A parsed Reservation.
#[derive(Clone, Debug, PartialEq)]
pub struct Reservation {
    /// Name.
    pub key: Key,
    /// Common part.
    pub meta: Meta,
    /// Who may use it.
    pub pool: Name,
    /// On how many agents.
    pub count: usize,
    /// Nobody else on these agents.
    pub exclusive: bool,
    /// Attributes an agent must have.
    pub attributes: BTreeMap<String, String>,
    /// Held on each agent.
    pub resources: Resources,
    /// Status as stored; `agents` is where it holds.
    pub status: ReservationStatus,
}

/// What a reservation holds on one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// For whom.
    pub pool: Name,
    /// How much.
    pub resources: Resources,
    /// The rest of the agent too.
    pub exclusive: bool,
}

/// A parsed Offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Name.
    pub key: Key,
    /// Common part.
    pub meta: Meta,
    /// To whom.
    pub framework: Key,
    /// Who is charged.
    pub pool: Name,
    /// Whose resources.
    pub agent: Name,
    /// What.
    pub resources: Resources,
    /// From which reservation.
    pub reservation: Option<Key>,
    /// When it ends, ms since 1970; `None`: never.
    pub expires_ms: Option<u64>,
    /// What became of it.
    pub phase: OfferPhase,
    /// Tasks launched with it.
    pub launched: Vec<Launched>,
    /// How long not to offer the like again, ms.
    pub refuse_ms: u64,
}

/// A parsed Agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Name.
    pub name: Name,
    /// Common part.
    pub meta: Meta,
    /// Whether it is heard from.
    pub phase: AgentPhase,
    /// Cordoned.
    pub unschedulable: bool,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
    /// What tasks may use.
    pub allocatable: Resources,
    /// Conditions as stored.
    pub conditions: Vec<Condition>,
}

/// A parsed Namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Name.
    pub name: Name,
    /// Common part.
    pub meta: Meta,
    /// `spec.finalizers`.
    pub finalizers: Vec<String>,
}
