//! Which agents are heard from, and what becomes of the tasks of those that are not.
//!
//! Heartbeats live in the leader's memory; only transitions are written. Silence counts from the
//! last heartbeat or from when this leader began to lead, whichever is later: what the former
//! leader heard is not known.

use std::collections::BTreeMap;

use manifests::condition::{self, Condition};
use manifests::kinds::AgentPhase;
use manifests::lifecycle::TaskState;
use manifests::wire::HeartbeatAges;
use serde_json::{Value, json};

use crate::effect::{Record, Token, Write};
use crate::model::{Agent, Task};
use crate::ops;
use crate::world::World;

/// Transitions of agents that this report of heartbeats calls for.
#[must_use]
pub fn agents(
    world: &World,
    beats: &HeartbeatAges,
    timeout_ms: u64,
    now_ms: u64,
) -> (Vec<Write>, Vec<Record>) {
    let ages: BTreeMap<&str, u64> = beats
        .items
        .iter()
        .map(|beat| (beat.agent.as_str(), beat.age_ms))
        .collect();
    let (mut writes, mut records) = (Vec::new(), Vec::new());
    for agent in world.agents.iter() {
        let age = ages.get(&*agent.name).copied();
        let silence_ms = age
            .unwrap_or(beats.leading_ms)
            .min(beats.leading_ms.max(age.unwrap_or(0)));
        let next = transition(agent.phase, age.is_some(), silence_ms > timeout_ms);
        if let Some(next) = next {
            writes.push(turn(agent, next, now_ms));
            records.push(record(agent, next, silence_ms));
        }
    }
    (writes, records)
}

/// The phase that follows, if another does.
fn transition(phase: AgentPhase, heard: bool, silent: bool) -> Option<AgentPhase> {
    match phase {
        // Registering → Ready: first heard. An agent that registers and is never heard stays.
        AgentPhase::Registering => (heard && !silent).then_some(AgentPhase::Ready),
        // Ready → Unreachable: silent for too long.
        AgentPhase::Ready => silent.then_some(AgentPhase::Unreachable),
        // Unreachable → Ready: heard again.
        AgentPhase::Unreachable => (heard && !silent).then_some(AgentPhase::Ready),
    }
}

fn turn(agent: &Agent, phase: AgentPhase, now_ms: u64) -> Write {
    let (status, reason) = match phase {
        AgentPhase::Ready => ("True", "Heartbeat"),
        AgentPhase::Unreachable => ("Unknown", "HeartbeatLost"),
        AgentPhase::Registering => ("False", "Registering"),
    };
    let mut conditions = agent.conditions.clone();
    let ready = Condition {
        kind: "Ready".to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: None,
        last_transition_time: serde_json::from_value(Value::String(ops::time(now_ms))).ok(),
    };
    condition::set(&mut conditions, ready);
    let body = json!({
        "metadata": { "uid": agent.meta.uid, "resourceVersion": agent.meta.version.to_string() },
        "status": { "phase": phase, "since": ops::time(now_ms), "conditions": conditions },
    });
    let operation = ops::patch_cluster_status("agents", &agent.name, body);
    Write::cold(Token::Liveness(agent.name.clone()), vec![operation])
}

fn record(agent: &Agent, phase: AgentPhase, silence_ms: u64) -> Record {
    let (warning, reason, message) = match phase {
        AgentPhase::Ready => (false, "AgentReady", "the agent is heard from".to_owned()),
        AgentPhase::Unreachable => (
            true,
            "AgentUnreachable",
            format!("not heard from for {} s", silence_ms / 1_000),
        ),
        AgentPhase::Registering => (false, "AgentRegistering", "the agent registers".to_owned()),
    };
    Record {
        kind: "Agent",
        namespace: String::new(),
        name: agent.name.to_string(),
        uid: agent.meta.uid.clone(),
        framework: None,
        warning,
        reason,
        message,
    }
}

/// Tasks whose agent is unreachable, or was removed by an operator, and that do not say so yet.
#[must_use]
pub fn tasks(world: &World, now_ms: u64) -> Vec<Write> {
    let mut writes = Vec::new();
    for agent in world.occupied_agents() {
        let known = world.agents.get(agent);
        let fate = match known.map(|agent| agent.phase) {
            Some(AgentPhase::Ready | AgentPhase::Registering) => continue,
            Some(AgentPhase::Unreachable) => Fate::Unreachable,
            None => Fate::Gone,
        };
        writes.extend(
            world
                .tasks_on(agent)
                .filter_map(|task| fate.write(task, now_ms)),
        );
    }
    writes
}

enum Fate {
    Unreachable,
    Gone,
}

impl Fate {
    fn write(&self, task: &Task, now_ms: u64) -> Option<Write> {
        let agent = task.agent.as_deref().unwrap_or_default();
        let status = match self {
            Self::Unreachable if task.state == TaskState::Unreachable => return None,
            Self::Unreachable => json!({
                "state": TaskState::Unreachable,
                "source": "Controller",
                "reason": "AgentUnreachable",
                "message": format!("agent {agent} is not heard from; the task may still run"),
            }),
            Self::Gone => json!({
                "state": TaskState::GoneByOperator,
                "source": "Controller",
                "reason": "AgentRemoved",
                "message": format!("agent {agent} was removed by an operator"),
                "finishedAt": ops::micro_time(now_ms),
                "conditions": [{
                    "type": "Complete",
                    "status": "True",
                    "reason": "AgentRemoved",
                    "lastTransitionTime": ops::time(now_ms),
                }],
            }),
        };
        let body = json!({ "metadata": ops::guarded(task), "status": status });
        let operation = ops::patch_status("tasks", &task.key, body);
        Some(Write::cold(Token::Task(task.key.clone()), vec![operation]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_turn_as_heartbeats_say() {
        use AgentPhase::{Ready, Registering, Unreachable};
        let table = [
            (Registering, false, false, None),
            (Registering, true, false, Some(Ready)),
            (Registering, false, true, None),
            (Registering, true, true, None),
            (Ready, true, false, None),
            (Ready, false, false, None),
            (Ready, true, true, Some(Unreachable)),
            (Ready, false, true, Some(Unreachable)),
            (Unreachable, false, true, None),
            (Unreachable, true, true, None),
            (Unreachable, false, false, None),
            (Unreachable, true, false, Some(Ready)),
        ];
        for (phase, heard, silent, next) in table {
            assert_eq!(
                transition(phase, heard, silent),
                next,
                "{phase:?} {heard} {silent}"
            );
        }
    }
}
