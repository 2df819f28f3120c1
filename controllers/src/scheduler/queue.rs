//! `Queue`: the waiting tasks of built-in frameworks, by framework and class.
//!
//! Tasks of one class want the same; when one cannot be placed, none can, and the class rests
//! until room may have appeared. So a round costs as many looks as there are classes, not tasks,
//! and a task too large for the cluster holds up nobody behind it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use manifests::kinds::{GroupPlacement, QueuePolicy};

use crate::model::{Key, Name, Task};
use crate::world::{Delta, World};

/// What distinguishes tasks for placement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Alone, by shape.
    Shape(u64),
    /// The whole group, at its start.
    Gang(Key),
    /// One member of a running group that has to stay on one agent.
    Pinned(Key, u64),
}

/// Place in the queue: priority (0 under Fifo), age, order of arrival.
type Rank = (Reverse<i32>, u64, u64);

/// What leaves the queue at once: a task, or all tasks of a group.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its class.
    pub class: Class,
    /// The tasks.
    pub tasks: Vec<Arc<Task>>,
    /// All on one agent.
    pub together: bool,
    /// On this agent, where the rest of the group is.
    pub pin: Option<Name>,
}

#[derive(Debug, Default)]
struct Line {
    classes: BTreeMap<Class, BTreeMap<Rank, Key>>,
    heads: BTreeMap<Rank, Class>,
    blocked: BTreeSet<Class>,
}

/// The waiting tasks of built-in frameworks.
#[derive(Debug, Default)]
pub struct Queue {
    lines: BTreeMap<Key, Line>,
    places: BTreeMap<Key, (Key, Class, Rank)>,
    /// Taken by an offer on its way; by task name, the uid.
    claims: BTreeMap<Key, String>,
    parked: BTreeSet<(u64, Key)>,
    parked_at: BTreeMap<Key, u64>,
    holds: BTreeMap<Key, u64>,
    arrivals: BTreeMap<Key, (String, u64)>,
    sequence: u64,
}

impl Queue {
    /// A task changed: in or out of the queue.
    pub fn observe(&mut self, world: &World, delta: &Delta<Task>, now_ms: u64) {
        let Some(task) = delta.new.as_ref().or(delta.old.as_ref()) else {
            return;
        };
        let waits = delta.new.as_ref().is_some_and(|task| task.is_waiting());
        let same = waits
            && delta
                .old
                .as_ref()
                .zip(delta.new.as_ref())
                .is_some_and(|(old, new)| same_place(old, new));
        if same && (self.places.contains_key(&task.key) || self.claims.contains_key(&task.key)) {
            return;
        }
        self.drop_task(&task.key);
        if waits {
            self.enter(world, task, now_ms);
        } else {
            self.claims.remove(&task.key);
            self.arrivals.remove(&task.key);
            self.holds.remove(&task.key);
        }
    }

    /// Puts a waiting task in line, or parks it until its time.
    fn enter(&mut self, world: &World, task: &Arc<Task>, now_ms: u64) {
        let claimed = self.claims.get(&task.key);
        if claimed.is_some_and(|uid| *uid == task.meta.uid) {
            return;
        }
        self.claims.remove(&task.key);
        let held = self.holds.get(&task.key).copied().unwrap_or(0);
        let not_before = task.not_before_ms.max(held);
        if not_before > now_ms {
            self.parked.insert((not_before, task.key.clone()));
            self.parked_at.insert(task.key.clone(), not_before);
            return;
        }
        self.holds.remove(&task.key);
        let rank = self.rank(world, task);
        let class = class(world, task);
        let line = self.lines.entry(task.framework.clone()).or_default();
        line.insert(class.clone(), rank, task.key.clone());
        self.places
            .insert(task.key.clone(), (task.framework.clone(), class, rank));
    }

    fn rank(&mut self, world: &World, task: &Task) -> Rank {
        let arrival = match self.arrivals.get(&task.key) {
            Some((uid, arrival)) if *uid == task.meta.uid => *arrival,
            Some(_) | None => {
                self.sequence += 1;
                let known = (task.meta.uid.clone(), self.sequence);
                self.arrivals.insert(task.key.clone(), known);
                self.sequence
            }
        };
        let pool = world
            .frameworks
            .get(&task.framework)
            .and_then(|f| world.pools.get(&f.pool));
        let priority = match pool.map(|pool| pool.policy) {
            Some(QueuePolicy::Priority) => task.priority,
            Some(QueuePolicy::Fifo) | None => 0,
        };
        (Reverse(priority), task.meta.created_ms, arrival)
    }

