//! `Seen`: what the agent needs to know of a task object.

use manifests::condition::Condition;
use manifests::kinds::Task;
use manifests::lifecycle::TaskState;

use super::id::RunId;

/// A version of a task, as the servers showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The run it asks for.
    pub id: RunId,
    /// Store revision of this version.
    pub version: u64,
    /// The agent it is bound to.
    pub agent: Option<String>,
    /// Its state by the servers' account.
    pub state: TaskState,
    /// By the servers' account the present run's command has been started.
    pub has_started: bool,
    /// Somebody wants it stopped.
    pub killed: bool,
    /// Time between asking and force, in milliseconds.
    pub grace_ms: u64,
    /// Conditions by the servers' account; a report has to carry them along.
    pub conditions: Vec<Condition>,
    /// The task itself.
    pub task: Box<Task>,
}

/// Grace where the task names none, as in Mesos.
const GRACE_MS: u64 = 3_000;

impl Seen {
    /// `None` when the object lacks what every stored object has.
    #[must_use]
    pub fn new(task: Task) -> Option<Self> {
        let status = task.status.clone().unwrap_or_default();
        let id = RunId::new(task.metadata.uid.as_deref()?, status.attempt)?;
        let grace = task
            .spec
            .kill_policy
            .as_ref()
            .and_then(|policy| policy.grace_period);
        Some(Self {
            id,
            version: task.metadata.resource_version.as_deref()?.parse().ok()?,
            agent: task.spec.agent.clone(),
            state: status.state,
            // A retry clears it. Whether it is later than `boundAt` says nothing: the one is by
            // this machine's clock, the other by a server's.
            has_started: status.started_at.is_some(),
            killed: task.spec.killed || task.metadata.deletion_timestamp.is_some(),
            grace_ms: grace.map_or(GRACE_MS, |grace| grace.ms()),
            conditions: status.conditions,
            task: Box::new(task),
        })
    }
}
