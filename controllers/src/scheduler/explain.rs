//! Why a task waits, from the very checks that placed it nowhere.

use std::collections::BTreeMap;

use manifests::explain::{Cause, Explanation, Refused};
use manifests::resources::{Ratio, Resources, Short, amount_text};

use super::place::{Ask, Obstacle, judge};
use super::queue::{Queue, Unit};
use crate::allocator::{Allocator, Headroom, Turn, within_limits};
use crate::model::{Agent, Key, Name};
use crate::world::World;

/// Names given for each class of agents.
const EXAMPLES_MAX: usize = 3;

/// Why the unit cannot be placed now.
pub fn explain(
    world: &World,
    allocator: &mut Allocator,
    queue: &Queue,
    framework: &Key,
    unit: &Unit,
) -> Explanation {
    let Some(pool) = pool_of(world, framework) else {
        return homeless(world, framework);
    };
    let Some(task) = unit.tasks.first() else {
        return Explanation::default();
    };
    if let Some(fault) = &task.fault {
        return simple(
            Cause::TooLarge,
            format!("its resources cannot be read: {fault}"),
            None,
        );
    }
    let resources = if unit.together {
        sum(unit)
    } else {
        task.shape.resources.clone()
    };
    if let Err(hit) = within_limits(world, &allocator.usage, &pool, &resources) {
        let amount = |amount| amount_text(&hit.resource, amount);
        let detail = format!(
            "pool {} uses {} of at most {} {}, and this asks for {} more",
            hit.pool,
            amount(hit.has),
            amount(hit.limit),
            hit.resource,
            amount(hit.more)
        );
        let relief = format!(
            "tasks of pool {} to end, or its limit to be raised",
            hit.pool
        );
        return simple(Cause::QuotaLimit, detail, Some(relief));
    }
    let constraints = unit
        .tasks
        .iter()
        .take(if unit.together { usize::MAX } else { 1 });
    let constraints = constraints
        .map(|task| task.shape.constraints.as_slice())
        .collect();
    let ask = Ask {
        resources: &resources,
        constraints,
        pool: &pool,
        pin: unit.pin.as_ref(),
    };
    let mut refusals = survey(world, allocator, &ask);
    if refusals.fits > 0 {
        let (cause, detail) = fitting(allocator, world, queue, &pool, &resources, unit);
        refusals.found.push(Refused {
            agents: refusals.fits,
            examples: Vec::new(),
            cause,
            detail,
        });
    }
    summarise(refusals.found, &resources)
}

fn sum(unit: &Unit) -> Resources {
    unit.tasks.iter().fold(Resources::default(), |sum, task| {
        crate::model::plus(&sum, &task.shape.resources)
    })
}

pub(super) fn pool_of(world: &World, framework: &Key) -> Option<Name> {
    let pool = &world.frameworks.get(framework)?.pool;
    world.pools.get(pool).map(|pool| pool.name.clone())
}

fn homeless(world: &World, framework: &Key) -> Explanation {
    let detail = match world.frameworks.get(framework) {
        None => format!("framework {} does not exist", framework.name),
        Some(known) => {
            format!(
                "framework {} names pool {}, which does not exist",
                framework.name, known.pool
            )
        }
    };
    simple(
        Cause::NoFramework,
        detail,
        Some("it to be created".to_owned()),
    )
}

pub(super) fn simple(cause: Cause, detail: String, waits_for: Option<String>) -> Explanation {
    let refused = Refused {
        agents: 0,
        examples: Vec::new(),
        cause,
        detail: detail.clone(),
    };
    Explanation {
        summary: detail,
        waits_for,
        refusals: vec![refused],
    }
}

struct Survey {
    found: Vec<Refused>,
    fits: u32,
}

/// Every agent judged, those refused alike together, the largest class first.
fn survey(world: &World, allocator: &mut Allocator, ask: &Ask<'_>) -> Survey {
    let mut classes: BTreeMap<(Cause, String), Vec<&Name>> = BTreeMap::new();
    let mut fits = 0;
    for agent in world.agents.iter() {
        let account = allocator.ledger.account(&agent.name);
        match judge(agent, account, ask) {
            Ok(_) => fits += 1,
            Err(obstacle) => {
                let free = account.free(&None).clone();
                let why = particulars(&obstacle, agent, &free, &account.total, ask);
                classes.entry(why).or_default().push(&agent.name);
            }
        }
    }
    let mut found: Vec<Refused> = classes
        .into_iter()
        .map(|((cause, detail), agents)| Refused {
            agents: u32::try_from(agents.len()).unwrap_or(u32::MAX),
            examples: agents
                .iter()
                .take(EXAMPLES_MAX)
                .map(ToString::to_string)
                .collect(),
            cause,
            detail,
        })
        .collect();
    found.sort_by_key(|refused| std::cmp::Reverse(refused.agents));
    Survey { found, fits }
}

