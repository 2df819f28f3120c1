//! `Usage`: what each framework and pool has, used and offered together.

use std::collections::BTreeMap;

use manifests::resources::Resources;

use crate::model::{Key, Name, plus};

/// What each framework and each pool has. Scalars only.
#[derive(Debug, Default)]
pub struct Usage {
    frameworks: BTreeMap<Key, Resources>,
    homes: BTreeMap<Key, Name>,
    /// A pool's own frameworks.
    direct: BTreeMap<Name, Resources>,
    /// A pool and everything below it.
    subtree: BTreeMap<Name, Resources>,
}

/// `eng.batch.night`, `eng.batch`, `eng`.
pub(crate) fn lineage(pool: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(pool), |name| {
        name.rsplit_once('.').map(|(parent, _)| parent)
    })
}

impl Usage {
    /// What a framework has.
    #[must_use]
    pub fn framework(&self, key: &Key) -> Resources {
        self.frameworks.get(key).cloned().unwrap_or_default()
    }

    /// What a pool and everything below it have.
    #[must_use]
    pub fn subtree(&self, pool: &str) -> Resources {
        self.subtree.get(pool).cloned().unwrap_or_default()
    }

    /// What a pool's own frameworks have.
    #[must_use]
    pub fn direct(&self, pool: &str) -> Resources {
        self.direct.get(pool).cloned().unwrap_or_default()
    }

    /// Charges a framework and its pools.
    pub fn add(&mut self, framework: &Key, amount: &Resources) {
        self.change(framework, amount, true);
    }

    /// Takes a charge back.
    pub fn sub(&mut self, framework: &Key, amount: &Resources) {
        self.change(framework, amount, false);
    }

    /// A framework charges this pool from now on; `None`: no pool, because it does not exist.
    pub fn settle(&mut self, framework: &Key, pool: Option<&Name>) {
        if self.homes.get(framework) == pool {
            return;
        }
        let has = self.framework(framework);
        if let Some(before) = self.homes.remove(framework) {
            self.charge_pools(&before, &has, false);
        }
        if let Some(pool) = pool {
            self.charge_pools(pool, &has, true);
            self.homes.insert(framework.clone(), pool.clone());
        }
    }

    fn change(&mut self, framework: &Key, amount: &Resources, add: bool) {
        let amount = amount.without_ports();
        shift(&mut self.frameworks, framework, &amount, add);
        if let Some(pool) = self.homes.get(framework).cloned() {
            self.charge_pools(&pool, &amount, add);
        }
    }

    fn charge_pools(&mut self, pool: &Name, amount: &Resources, add: bool) {
        shift(&mut self.direct, pool, amount, add);
        for ancestor in lineage(pool) {
            shift(&mut self.subtree, &Name::from(ancestor), amount, add);
        }
    }
}

fn shift<K: Ord + Clone>(sums: &mut BTreeMap<K, Resources>, at: &K, by: &Resources, add: bool) {
    let before = sums.remove(at).unwrap_or_default();
    let after = if add {
        plus(&before, by)
    } else {
        before.saturating_sub(by)
    };
    if !after.is_zero() {
        sums.insert(at.clone(), after);
    }
}
