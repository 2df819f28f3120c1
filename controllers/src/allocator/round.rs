//! A round: progressive filling. Whoever has the least for its weight is given one unit (a task,
//! a gang, a slice of an agent), again and again, until nobody can be given anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use manifests::kinds::{Constraint, Scheduler};
use manifests::resources::Resources;

use super::Allocator;
use super::account::{Payer, Source};
use super::book::{Entry, Phase};
use super::drf::Tree;
use super::quota::{Headroom, within_limits};
use crate::effect::Write;
use crate::model::{Key, Name, Task, plus};
use crate::scheduler::{Ask, Queue, Unit, choose};
use crate::world::World;

/// Tasks placed in one round: enough for a full transaction, little enough that the first of them
/// is not kept waiting for the last.
const TASKS_MAX: usize = 256;

/// Tasks on their way to an agent at once. Beyond it rounds wait: the log is the bottleneck then.
const CLAIMS_MAX: usize = 2_048;

/// The offers being put together in one round.
#[derive(Default)]
pub(super) struct Drafts {
    by_place: BTreeMap<(Key, Name, Source), Key>,
    order: Vec<Key>,
}

/// One placement of a task.
type Placement = (Arc<Task>, Name, Source);

impl Allocator {
    /// Makes offers; returns the writes that publish them. `room`: a transaction of new offers may
    /// start now, so built-in frameworks are served; external ones always are.
    pub fn round(&mut self, world: &World, queue: &mut Queue, now_ms: u64) -> Vec<Write> {
        if std::mem::take(&mut self.freed) {
            queue.unblock();
        }
        self.dirty = false;
        let headroom = Headroom::of(world, &self.usage);
        let mut drafts = Drafts::default();
        let mut budget = TASKS_MAX.min(CLAIMS_MAX.saturating_sub(queue.claimed()));
        if !headroom.is_empty() {
            self.fill(world, queue, &mut drafts, &mut budget, true, now_ms);
        }
        self.fill(world, queue, &mut drafts, &mut budget, false, now_ms);
        drafts
            .order
            .iter()
            .filter_map(|key| self.publish(world, key))
            .collect()
    }

    /// Fills until nobody can be given anything. `owed`: only those whose guarantee is unmet.
    fn fill(
        &mut self,
        world: &World,
        queue: &mut Queue,
        drafts: &mut Drafts,
        budget: &mut usize,
        owed: bool,
        now_ms: u64,
    ) {
        let mut contenders = self.contenders(world, queue);
        if owed {
            let headroom = Headroom::of(world, &self.usage);
            contenders.retain(|_, (pool, _)| headroom.is_owed(pool));
        }
        let seats = contenders
            .iter()
            .map(|(framework, (pool, _))| (framework, pool));
        let mut tree = Tree::new(world, &self.usage, self.ledger.total(), seats);
        let mut builtin = contenders.values().filter(|(_, builtin)| *builtin).count();
        while let Some(framework) = tree.pick() {
            let (pool, is_builtin) = contenders[&framework].clone();
            let given = if !is_builtin {
                let slice = builtin > 0;
                self.grant(world, drafts, &framework, &pool, slice, now_ms)
            } else if *budget == 0 {
                self.dirty = true;
                false
            } else {
                let placed = self.place(world, queue, drafts, &framework, &pool, now_ms);
                *budget = budget.saturating_sub(placed);
                placed > 0
            };
            let done = owed && !Headroom::of(world, &self.usage).is_owed(&pool);
            if given && !done {
                tree.refresh(&self.usage, &framework, &pool);
            } else {
                builtin -= usize::from(is_builtin);
                tree.retire(&framework, &pool);
            }
        }
    }

    /// Frameworks that want something, with their pool and whether they are built in.
    fn contenders(&self, world: &World, queue: &Queue) -> BTreeMap<Key, (Name, bool)> {
        let of = |key: &Key, scheduler: Scheduler| {
            let framework = world.frameworks.get(key)?;
            let fit = framework.scheduler == scheduler
                && !framework.meta.deleting
                && !framework.appetite.suppressed
                && !self.resting.contains_key(key)
                && world.pools.get(&framework.pool).is_some();
            fit.then(|| {
                (
                    key.clone(),
                    (framework.pool.clone(), scheduler == Scheduler::Builtin),
                )
            })
        };
        let builtin = queue
            .contenders()
            .into_iter()
            .filter_map(|k| of(&k, Scheduler::Builtin));
        let external = self
            .externals
            .iter()
            .filter_map(|k| of(k, Scheduler::External));
        builtin.chain(external).collect()
    }

    /// Places the next unit of the framework that fits; returns how many tasks that were.
    fn place(
        &mut self,
        world: &World,
        queue: &mut Queue,
        drafts: &mut Drafts,
        framework: &Key,
        pool: &Name,
        now_ms: u64,
    ) -> usize {
        while let Some(unit) = queue.head(world, framework) {
            let Some(placements) = self.fit(world, &unit, pool) else {
                queue.block(framework, &unit.class);
                continue;
            };
            let gang = unit.tasks.len() > 1;
            let mut alone = Drafts::default();
            let place = if gang { &mut alone } else { &mut *drafts };
            let bundle = self.sequence + 1;
            for (task, agent, source) in &placements {
                queue.claim(task);
                let key = self.draft(world, place, framework, pool, agent, source, now_ms);
                self.extend(&key, &task.shape.resources, Some(&task.key));
            }
            for key in &alone.order {
                if let Some(entry) = self.book.get_mut(key) {
                    (entry.bundle, entry.gang) = (bundle, true);
                }
            }
            drafts.order.append(&mut alone.order);
            return placements.len();
        }
        0
    }