    fn drop_task(&mut self, key: &Key) {
        if let Some(at) = self.parked_at.remove(key) {
            self.parked.remove(&(at, key.clone()));
        }
        let Some((framework, class, rank)) = self.places.remove(key) else {
            return;
        };
        let Some(line) = self.lines.get_mut(&framework) else {
            return;
        };
        line.remove(&class, rank);
        if line.classes.is_empty() {
            self.lines.remove(&framework);
        }
    }

    /// Frameworks with something that may be placeable.
    #[must_use]
    pub fn contenders(&self) -> Vec<Key> {
        let ready = self.lines.iter().filter(|(_, line)| !line.heads.is_empty());
        ready.map(|(framework, _)| framework.clone()).collect()
    }

    /// Who is next in the framework, classes at rest left out.
    pub fn head(&mut self, world: &World, framework: &Key) -> Option<Unit> {
        let line = self.lines.get_mut(framework)?;
        loop {
            let (_, class) = line.heads.first_key_value()?;
            let class = class.clone();
            if let Some(unit) = line.unit(world, &class) {
                return Some(unit);
            }
            line.block(&class);
        }
    }

    /// The class rests until room may have appeared.
    pub fn block(&mut self, framework: &Key, class: &Class) {
        if let Some(line) = self.lines.get_mut(framework) {
            line.block(class);
        }
    }

    /// Room may have appeared: everybody may try again.
    pub fn unblock(&mut self) {
        for line in self.lines.values_mut() {
            for class in std::mem::take(&mut line.blocked) {
                line.lift(class);
            }
        }
    }

    /// An offer was sized for the task: it leaves the queue.
    pub fn claim(&mut self, task: &Task) {
        self.drop_task(&task.key);
        self.claims.insert(task.key.clone(), task.meta.uid.clone());
    }

    /// True when nobody waits, in line or for a time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.parked.is_empty()
    }

    /// How many tasks are taken and not seen bound yet.
    #[must_use]
    pub fn claimed(&self) -> usize {
        self.claims.len()
    }

    /// The offer came to nothing: the task waits again, from `until_ms` on.
    pub fn release(&mut self, world: &World, key: &Key, now_ms: u64, until_ms: u64) {
        if self.claims.remove(key).is_none() {
            return;
        }
        let Some(task) = world.tasks.get(key).filter(|task| task.is_waiting()) else {
            return;
        };
        self.holds.insert(key.clone(), until_ms);
        self.enter(world, task, now_ms);
    }

    /// Those whose time has come join the line.
    pub fn wake(&mut self, world: &World, now_ms: u64) {
        while let Some((at, _)) = self.parked.first()
            && *at <= now_ms
        {
            let Some((_, key)) = self.parked.pop_first() else {
                return;
            };
            self.parked_at.remove(&key);
            if let Some(task) = world.tasks.get(&key).filter(|task| task.is_waiting()) {
                self.enter(world, task, now_ms);
            }
        }
    }

    /// When the next parked task joins.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.parked.first().map(|(at, _)| *at)
    }

    /// A pool's policy, a framework or a group changed: its tasks are put in line anew.
    pub fn reline(&mut self, world: &World, framework: &Key, now_ms: u64) {
        let Some(line) = self.lines.get(framework) else {
            return;
        };
        let keys: Vec<Key> = line
            .classes
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect();
        for key in keys {
            self.drop_task(&key);
            if let Some(task) = world.tasks.get(&key).filter(|task| task.is_waiting()) {
                self.enter(world, task, now_ms);
            }
        }
    }

    /// Every class that waits, with its framework, whether it rests, and its tasks in order.
    pub fn waiting(
        &self,
    ) -> impl Iterator<Item = (&Key, &Class, bool, impl Iterator<Item = &Key>)> {
        self.lines.iter().flat_map(|(framework, line)| {
            let blocked = |class| line.blocked.contains(class);
            line.classes
                .iter()
                .map(move |(class, tasks)| (framework, class, blocked(class), tasks.values()))
        })
    }

    /// Tasks that wait for their time.
    pub fn parked(&self) -> impl Iterator<Item = (u64, &Key)> {
        self.parked.iter().map(|(at, key)| (*at, key))
    }

    /// One unit of a class, without taking it: what an explanation is about.
    #[must_use]
    pub fn sample(&self, world: &World, framework: &Key, class: &Class) -> Option<Unit> {
        self.lines.get(framework)?.unit(world, class)
    }
}

