//! Why a task waits, as data: the scheduler computes it, `stoa why` prints the same value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a task waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// One sentence: the shortest true answer.
    pub summary: String,
    /// What would end the wait, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Classes of agents and why each was refused, largest class first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refused>,
}

/// A class of agents refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// How many agents.
    pub agents: u32,
    /// Up to three of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// The kind of obstacle.
    pub cause: Cause,
    /// The particulars, e.g. `needs 4 cpus, 1.5 free`.
    pub detail: String,
}

/// Kinds of obstacle between a task and an agent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, PartialOrd, Ord,
)]
pub enum Cause {
    /// The framework or its pool does not exist.
    #[default]
    NoFramework,
    /// There is no agent at all.
    NoAgents,
    /// The agent is not heard from.
    AgentNotReady,
    /// The agent is cordoned.
    Cordoned,
    /// A constraint does not hold.
    Constraint,
    /// The agent could never hold the task.
    TooLarge,
    /// Others use the resources now.
    Insufficient,
    /// A reservation holds the resources for another pool.
    Reserved,
    /// A guarantee of another pool holds the resources back.
    Guaranteed,
    /// The pool's limit is reached.
    QuotaLimit,
    /// It is other pools' turn.
    FairShare,
    /// A retry waits for its time.
    Backoff,
    /// Other members of the group do not fit.
    Group,
}
