//! Keeps the books as the world changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use manifests::kinds::{AgentPhase, Scheduler};
use manifests::resources::Resources;

use super::Allocator;
use super::account::Payer;
use super::book::Phase;
use crate::effect::Write;
use crate::model::{Agent, Framework, Held, Key, Name, Pool, Reservation, Task};
use crate::world::{Delta, World};

/// What a task is charged where.
#[derive(PartialEq)]
struct Burden {
    agent: Name,
    source: Option<Key>,
    framework: Key,
    resources: Resources,
}

impl Burden {
    fn of(task: &Task) -> Option<Self> {
        let agent = task.agent.clone().filter(|_| task.is_active())?;
        Some(Self {
            agent,
            source: task.reservation.clone(),
            framework: task.framework.clone(),
            resources: task.shape.resources.clone(),
        })
    }

    fn place(&self) -> (Key, Name, Option<Key>) {
        (
            self.framework.clone(),
            self.agent.clone(),
            self.source.clone(),
        )
    }
}

impl Allocator {
    /// A task changed.
    pub fn observe_task(&mut self, world: &World, delta: &Delta<Task>) -> Vec<Write> {
        let uid = |task: &Arc<Task>| task.meta.uid.clone();
        let replaced = delta.old.as_ref().map(uid) != delta.new.as_ref().map(uid);
        let before = delta.old.as_deref().and_then(Burden::of);
        let after = delta.new.as_deref().and_then(Burden::of);
        let mut touched = BTreeSet::new();
        if replaced || before != after {
            if let (Some(burden), Some(old)) = (&before, &delta.old) {
                self.unburden(burden, &old.meta.uid);
            }
            if let (Some(burden), Some(new)) = (&after, &delta.new) {
                self.burden(burden, &new.meta.uid);
                if world.is_complete() && (replaced || before.is_none()) {
                    touched.extend(self.presume(burden, new));
                }
            }
        }
        if let Some(old) = delta.old.as_ref().filter(|_| replaced) {
            let place = |agent: &Name| {
                (
                    old.framework.clone(),
                    agent.clone(),
                    old.reservation.clone(),
                )
            };
            self.book
                .bury(old.agent.as_ref().map(place).as_ref(), &old.meta.uid);
        }
        for task in [&delta.old, &delta.new].into_iter().flatten() {
            touched.extend(self.book.launcher(&task.meta.uid).cloned());
        }
        touched
            .iter()
            .flat_map(|offer| self.recharge(world, offer))
            .collect()
    }

    fn presume(&mut self, burden: &Burden, task: &Task) -> Option<Key> {
        if self.book.launcher(&task.meta.uid).is_some() {
            return None;
        }
        self.book.presume(
            &burden.place(),
            &task.key,
            &task.meta.uid,
            &burden.resources,
        )
    }

    fn burden(&mut self, burden: &Burden, uid: &str) {
        let payer = Payer::Task(uid.to_owned());
        self.ledger
            .charge(&burden.agent, &payer, &burden.source, &burden.resources);
        self.usage.add(&burden.framework, &burden.resources);
    }

    fn unburden(&mut self, burden: &Burden, uid: &str) {
        let payer = Payer::Task(uid.to_owned());
        self.ledger
            .release(&burden.agent, &payer, &burden.source, &burden.resources);
        self.usage.sub(&burden.framework, &burden.resources);
        self.freed = true;
    }

    /// Reckons anew what an offer is charged for; a settled one is removed.
    pub(super) fn recharge(&mut self, world: &World, key: &Key) -> Option<Write> {
        let entry = self.book.get_mut(key)?;
        let (due, settled) = entry.due(world);
        let before = std::mem::replace(&mut entry.charged, due.clone());
        let entry = entry.clone();
        if before != due {
            let payer = Payer::Offer(key.clone());
            self.ledger
                .release(&entry.agent, &payer, &entry.source, &before);
            self.ledger
                .charge(&entry.agent, &payer, &entry.source, &due);
            self.usage.sub(&entry.framework, &before);
            self.usage.add(&entry.framework, &due);
            self.freed |= !due.contains(&before);
        }
        if settled { self.finish(key) } else { None }
    }