impl Line {
    fn insert(&mut self, class: Class, rank: Rank, key: Key) {
        let tasks = self.classes.entry(class.clone()).or_default();
        if let Some((head, _)) = tasks.first_key_value() {
            self.heads.remove(head);
        }
        tasks.insert(rank, key);
        // A gang may have become complete; others of a class at rest would fare no better.
        match &class {
            Class::Gang(_) => {
                self.blocked.remove(&class);
                self.lift(class);
            }
            Class::Shape(_) | Class::Pinned(..) if self.blocked.contains(&class) => {}
            Class::Shape(_) | Class::Pinned(..) => self.lift(class),
        }
    }

    fn remove(&mut self, class: &Class, rank: Rank) {
        self.heads.remove(&rank);
        let Some(tasks) = self.classes.get_mut(class) else {
            return;
        };
        tasks.remove(&rank);
        if tasks.is_empty() {
            self.classes.remove(class);
            self.blocked.remove(class);
        } else if !self.blocked.contains(class) {
            self.lift(class.clone());
        }
    }

    fn lift(&mut self, class: Class) {
        if let Some((rank, _)) = self.classes.get(&class).and_then(BTreeMap::first_key_value) {
            self.heads.insert(*rank, class);
        }
    }

    fn block(&mut self, class: &Class) {
        if let Some((rank, _)) = self.classes.get(class).and_then(BTreeMap::first_key_value) {
            self.heads.remove(rank);
        }
        self.blocked.insert(class.clone());
    }

    /// `None` for a gang that is not complete.
    fn unit(&self, world: &World, class: &Class) -> Option<Unit> {
        let tasks = self.classes.get(class)?;
        let found = |key: &Key| world.tasks.get(key).cloned();
        match class {
            Class::Shape(_) => {
                let tasks = vec![found(tasks.first_key_value()?.1)?];
                Some(Unit {
                    class: class.clone(),
                    tasks,
                    together: false,
                    pin: None,
                })
            }
            Class::Pinned(group, _) => {
                let tasks = vec![found(tasks.first_key_value()?.1)?];
                let mates = world.members_of(group).filter(|mate| mate.is_active());
                let pin = mates.filter_map(|mate| mate.agent.clone()).next();
                Some(Unit {
                    class: class.clone(),
                    tasks,
                    together: false,
                    pin,
                })
            }
            Class::Gang(group) => {
                let group = world.groups.get(group)?;
                let members: Vec<_> = tasks.values().filter_map(found).collect();
                let together = group.placement == GroupPlacement::SameAgent;
                let complete = members.len() >= group.spec.tasks.len();
                complete.then(|| Unit {
                    class: class.clone(),
                    tasks: members,
                    together,
                    pin: None,
                })
            }
        }
    }
}

/// A group starts as one; a member that runs again does so alone.
fn class(world: &World, task: &Task) -> Class {
    let Some(group) = &task.group else {
        return Class::Shape(task.shape.id);
    };
    if task.attempt == 0 {
        return Class::Gang(group.clone());
    }
    let together = world
        .groups
        .get(group)
        .is_some_and(|g| g.placement == GroupPlacement::SameAgent);
    if together {
        Class::Pinned(group.clone(), task.shape.id)
    } else {
        Class::Shape(task.shape.id)
    }
}

fn same_place(old: &Task, new: &Task) -> bool {
    old.meta.uid == new.meta.uid
        && old.is_waiting()
        && old.shape == new.shape
        && old.priority == new.priority
        && old.group == new.group
        && old.attempt == new.attempt
        && old.not_before_ms == new.not_before_ms
}
