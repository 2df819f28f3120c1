//! What an external framework is offered: whole agents, or, while built-in frameworks compete for
//! them, slices, so that one program that thinks for half a minute does not hold the cluster.

use manifests::resources::{Milli, Resources};

use super::Allocator;
use super::account::{Source, is_within};
use super::quota::{Headroom, clip};
use super::round::Drafts;
use crate::model::{Key, Name, plus};
use crate::world::World;

/// While others compete, an offer grows by this part of an agent at a time.
const SLICES: i64 = 8;

/// Mesos' least worth offering: `cpus:0.01|mem:32`, either suffices.
const CPUS_MIN_MILLI: i64 = 10;
const MEM_MIN_BYTES: i64 = 32 << 20;

impl Allocator {
    /// Gives the framework the next agent, or slice of one, that it may have. False: there is none.
    pub(super) fn grant(
        &mut self,
        world: &World,
        drafts: &mut Drafts,
        framework: &Key,
        pool: &Name,
        slice: bool,
        now_ms: u64,
    ) -> bool {
        let Some(wanted) = self.wanted(world, framework) else {
            return false;
        };
        for agent in world.agents.iter() {
            for source in self.sources(&agent.name, pool) {
                let Some(free) = self.worth(world, framework, pool, &agent.name, &source, now_ms)
                else {
                    continue;
                };
                let mut amount = clip(world, &self.usage, pool, &free);
                if let Some(wanted) = &wanted {
                    amount = capped(wanted, &amount);
                }
                if slice {
                    amount = part(&self.ledger.account(&agent.name).total, &amount);
                }
                if amount.is_zero() || self.is_held_back(world, pool, &source, &amount) {
                    continue;
                }
                let key = self.draft(world, drafts, framework, pool, &agent.name, &source, now_ms);
                self.extend(&key, &amount, None);
                return true;
            }
        }
        false
    }

    /// How much more the framework wants in all: `None` nothing, `Some(None)` whatever there is.
    #[expect(
        clippy::option_option,
        reason = "nothing, without bound, and so much are three things"
    )]
    fn wanted(&self, world: &World, framework: &Key) -> Option<Option<Resources>> {
        let appetite = &world.frameworks.get(framework)?.appetite;
        let Some(total) = &appetite.total else {
            return Some(None);
        };
        let standing = self
            .book
            .iter()
            .filter(|entry| entry.framework == *framework && entry.may_be_accepted())
            .fold(Resources::default(), |sum, entry| {
                plus(&sum, &entry.resources.without_ports())
            });
        let left = total.saturating_sub(&standing);
        (!left.without_ports().is_zero()).then_some(Some(left))
    }

    /// The pool's reservations on the agent, then what nobody reserved.
    fn sources(&mut self, agent: &Name, pool: &Name) -> Vec<Source> {
        let account = self.ledger.account(agent);
        if !account.open || account.closed_to(pool).is_some() {
            return Vec::new();
        }
        let own = account
            .holds()
            .iter()
            .filter(|(_, held)| is_within(pool, &held.pool));
        own.map(|(key, _)| Some(key.clone()))
            .chain([None])
            .collect()
    }

    /// What is free there, if it is worth offering and was not declined of late.
    fn worth(
        &mut self,
        world: &World,
        framework: &Key,
        _pool: &Name,
        agent: &Name,
        source: &Source,
        now_ms: u64,
    ) -> Option<Resources> {
        let minimum = &world.frameworks.get(framework)?.appetite.minimum;
        let free = self.ledger.account(agent).free(source).clone();
        let least = if minimum.is_zero() {
            free.get("cpus").get() >= CPUS_MIN_MILLI
                || free.get("mem").get() >= MEM_MIN_BYTES.saturating_mul(1_000)
        } else {
            free.contains(minimum)
        };
        let declined = self.filters.blocks(framework, agent, &free, now_ms);
        (least && !declined).then_some(free)
    }

    fn is_held_back(
        &mut self,
        world: &World,
        pool: &str,
        source: &Source,
        more: &Resources,
    ) -> bool {
        let headroom = Headroom::of(world, &self.usage);
        if source.is_some() || headroom.is_empty() {
            return false;
        }
        let free = self.free_in_all();
        headroom.keeper(pool, &free, more).is_some()
    }
}

/// Resources the demand does not name are not bounded by it.
fn capped(wanted: &Resources, amount: &Resources) -> Resources {
    let mut cap = amount.clone();
    for (name, most) in wanted.scalars() {
        cap.set(name, most.min(amount.get(name)));
    }
    cap
}

/// A slice of an agent, ports left out: they do not divide.
fn part(total: &Resources, free: &Resources) -> Resources {
    let slice = |amount: Milli| Milli::new(amount.get() / SLICES).unwrap_or_default();
    let mut slices = Resources::new(total.scalars().map(|(name, amount)| (name, slice(amount))));
    // The last crumbs go along, whole bytes and units stay whole.
    for (name, amount) in free.scalars() {
        let whole = Milli::new(slices.get(name).get() / 1_000 * 1_000).unwrap_or_default();
        let step = if name == "cpus" {
            slices.get(name)
        } else {
            whole
        };
        let step = if step.is_zero() {
            amount
        } else {
            step.min(amount)
        };
        slices.set(name, step);
    }
    slices
}
