//! The life of a task: its states, what can happen to it, and the one table of legal moves.

mod moves;
mod retry;

use std::fmt;

pub use moves::{Illegal, TaskEvent, next, settle};
pub use retry::should_retry;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in its life a task is. The states are those of Mesos.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum TaskState {
    /// Waits for resources, or for the time of its next run.
    #[default]
    Pending,
    /// Bound to an agent that has not spoken of it yet.
    Staging,
    /// The agent prepares it.
    Starting,
    /// The command runs.
    Running,
    /// The command was asked to stop and has not ended yet.
    Killing,
    /// The command ended well.
    Finished,
    /// The command ended badly.
    Failed,
    /// Stopped on request.
    Killed,
    /// Could not be launched as described; no run will succeed.
    Error,
    /// The agent lost track of it; it may or may not have run.
    Lost,
    /// Never started; it is safe to start it elsewhere.
    Dropped,
    /// Its agent is not heard from; it may still run.
    Unreachable,
    /// Its agent is known to be gone, and the task with it.
    Gone,
    /// An operator said that its agent is gone for good.
    GoneByOperator,
    /// Nobody knows of it.
    Unknown,
}

impl TaskState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 15] = [
        Self::Pending,
        Self::Staging,
        Self::Starting,
        Self::Running,
        Self::Killing,
        Self::Finished,
        Self::Failed,
        Self::Killed,
        Self::Error,
        Self::Lost,
        Self::Dropped,
        Self::Unreachable,
        Self::Gone,
        Self::GoneByOperator,
        Self::Unknown,
    ];

    /// True when this run is over. Only a retry leaves such a state.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Error
            | Self::Lost
            | Self::Dropped
            | Self::Gone
            | Self::GoneByOperator => true,
            Self::Pending
            | Self::Staging
            | Self::Starting
            | Self::Running
            | Self::Killing
            | Self::Unreachable
            | Self::Unknown => false,
        }
    }

    /// True while the task holds resources on an agent.
    #[must_use]
    pub const fn is_active(self) -> bool {
        match self {
            Self::Staging | Self::Starting | Self::Running | Self::Killing | Self::Unreachable => {
                true
            }
            Self::Pending
            | Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Error
            | Self::Lost
            | Self::Dropped
            | Self::Gone
            | Self::GoneByOperator
            | Self::Unknown => false,
        }
    }

    /// The word used on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Staging => "Staging",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Killing => "Killing",
            Self::Finished => "Finished",
            Self::Failed => "Failed",
            Self::Killed => "Killed",
            Self::Error => "Error",
            Self::Lost => "Lost",
            Self::Dropped => "Dropped",
            Self::Unreachable => "Unreachable",
            Self::Gone => "Gone",
            Self::GoneByOperator => "GoneByOperator",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
