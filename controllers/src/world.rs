//! What is known of the cluster: every object as last seen, and the indexes over them.

mod change;
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use change::{Change, Delta};
pub use shelf::{Dated, Shelf};

use crate::event::{Event, Seen};
use crate::model::{
    Agent, Framework, Group, Key, Name, Namespace, Offer, Parse, Pool, Reservation, Shape, Task,
};

/// Every object as last seen.
#[derive(Debug, Default)]
pub struct World {
    /// Pools by dotted name.
    pub pools: Shelf<Name, Pool>,
    /// Frameworks.
    pub frameworks: Shelf<Key, Framework>,
    /// Tasks, ended ones included.
    pub tasks: Shelf<Key, Task>,
    /// Groups.
    pub groups: Shelf<Key, Group>,
    /// Reservations.
    pub reservations: Shelf<Key, Reservation>,
    /// Offers.
    pub offers: Shelf<Key, Offer>,
    /// Agents.
    pub agents: Shelf<Name, Agent>,
    /// Namespaces.
    pub namespaces: Shelf<Name, Namespace>,
    shapes: BTreeMap<String, Arc<Shape>>,
    active: BTreeMap<Name, BTreeSet<Key>>,
    members: BTreeMap<Key, BTreeSet<Key>>,
}

/// Shapes are forgotten when this many are known and nobody uses them any more.
const SHAPES_MAX: usize = 4_096;

impl World {
    /// True once every kind was listed: before, nothing may be concluded from an absence.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.pools.synced()
            && self.frameworks.synced()
            && self.tasks.synced()
            && self.groups.synced()
            && self.reservations.synced()
            && self.offers.synced()
            && self.agents.synced()
            && self.namespaces.synced()
    }

    /// Tasks that hold resources of the agent.
    pub fn tasks_on(&self, agent: &str) -> impl Iterator<Item = &Arc<Task>> {
        let keys = self.active.get(agent);
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.tasks.get(key))
    }

    /// Agents that tasks are bound to, known or not.
    pub fn occupied_agents(&self) -> impl Iterator<Item = &Name> {
        self.active.keys()
    }

    /// Tasks of the group.
    pub fn members_of(&self, group: &Key) -> impl Iterator<Item = &Arc<Task>> {
        let keys = self.members.get(group);
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.tasks.get(key))
    }

    /// Takes in what was seen; returns what changed by it. Events that are not about objects
    /// change nothing.
    pub fn apply(&mut self, event: Event, now_ms: u64) -> Vec<Change> {
        match event {
            Event::Pool(seen) => wrap(
                stow(&mut self.pools, seen, now_ms, |p| p.name.clone()),
                Change::Pool,
            ),
            Event::Framework(seen) => wrap(
                stow(&mut self.frameworks, seen, now_ms, |f| f.key.clone()),
                Change::Framework,
            ),
            Event::Task(seen) => self.apply_task(seen, now_ms),
            Event::Group(seen) => wrap(
                stow(&mut self.groups, seen, now_ms, |g| g.key.clone()),
                Change::Group,
            ),
            Event::Reservation(seen) => wrap(
                stow(&mut self.reservations, seen, now_ms, |r| r.key.clone()),
                Change::Reservation,
            ),
            Event::Offer(seen) => wrap(
                stow(&mut self.offers, seen, now_ms, |o| o.key.clone()),
                Change::Offer,
            ),
            Event::Agent(seen) => wrap(
                stow(&mut self.agents, seen, now_ms, |a| a.name.clone()),
                Change::Agent,
            ),
            Event::Namespace(seen) => wrap(
                stow(&mut self.namespaces, seen, now_ms, |n| n.name.clone()),
                Change::Namespace,
            ),
            Event::Heartbeats(_)
            | Event::Done(..)
            | Event::Emptied(..)
            | Event::Sorts(_)
            | Event::Head(..)
            | Event::Verified(_)
            | Event::Tick => Vec::new(),
        }
    }

    fn apply_task(&mut self, seen: Seen<manifests::kinds::Task>, now_ms: u64) -> Vec<Change> {
        let deltas = match seen {
            Seen::Item(kind) => {
                let mut task = Task::parse(*kind, now_ms);
                task.shape = self.shared(&task.shape);
                self.tasks.put(task.key.clone(), task).into_iter().collect()
            }
            Seen::Reset | Seen::Gone(_) | Seen::Synced(_) => {
                stow(&mut self.tasks, seen, now_ms, |t: &Task| t.key.clone())
            }
        };
        for delta in &deltas {
            self.index(delta);
        }
        wrap(deltas, Change::Task)
    }

    fn shared(&mut self, shape: &Shape) -> Arc<Shape> {
        let text = format!("{}|{:?}", shape.resources, shape.constraints);
        if let Some(known) = self.shapes.get(&text) {
            return Arc::clone(known);
        }
        if self.shapes.len() >= SHAPES_MAX {
            self.shapes.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let id = self
            .shapes
            .values()
            .map(|known| known.id)
            .max()
            .unwrap_or(0)
            + 1;
        let shape = Arc::new(Shape {
            id,
            ..shape.clone()
        });
        self.shapes.insert(text, Arc::clone(&shape));
        shape
    }

    fn index(&mut self, delta: &Delta<Task>) {
        if let Some(old) = &delta.old {
            unlink(&mut self.active, old.agent.as_ref(), &old.key);
            unlink(&mut self.members, old.group.as_ref(), &old.key);
        }
        let Some(new) = &delta.new else { return };
        if let Some(agent) = new.agent.as_ref().filter(|_| new.is_active()) {
            self.active
                .entry(agent.clone())
                .or_default()
                .insert(new.key.clone());
        }
        if let Some(group) = &new.group {
            self.members
                .entry(group.clone())
                .or_default()
                .insert(new.key.clone());
        }
    }
}

fn unlink<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Key>>, at: Option<&K>, key: &Key) {
    let Some(at) = at else { return };
    let Some(keys) = index.get_mut(at) else {
        return;
    };
    keys.remove(key);
    if keys.is_empty() {
        index.remove(at);
    }
}

fn stow<I, K: Ord + Clone, T: Parse<I> + shelf::Dated>(
    shelf: &mut Shelf<K, T>,
    seen: Seen<I>,
    now_ms: u64,
    key: impl Fn(&T) -> K,
) -> Vec<Delta<T>> {
    match seen {
        Seen::Reset => {
            shelf.reset();
            Vec::new()
        }
        Seen::Item(kind) => {
            let value = T::parse(*kind, now_ms);
            shelf.put(key(&value), value).into_iter().collect()
        }
        Seen::Gone(kind) => {
            let value = T::parse(*kind, now_ms);
            shelf.remove(&key(&value)).into_iter().collect()
        }
        Seen::Synced(version) => shelf.sync(version),
    }
}

fn wrap<T>(deltas: Vec<Delta<T>>, into: fn(Delta<T>) -> Change) -> Vec<Change> {
    deltas.into_iter().map(into).collect()
}