    /// An agent changed.
    pub fn observe_agent(&mut self, world: &World, delta: &Delta<Agent>) -> Vec<Write> {
        let Some(name) = delta
            .new
            .as_ref()
            .or(delta.old.as_ref())
            .map(|a| a.name.clone())
        else {
            return Vec::new();
        };
        let total = delta
            .new
            .as_ref()
            .map(|a| a.allocatable.clone())
            .unwrap_or_default();
        // What stands was sized for more than there is now.
        let before = delta.old.as_ref().map(|a| &a.allocatable);
        let shrank = before.is_some_and(|before| !total.contains(before));
        self.ledger.resize(&name, total);
        self.freed = true;
        self.reopen(world, &name);
        if self.ledger.account(&name).open && !shrank {
            return Vec::new();
        }
        self.doom(world, |entry| entry.agent == name)
    }

    /// Opens or closes an agent for new offers.
    pub(super) fn reopen(&mut self, world: &World, agent: &Name) {
        let fit = world.agents.get(agent).is_some_and(|agent| {
            agent.phase == AgentPhase::Ready && !agent.unschedulable && !agent.meta.deleting
        });
        let inherited = self
            .book
            .on(agent)
            .any(|entry| !entry.ours && entry.may_be_accepted());
        let account = self.ledger.account(agent);
        let open = fit && !inherited;
        self.freed |= open && !account.open;
        account.open = open;
    }

    /// A reservation changed.
    pub fn observe_reservation(&mut self, world: &World, delta: &Delta<Reservation>) -> Vec<Write> {
        let Some(key) = delta
            .new
            .as_ref()
            .or(delta.old.as_ref())
            .map(|r| r.key.clone())
        else {
            return Vec::new();
        };
        let agents = |r: &Option<Arc<Reservation>>| -> BTreeSet<Name> {
            r.iter()
                .flat_map(|r| &r.status.agents)
                .map(|a| a.as_str().into())
                .collect()
        };
        let (before, after) = (agents(&delta.old), agents(&delta.new));
        for agent in before.difference(&after) {
            self.ledger.account(agent).hold(&key, None);
        }
        if let Some(reservation) = &delta.new {
            for agent in &after {
                self.ledger
                    .account(agent)
                    .hold(&key, Some(held(reservation)));
            }
        }
        self.freed = true;
        let lost = |agent: &Name| !after.contains(agent);
        self.doom(world, |entry| {
            entry.source.as_ref() == Some(&key) && lost(&entry.agent)
        })
    }

    /// A framework changed.
    pub fn observe_framework(&mut self, world: &World, delta: &Delta<Framework>) -> Vec<Write> {
        let Some(framework) = delta.new.as_ref().or(delta.old.as_ref()) else {
            return Vec::new();
        };
        let key = framework.key.clone();
        let pool = delta.new.as_ref().map(|f| &f.pool);
        self.usage
            .settle(&key, pool.filter(|pool| world.pools.get(*pool).is_some()));
        let asks = |f: &Option<Arc<Framework>>| f.as_ref().map(|f| f.appetite.clone());
        if asks(&delta.old) != asks(&delta.new) {
            self.filters.revive(&key);
        }
        let external = delta
            .new
            .as_ref()
            .is_some_and(|f| f.scheduler == Scheduler::External);
        if external {
            self.externals.insert(key.clone());
        } else {
            self.externals.remove(&key);
        }
        self.freed = true;
        if delta.new.is_some() {
            return Vec::new();
        }
        self.doom(world, |entry| entry.framework == key)
    }

    /// A pool changed.
    pub fn observe_pool(&mut self, world: &World, delta: &Delta<Pool>) -> Vec<Write> {
        let Some(pool) = delta.new.as_ref().or(delta.old.as_ref()) else {
            return Vec::new();
        };
        let there = delta.new.is_some();
        for framework in world.frameworks.iter().filter(|f| f.pool == pool.name) {
            self.usage
                .settle(&framework.key, there.then_some(&pool.name));
        }
        self.freed = true;
        let limits = |p: &Option<Arc<Pool>>| p.as_ref().map(|p| p.limits.clone());
        if limits(&delta.old) == limits(&delta.new) {
            return Vec::new();
        }
        let name = pool.name.clone();
        self.doom(world, |entry| {
            entry.phase == Phase::Open && super::account::is_within(&entry.pool, &name)
        })
    }
}

/// What a reservation holds on each of its agents.
pub(crate) fn held(reservation: &Reservation) -> Held {
    Held {
        pool: reservation.pool.clone(),
        resources: reservation.resources.clone(),
        exclusive: reservation.exclusive,
    }
}
