//! Quota: limits that hold for a pool and everything below it, and guarantees that are served
//! first and held back from others.

use manifests::resources::{Milli, Resources};

use super::account::is_within;
use super::usage::{Usage, lineage};
use crate::model::{Name, Pool, plus};
use crate::world::World;

/// The limit that would be passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHit {
    /// Whose limit.
    pub pool: Name,
    /// Of which resource.
    pub resource: String,
    /// The limit.
    pub limit: Milli,
    /// What the pool has.
    pub has: Milli,
    /// What it was to have besides.
    pub more: Milli,
}

/// Whether a pool may have `more`.
///
/// # Errors
/// The first limit, from the pool upwards, that would be passed.
pub fn within_limits(
    world: &World,
    usage: &Usage,
    pool: &str,
    more: &Resources,
) -> Result<(), LimitHit> {
    for name in lineage(pool) {
        let Some(pool) = world.pools.get(name).filter(|pool| !pool.limits.is_empty()) else {
            continue;
        };
        let has = usage.subtree(name);
        let hit = pool.limits.iter().find(|(resource, limit)| {
            let more = more.get(resource);
            let sum = has.get(resource).checked_add(more);
            !more.is_zero() && sum.is_none_or(|sum| sum.get() > **limit)
        });
        if let Some((resource, limit)) = hit {
            return Err(LimitHit {
                pool: pool.name.clone(),
                resource: resource.clone(),
                limit: Milli::new(*limit).unwrap_or_default(),
                has: has.get(resource),
                more: more.get(resource),
            });
        }
    }
    Ok(())
}

/// How much a pool may still have of what its limits name; `None`: no limit anywhere above it.
#[must_use]
pub(super) fn clip(world: &World, usage: &Usage, pool: &str, amount: &Resources) -> Resources {
    let mut clipped = amount.clone();
    for name in lineage(pool) {
        let Some(pool) = world.pools.get(name) else {
            continue;
        };
        let has = usage.subtree(name);
        for (resource, limit) in &pool.limits {
            let room = Milli::new(limit - has.get(resource).get()).unwrap_or_default();
            let least = clipped.get(resource).min(room);
            clipped.set(resource.clone(), least);
        }
    }
    clipped
}

/// Promises that are not met, and what must stay free for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headroom {
    unmet: Vec<(Name, Resources)>,
}

impl Headroom {
    /// The unmet guarantees of all pools.
    #[must_use]
    pub fn of(world: &World, usage: &Usage) -> Self {
        let unmet = |pool: &Pool| {
            let missing = pool.guarantees.saturating_sub(&usage.subtree(&pool.name));
            (!missing.is_zero()).then(|| (pool.name.clone(), missing))
        };
        Self {
            unmet: world
                .pools
                .iter()
                .filter(|pool| !pool.guarantees.is_zero())
                .filter_map(|pool| unmet(pool))
                .collect(),
        }
    }

    /// True when every promise is met.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unmet.is_empty()
    }

    /// True when the pool, or one above it, was promised more than it has.
    #[must_use]
    pub fn is_owed(&self, pool: &str) -> bool {
        self.unmet.iter().any(|(owed, _)| is_within(pool, owed))
    }

    /// What must stay free of `pool` for others: of nested promises the larger counts once.
    #[must_use]
    pub fn against(&self, pool: &str) -> Resources {
        let others = || self.unmet.iter().filter(|(owed, _)| !is_within(pool, owed));
        let roots = others().filter(|(owed, _)| {
            !others().any(|(above, _)| above != owed && is_within(owed, above))
        });
        roots.fold(Resources::default(), |sum, (root, missing)| {
            let below = others()
                .filter(|(owed, _)| owed != root && is_within(owed, root))
                .fold(Resources::default(), |sum, (_, missing)| {
                    plus(&sum, missing)
                });
            plus(&sum, &Resources::max(missing, &below))
        })
    }

    /// The pool whose promise keeps `pool` from taking `amount` out of `free`.
    #[must_use]
    pub fn keeper(&self, pool: &str, free: &Resources, amount: &Resources) -> Option<&Name> {
        let kept = self.against(pool);
        if kept.is_zero() {
            return None;
        }
        let left = free.saturating_sub(amount);
        let short = kept
            .scalars()
            .any(|(name, kept)| !amount.get(name).is_zero() && left.get(name) < kept);
        if !short {
            return None;
        }
        self.unmet
            .iter()
            .map(|(owed, _)| owed)
            .find(|owed| !is_within(pool, owed))
    }
}