    /// Where each task of the unit would go; `None` unless all have a place.
    fn fit(&mut self, world: &World, unit: &Unit, pool: &Name) -> Option<Vec<Placement>> {
        if unit.tasks.iter().any(|task| task.fault.is_some()) {
            return None;
        }
        if unit.together {
            return self.fit_together(world, unit, pool);
        }
        let mut placements: Vec<Placement> = Vec::new();
        let mut all = true;
        for task in &unit.tasks {
            let shape = &task.shape;
            let constraints = vec![shape.constraints.as_slice()];
            let pin = unit.pin.as_ref();
            let ask = Ask {
                resources: &shape.resources,
                constraints,
                pool,
                pin,
            };
            let Some((agent, source)) = self.seat(world, &ask) else {
                all = false;
                break;
            };
            if unit.tasks.len() > 1 {
                // Charged while the others look for a place, then handed to the drafts.
                self.try_on(&agent, &source, task, true);
            }
            placements.push((Arc::clone(task), agent, source));
        }
        if unit.tasks.len() > 1 {
            for (task, agent, source) in &placements {
                self.try_on(agent, source, task, false);
            }
        }
        all.then_some(placements)
    }

    fn fit_together(&mut self, world: &World, unit: &Unit, pool: &Name) -> Option<Vec<Placement>> {
        let mut resources = Resources::default();
        for task in &unit.tasks {
            resources = resources.checked_add(&task.shape.resources).ok()?;
        }
        let constraints: Vec<&[Constraint]> = unit
            .tasks
            .iter()
            .map(|task| task.shape.constraints.as_slice())
            .collect();
        let ask = Ask {
            resources: &resources,
            constraints,
            pool,
            pin: None,
        };
        let (agent, source) = self.seat(world, &ask)?;
        let seat = |task: &Arc<Task>| (Arc::clone(task), agent.clone(), source.clone());
        Some(unit.tasks.iter().map(seat).collect())
    }

    fn try_on(&mut self, agent: &Name, source: &Source, task: &Task, on: bool) {
        let payer = Payer::Task(format!("trial {}", task.meta.uid));
        let resources = &task.shape.resources;
        if on {
            self.ledger.charge(agent, &payer, source, resources);
            self.usage.add(&task.framework, resources);
        } else {
            self.ledger.release(agent, &payer, source, resources);
            self.usage.sub(&task.framework, resources);
        }
    }

    /// The best seat that quota allows.
    fn seat(&mut self, world: &World, ask: &Ask<'_>) -> Option<(Name, Source)> {
        within_limits(world, &self.usage, ask.pool, ask.resources).ok()?;
        let (agent, source) = choose(world, &mut self.ledger, ask)?;
        let headroom = Headroom::of(world, &self.usage);
        if source.is_none() && !headroom.is_empty() {
            let free = self.free_in_all();
            if headroom.keeper(ask.pool, &free, ask.resources).is_some() {
                return None;
            }
        }
        Some((agent, source))
    }

    /// Unreserved scalars free on all open agents together.
    pub(crate) fn free_in_all(&mut self) -> Resources {
        let open = self.ledger.iter_mut().filter(|(_, account)| account.open);
        open.fold(Resources::default(), |sum, (_, account)| {
            plus(&sum, &account.free(&None).without_ports())
        })
    }

    /// The draft for this framework, agent and source: one offer for each in a round.
    #[expect(
        clippy::too_many_arguments,
        reason = "the place of an offer has that many parts"
    )]
    pub(super) fn draft(
        &mut self,
        world: &World,
        drafts: &mut Drafts,
        framework: &Key,
        pool: &Name,
        agent: &Name,
        source: &Source,
        now_ms: u64,
    ) -> Key {
        let place = (framework.clone(), agent.clone(), source.clone());
        if let Some(key) = drafts.by_place.get(&place) {
            return key.clone();
        }
        let key = self.next_offer(&framework.namespace);
        let builtin = world
            .frameworks
            .get(framework)
            .is_some_and(|f| f.scheduler == Scheduler::Builtin);
        self.book.insert(Entry {
            key: key.clone(),
            uid: String::new(),
            version: 0,
            framework: framework.clone(),
            pool: pool.clone(),
            agent: agent.clone(),
            source: source.clone(),
            resources: Resources::default(),
            phase: Phase::Proposed,
            builtin,
            ours: true,
            intended: Vec::new(),
            bundle: self.sequence,
            gang: false,
            expires_ms: self.expiry(world, framework, now_ms),
            doomed: false,
            removing: false,
            early: BTreeMap::new(),
            buried: std::collections::BTreeSet::new(),
            charged: Resources::default(),
        });
        drafts.by_place.insert(place, key.clone());
        drafts.order.push(key.clone());
        key
    }

    /// Puts more into a draft, and charges it.
    pub(super) fn extend(&mut self, key: &Key, more: &Resources, task: Option<&Key>) {
        let Some(entry) = self.book.get_mut(key) else {
            return;
        };
        let before = std::mem::take(&mut entry.charged);
        entry.resources = plus(&entry.resources, more);
        entry.charged = entry.resources.clone();
        entry.intended.extend(task.cloned());
        let entry = entry.clone();
        let payer = Payer::Offer(key.clone());
        self.ledger
            .release(&entry.agent, &payer, &entry.source, &before);
        self.ledger
            .charge(&entry.agent, &payer, &entry.source, &entry.charged);
        self.usage.add(&entry.framework, more);
    }
}
