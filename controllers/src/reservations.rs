//! Binds reservations to agents: as many as asked for, each with the room, and says why not.

use std::collections::BTreeSet;

use manifests::condition::{self, Condition};
use manifests::kinds::{AgentPhase, ReservationStatus};
use serde_json::{Value, json};

use crate::allocator::{Ledger, is_within};
use crate::effect::{Record, Token, Write};
use crate::model::{Agent, Key, Name, Reservation};
use crate::ops;
use crate::world::World;

/// The status every reservation should have and has not. `taken` names agents promised to another
/// reservation by a write that is still under way, with what they hold in the ledger unknown yet.
#[must_use]
pub fn reconcile(
    world: &World,
    ledger: &mut Ledger,
    flying: &BTreeSet<Key>,
    now_ms: u64,
) -> (Vec<Write>, Vec<Record>) {
    let (mut writes, mut records) = (Vec::new(), Vec::new());
    // One at a time where two would choose among the same agents: the ledger knows of a choice
    // only once its write was seen.
    if !flying.is_empty() {
        return (writes, records);
    }
    for reservation in world.reservations.iter().filter(|r| !r.meta.deleting) {
        let status = bind(world, ledger, reservation, now_ms);
        if status == reservation.status {
            continue;
        }
        records.extend(record(reservation, &status));
        let grown = status.agents != reservation.status.agents;
        writes.push(write(reservation, &status));
        if grown {
            break;
        }
    }
    (writes, records)
}

fn bind(world: &World, ledger: &mut Ledger, of: &Reservation, now_ms: u64) -> ReservationStatus {
    let known = |name: &&String| world.agents.get(name.as_str()).is_some();
    let mut agents: Vec<String> = of.status.agents.iter().filter(known).cloned().collect();
    let lost = of.status.agents.len() - agents.len();
    agents.truncate(of.count);
    let mut refused = Vec::new();
    for agent in world.agents.iter() {
        if agents.len() >= of.count {
            break;
        }
        if agents.iter().any(|chosen| **chosen == *agent.name) {
            continue;
        }
        match suits(world, ledger, of, agent) {
            Ok(()) => agents.push(agent.name.to_string()),
            Err(why) => refused.push((agent.name.clone(), why)),
        }
    }
    let absent = agents.iter().filter(|name| {
        world
            .agents
            .get(name.as_str())
            .is_none_or(|a| a.phase == AgentPhase::Unreachable)
    });
    let degraded = absent.count() + lost;
    describe(of, agents, degraded, &refused, now_ms)
}

/// Whether the agent can hold the reservation.
fn suits(
    world: &World,
    ledger: &mut Ledger,
    of: &Reservation,
    agent: &Agent,
) -> Result<(), String> {
    if agent.phase != AgentPhase::Ready {
        return Err("is not ready".to_owned());
    }
    if agent.unschedulable {
        return Err("is cordoned".to_owned());
    }
    let lacks = of
        .attributes
        .iter()
        .find(|(name, value)| agent.attributes.get(*name) != Some(value));
    if let Some((name, value)) = lacks {
        return Err(format!("has not the attribute {name}={value}"));
    }
    let account = ledger.account(&agent.name);
    if let Some((other, _)) = account.closed_to(&of.pool) {
        return Err(format!("is held by reservation {other}"));
    }
    if of.exclusive {
        alone(world, account, of, agent)?;
    }
    of.resources
        .fits_in(account.free(&None))
        .map_err(|shorts| shorts.first().map(ToString::to_string).unwrap_or_default())
}

fn alone(
    world: &World,
    account: &crate::allocator::Account,
    of: &Reservation,
    agent: &Agent,
) -> Result<(), String> {
    let pool = |framework: &Key| world.frameworks.get(framework).map(|f| f.pool.clone());
    let foreign = world
        .tasks_on(&agent.name)
        .find(|task| pool(&task.framework).is_none_or(|pool| !is_within(&pool, &of.pool)));
    if let Some(task) = foreign {
        return Err(format!("still runs task {}", task.key));
    }
    if let Some(other) = account.holds().keys().find(|key| **key != of.key) {
        return Err(format!("is shared with reservation {other}"));
    }
    if account.charged_in_all()
        != world
            .tasks_on(&agent.name)
            .fold(manifests::resources::Resources::default(), |sum, task| {
                crate::model::plus(&sum, &task.shape.resources)
            })
    {
        return Err("has offers standing".to_owned());
    }
    Ok(())
}

fn describe(
    of: &Reservation,
    agents: Vec<String>,
    degraded: usize,
    refused: &[(Name, String)],
    now_ms: u64,
) -> ReservationStatus {
    let bound = u32::try_from(agents.len()).unwrap_or(u32::MAX);
    let full = agents.len() >= of.count;
    let phase = match (full, degraded > 0 || !of.status.agents.is_empty()) {
        (true, _) if degraded == 0 => "Bound",
        (_, true) => "Degraded",
        (true | false, false) => "Pending",
    };
    let message = (phase != "Bound").then(|| {
        let why: Vec<String> = refused
            .iter()
            .take(3)
            .map(|(agent, why)| format!("agent {agent} {why}"))
            .collect();
        let why = if why.is_empty() {
            "there are no other agents".to_owned()
        } else {
            why.join("; ")
        };
        format!("{bound} of {} agents: {why}", of.count)
    });
    let mut conditions = of.status.conditions.clone();
    let wanted = Condition {
        kind: "Bound".to_owned(),
        status: if phase == "Bound" { "True" } else { "False" }.to_owned(),
        reason: Some(phase.to_owned()),
        message: message.clone(),
        last_transition_time: serde_json::from_value(Value::String(ops::time(now_ms))).ok(),
    };
    condition::set(&mut conditions, wanted);
    ReservationStatus {
        phase: Some(phase.to_owned()),
        bound,
        agents,
        message,
        conditions,
    }
}

fn record(of: &Reservation, status: &ReservationStatus) -> Option<Record> {
    if of.status.phase == status.phase {
        return None;
    }
    let phase = status.phase.as_deref().unwrap_or_default();
    let (warning, reason) = match phase {
        "Bound" => (false, "ReservationBound"),
        "Degraded" => (true, "ReservationDegraded"),
        _pending => (false, "ReservationPending"),
    };
    let message = status
        .message
        .clone()
        .unwrap_or_else(|| format!("holds on {}", status.agents.join(", ")));
    Some(Record {
        kind: "Reservation",
        namespace: of.key.namespace.to_string(),
        name: of.key.name.to_string(),
        uid: of.meta.uid.clone(),
        framework: None,
        warning,
        reason,
        message,
    })
}

fn write(of: &Reservation, status: &ReservationStatus) -> Write {
    let body = json!({
        "metadata": { "uid": of.meta.uid, "resourceVersion": of.meta.version.to_string() },
        "status": {
            "phase": status.phase,
            "bound": status.bound,
            "agents": status.agents,
            "message": status.message,
            "conditions": status.conditions,
        },
    });
    let operation = ops::patch_status("reservations", &of.key, body);
    Write::cold(Token::Reservation(of.key.clone()), vec![operation])
}
