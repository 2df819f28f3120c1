//! The figures in the status of pools and frameworks: kept as tasks change, written at most once
//! a second and only where they differ.

use std::collections::{BTreeMap, BTreeSet};

use manifests::condition::{self, Condition};
use manifests::kinds::{FrameworkStatus, ResourcePoolStatus};
use serde_json::{Value, json};

use crate::allocator::{Usage, is_within};
use crate::effect::{Token, Write};
use crate::model::{Framework, Key, Pool, Task};
use crate::ops;
use crate::world::{Delta, World};
use manifests::resources::Resources;

/// People read these; a second is soon enough.
const EVERY_MS: u64 = 1_000;

/// Tasks placed and tasks waiting, by framework.
#[derive(Debug, Default)]
pub struct Counts {
    frameworks: BTreeMap<Key, Tally>,
    next_ms: u64,
    dirty: bool,
    flying: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    running: i64,
    waiting: i64,
}

impl Counts {
    /// A task changed.
    pub fn observe(&mut self, delta: &Delta<Task>) {
        for (task, by) in [(&delta.old, -1), (&delta.new, 1)] {
            let Some(task) = task else { continue };
            let tally = self.frameworks.entry(task.framework.clone()).or_default();
            tally.running += by * i64::from(task.is_active());
            tally.waiting += by * i64::from(task.is_waiting());
            if *tally == Tally::default() {
                self.frameworks.remove(&task.framework);
            }
        }
        self.dirty = true;
    }

    /// Something else that the figures depend on changed.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// When to look again.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.dirty.then_some(self.next_ms)
    }

    /// The figures that are not as written.
    pub fn reconcile(
        &mut self,
        world: &World,
        usage: &Usage,
        total: &Resources,
        now_ms: u64,
    ) -> Vec<Write> {
        if !self.dirty || now_ms < self.next_ms || !self.flying.is_empty() {
            return Vec::new();
        }
        (self.next_ms, self.dirty) = (now_ms + EVERY_MS, false);
        let frameworks = world
            .frameworks
            .iter()
            .filter_map(|f| self.framework(world, f, now_ms));
        let pools = world
            .pools
            .iter()
            .filter_map(|pool| self.pool(world, usage, total, pool));
        let writes: Vec<Write> = frameworks.chain(pools).collect();
        for write in &writes {
            if let Token::Counts(name) = &write.token {
                self.flying.insert(name.clone());
            }
        }
        writes
    }

    /// A write was answered.
    pub fn settled(&mut self, name: &str) {
        self.flying.remove(name);
    }

    fn framework(&self, world: &World, of: &Framework, now_ms: u64) -> Option<Write> {
        let tally = self.frameworks.get(&of.key).copied().unwrap_or_default();
        let mut conditions = of.status.conditions.clone();
        condition::set(&mut conditions, ready(world, of, now_ms));
        let status = FrameworkStatus {
            running: tally.running,
            waiting: tally.waiting,
            conditions,
        };
        if status == of.status {
            return None;
        }
        let body = json!({ "metadata": { "uid": of.meta.uid }, "status": status });
        let operation = ops::patch_status("frameworks", &of.key, body);
        Some(Write::cold(
            Token::Counts(format!("framework {}", of.key)),
            vec![operation],
        ))
    }

    fn pool(&self, world: &World, usage: &Usage, total: &Resources, of: &Pool) -> Option<Write> {
        let allocated = usage.subtree(&of.name);
        let share = allocated
            .dominant_share(total)
            .map(|(_, share)| share.to_string());
        let mut tally = Tally::default();
        for (framework, own) in &self.frameworks {
            let pool = world.frameworks.get(framework).map(|f| &f.pool);
            if pool.is_some_and(|pool| is_within(pool, &of.name)) {
                tally.running += own.running;
                tally.waiting += own.waiting;
            }
        }
        let status = ResourcePoolStatus {
            allocated: allocated.to_list(),
            dominant_share: Some(share.unwrap_or_else(|| "0.000".to_owned())),
            running: tally.running,
            waiting: tally.waiting,
        };
        if status == of.status {
            return None;
        }
        // What is used no more has to be named, or a merge would keep it.
        let mut list = json!(status.allocated);
        for (gone, _) in of.status.allocated.iter() {
            if status.allocated.get(gone).is_none() {
                list[gone] = Value::Null;
            }
        }
        let body = json!({ "metadata": { "uid": of.meta.uid }, "status": {
            "allocated": list,
            "dominantShare": status.dominant_share,
            "running": status.running,
            "waiting": status.waiting,
        }});
        let operation = ops::patch_cluster_status("resourcepools", &of.name, body);
        Some(Write::cold(
            Token::Counts(format!("pool {}", of.name)),
            vec![operation],
        ))
    }
}

fn ready(world: &World, of: &Framework, now_ms: u64) -> Condition {
    let there = world.pools.get(&of.pool).is_some();
    Condition {
        kind: "Ready".to_owned(),
        status: if there { "True" } else { "False" }.to_owned(),
        reason: Some(if there { "PoolExists" } else { "NoPool" }.to_owned()),
        message: (!there).then(|| format!("pool {} does not exist", of.pool)),
        last_transition_time: serde_json::from_value(Value::String(ops::time(now_ms))).ok(),
    }
}
