//! Feasibility and score: whether an agent can take what is asked, from where, and which is best.

use manifests::kinds::{AgentPhase, Constraint, ConstraintOperator};
use manifests::resources::{Ratio, Resources};

use crate::allocator::{Account, Ledger, Source};
use crate::model::{Agent, Key, Name, least_load};
use crate::world::World;

/// What is asked of an agent.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// How much.
    pub resources: &'a Resources,
    /// Which agents will do; all lists hold.
    pub constraints: Vec<&'a [Constraint]>,
    /// For whom.
    pub pool: &'a str,
    /// On no other agent.
    pub pin: Option<&'a Name>,
}

/// Why an agent cannot take it. The order is that of the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Not heard from.
    NotReady,
    /// Cordoned, or its offers are being settled after a change of leader.
    Closed,
    /// The rest of the group is on another agent.
    Elsewhere,
    /// A constraint does not hold.
    Constraint(Constraint),
    /// Even empty it could not.
    TooLarge,
    /// A reservation keeps it for another pool.
    Reserved(Key, Name),
    /// Others use it.
    Insufficient,
}

/// Whether the agent can take it, and from which source: a reservation of the pool first, so that
/// what is held is used before what is common.
///
/// # Errors
/// What stands in the way.
pub fn judge(agent: &Agent, account: &mut Account, ask: &Ask<'_>) -> Result<Source, Obstacle> {
    if agent.phase != AgentPhase::Ready {
        return Err(Obstacle::NotReady);
    }
    if agent.unschedulable || !account.open {
        return Err(Obstacle::Closed);
    }
    if ask.pin.is_some_and(|pin| *pin != agent.name) {
        return Err(Obstacle::Elsewhere);
    }
    if let Some(broken) = ask
        .constraints
        .iter()
        .copied()
        .flatten()
        .find(|c| !holds(c, agent))
    {
        return Err(Obstacle::Constraint(broken.clone()));
    }
    if !account.total.contains(ask.resources) {
        return Err(Obstacle::TooLarge);
    }
    if let Some((reservation, pool)) = account.closed_to(ask.pool) {
        return Err(Obstacle::Reserved(reservation.clone(), pool.clone()));
    }
    room(account, ask)
}

fn room(account: &mut Account, ask: &Ask<'_>) -> Result<Source, Obstacle> {
    let within = |pool: &str| crate::allocator::is_within(ask.pool, pool);
    let own: Vec<Key> = account
        .holds()
        .iter()
        .filter(|(_, held)| within(&held.pool))
        .map(|(key, _)| key.clone())
        .collect();
    for source in own.into_iter().map(Some).chain([None]) {
        if account.free(&source).contains(ask.resources) {
            return Ok(source);
        }
    }
    // Would it fit if others' reservations were not there?
    let others = account.holds().iter().find(|(_, held)| !within(&held.pool));
    if let Some((reservation, held)) = others
        && account.idle().contains(ask.resources)
    {
        return Err(Obstacle::Reserved(reservation.clone(), held.pool.clone()));
    }
    Err(Obstacle::Insufficient)
}

/// The best agent that can take it: one where the pool has a reservation to use up, then the one
/// left least loaded, so that work spreads.
pub fn choose(world: &World, ledger: &mut Ledger, ask: &Ask<'_>) -> Option<(Name, Source)> {
    let mut best: Option<((bool, Ratio), Name, Source)> = None;
    for agent in world.agents.iter() {
        let account = ledger.account(&agent.name);
        let Ok(source) = judge(agent, account, ask) else {
            continue;
        };
        let left = account.free(&None).saturating_sub(ask.resources);
        let score = (source.is_none(), least_load(&account.total, &left));
        if best.as_ref().is_none_or(|(least, ..)| score < *least) {
            best = Some((score, agent.name.clone(), source));
        }
    }
    best.map(|(_, agent, source)| (agent, source))
}

/// Whether the constraint holds on the agent.
fn holds(constraint: &Constraint, agent: &Agent) -> bool {
    let value = match constraint.attribute.as_str() {
        "agent" => Some(&*agent.name),
        attribute => agent.attributes.get(attribute).map(String::as_str),
    };
    let named = value.is_some_and(|value| constraint.values.iter().any(|v| v == value));
    match constraint.operator {
        ConstraintOperator::In => named,
        ConstraintOperator::NotIn => !named,
        ConstraintOperator::Exists => value.is_some(),
        ConstraintOperator::DoesNotExist => value.is_none(),
    }
}