fn particulars(
    obstacle: &Obstacle,
    agent: &Agent,
    free: &Resources,
    total: &Resources,
    ask: &Ask<'_>,
) -> (Cause, String) {
    match obstacle {
        Obstacle::NotReady => (Cause::AgentNotReady, format!("is {:?}", agent.phase)),
        Obstacle::Closed => (Cause::Cordoned, "is cordoned".to_owned()),
        Obstacle::Elsewhere => (
            Cause::Group,
            "the rest of the group is elsewhere".to_owned(),
        ),
        Obstacle::Constraint(c) => {
            let values = if c.values.is_empty() {
                String::new()
            } else {
                format!(" [{}]", c.values.join(", "))
            };
            (
                Cause::Constraint,
                format!("wants {} {:?}{values}", c.attribute, c.operator),
            )
        }
        Obstacle::TooLarge => {
            let shorts = ask.resources.fits_in(total).err().unwrap_or_default();
            (Cause::TooLarge, shortages(&shorts, "in all"))
        }
        Obstacle::Reserved(reservation, pool) => (
            Cause::Reserved,
            format!("reservation {reservation} holds resources for pool {pool}"),
        ),
        Obstacle::Insufficient => {
            let shorts = ask.resources.fits_in(free).err().unwrap_or_default();
            (Cause::Insufficient, shortages(&shorts, "free"))
        }
    }
}

fn shortages(shorts: &[Short], what: &str) -> String {
    let one = |s: &Short| format!("needs {} {}, {} {what}", s.need, s.resource, s.have);
    shorts.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// There are agents that would do: something else than room is in the way.
fn fitting(
    allocator: &mut Allocator,
    world: &World,
    queue: &Queue,
    pool: &Name,
    resources: &Resources,
    unit: &Unit,
) -> (Cause, String) {
    let headroom = Headroom::of(world, &allocator.usage);
    let free = allocator.free_in_all();
    match headroom.keeper(pool, &free, resources) {
        Some(owed) => (
            Cause::Guaranteed,
            format!("free resources are guaranteed to pool {owed}"),
        ),
        None if unit.tasks.len() > 1 => {
            let count = unit.tasks.len();
            (
                Cause::Group,
                format!("all {count} tasks of the group have to fit at the same time"),
            )
        }
        None => (
            Cause::FairShare,
            turn(pool, &allocator.turn(world, queue, pool)),
        ),
    }
}

/// Whose turn it is, with what each has for its weight.
fn turn(pool: &Name, turn: &Turn) -> String {
    let one = |(name, share): &(Name, Ratio)| format!("{name} ({share})");
    let ahead = turn.ahead.iter().take(EXAMPLES_MAX).map(one);
    let more = turn.ahead.len().saturating_sub(EXAMPLES_MAX);
    let ahead: Vec<String> = ahead
        .chain((more > 0).then(|| format!("{more} more")))
        .collect();
    if ahead.is_empty() {
        return format!("pool {pool} is next");
    }
    format!(
        "it is not the turn of pool {}: its weighted share is {}, less is held by {}",
        turn.who.0,
        turn.who.1,
        ahead.join(", ")
    )
}

fn summarise(found: Vec<Refused>, resources: &Resources) -> Explanation {
    let Some(first) = found.first() else {
        let detail = "there is no agent".to_owned();
        return simple(Cause::NoAgents, detail, Some("an agent to join".to_owned()));
    };
    let hopeless = found
        .iter()
        .all(|refused| matches!(refused.cause, Cause::TooLarge | Cause::Constraint));
    // A reservation in the way is what a person can change: it is named first.
    let lead = found
        .iter()
        .find(|r| matches!(r.cause, Cause::Reserved | Cause::Guaranteed))
        .unwrap_or(first);
    let agents: u32 = found.iter().map(|refused| refused.agents).sum();
    let agents = if agents == 1 {
        "the only agent".to_owned()
    } else {
        format!("none of {agents} agents")
    };
    let verb = if agents.starts_with("none") {
        "can take it now"
    } else {
        "cannot take it now"
    };
    let summary = format!("{agents} {verb}: {}", lead.detail);
    let waits_for = if hopeless {
        format!("an agent that meets its constraints and has {resources}")
    } else {
        match lead.cause {
            Cause::Reserved => {
                "that reservation to end, or other resources to become free".to_owned()
            }
            Cause::Guaranteed => "that guarantee to be used or lowered".to_owned(),
            Cause::AgentNotReady | Cause::Cordoned => "an agent to become ready".to_owned(),
            Cause::NoFramework
            | Cause::NoAgents
            | Cause::Constraint
            | Cause::TooLarge
            | Cause::Insufficient
            | Cause::QuotaLimit
            | Cause::FairShare
            | Cause::Backoff
            | Cause::Group => format!("{resources} to become free"),
        }
    };
    Explanation {
        summary,
        waits_for: Some(waits_for),
        refusals: found,
    }
}
