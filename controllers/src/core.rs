//! `Core`: the pure heart. Events in, effects out; `now` is told, and so is when to wake it.
//!
//! An event changes the world and marks what depends on it; a step then looks at the present state
//! and plans. A hint, a timer and a restart take the same path.

mod observe;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use crate::allocator::Allocator;
use crate::counts::Counts;
use crate::effect::{Effect, Lane, Record, Token, Write};
use crate::event::{Event, Seen};
use crate::garbage::Garbage;
use crate::model::{Key, Name};
use crate::outbox::Outbox;
use crate::recorder::Recorder;
use crate::scheduler::{self, Queue, Waits};
use crate::world::World;
use crate::{finalize, groups, liveness, reservations, retry};

/// A task whose acceptance was refused is tried again after this: by then its present version has
/// been seen.
const BOUNCE_MS: u64 = 50;

/// A namespace that still holds something is emptied again after this.
const EMPTY_AGAIN_MS: u64 = 500;

/// A write that was refused is looked at again after this, if its cause persists.
const AGAIN_MS: u64 = 1_000;

/// How often heartbeats are asked for: well below any sensible agent timeout.
const LISTEN_MS: u64 = 1_000;

/// The same while an agent has just registered, whose first heartbeat is about to come.
const LISTEN_SOON_MS: u64 = 50;

/// For how long a new agent is awaited so.
const AWAITED_MS: u64 = 10_000;

/// What the core needs to know from outside.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Leadership epoch; part of the names of offers.
    pub epoch: u64,
    /// Distinguishes this run from others of the same epoch, in the names of offers too: an offer
    /// of an earlier run must not be taken for one of ours.
    pub run: u64,
    /// Silence after which an agent is unreachable.
    pub agent_timeout_ms: u64,
    /// How long offers stand where the framework does not say.
    pub offer_timeout_ms: u64,
}

/// The pure heart of the controllers.
#[derive(Debug)]
pub struct Core {
    /// What is known.
    pub world: World,
    /// Who is offered what.
    pub allocator: Allocator,
    /// Who waits.
    pub queue: Queue,
    waits: Waits,
    counts: Counts,
    garbage: Garbage,
    outbox: Outbox,
    settings: Settings,
    recorder: Recorder,
    /// Tasks to look at: over, killed or being deleted.
    tasks: BTreeSet<Key>,
    groups: BTreeSet<Key>,
    agents_moved: bool,
    reservations_moved: bool,
    /// Agents that are not Ready yet, and since when.
    registering: BTreeMap<Name, u64>,
    /// Writes under way that must not be made twice.
    flying: BTreeSet<Token>,
    emptying: BTreeSet<(u64, Name)>,
    again_ms: Option<u64>,
    refused: BTreeSet<Token>,
    complete: bool,
}

/// What a step asks for.
#[derive(Debug, Default)]
pub struct Step {
    /// To be done now.
    pub effects: Vec<Effect>,
    /// Look again at this time, if nothing happens before.
    pub wake_ms: Option<u64>,
}

impl Core {
    /// A core that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            world: World::default(),
            allocator: Allocator::new(settings.epoch, settings.run, settings.offer_timeout_ms),
            queue: Queue::default(),
            waits: Waits::default(),
            counts: Counts::default(),
            garbage: Garbage::default(),
            outbox: Outbox::default(),
            settings,
            recorder: Recorder::new(settings.run),
            tasks: BTreeSet::new(),
            groups: BTreeSet::new(),
            agents_moved: false,
            reservations_moved: false,
            registering: BTreeMap::new(),
            flying: BTreeSet::new(),
            emptying: BTreeSet::new(),
            again_ms: None,
            refused: BTreeSet::new(),
            complete: false,
        }
    }

    /// True when no write waits or is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outbox.is_idle()
    }

    /// Takes an event in. Nothing is decided until the next [`Core::step`].
    pub fn handle(&mut self, event: Event, now_ms: u64) {
        match event {
            Event::Done(batch, answer) => {
                for settled in self.outbox.settle(batch, answer) {
                    self.settled(settled, now_ms);
                }
            }
            Event::Heartbeats(beats) => {
                if self.complete {
                    let timeout_ms = self.settings.agent_timeout_ms;
                    let (writes, records) =
                        liveness::agents(&self.world, &beats, timeout_ms, now_ms);
                    self.once(writes);
                    self.tell(records, now_ms);
                }
            }
            Event::Sorts(sorts) => self.garbage.sorts(sorts),
            Event::Head(sort, seen) => self.garbage.head(&sort, seen, now_ms),
            Event::Verified(answers) => {
                if self.garbage.verified(answers) {
                    self.again_ms = Some(now_ms + AGAIN_MS);
                }
            }
            Event::Emptied(namespace, done) => self.emptied(&namespace, done, now_ms),
            Event::Tick => {}
            seen @ (Event::Pool(_)
            | Event::Framework(_)
            | Event::Task(_)
            | Event::Group(_)
            | Event::Reservation(_)
            | Event::Offer(_)
            | Event::Agent(_)
            | Event::Namespace(_)) => {
                let offers_listed = matches!(seen, Event::Offer(Seen::Synced(_)));
                for change in self.world.apply(seen, now_ms) {
                    self.observe(&change, now_ms);
                }
                if offers_listed {
                    self.allocator.offers_listed(&self.world);
                }
            }
        }
    }

    fn push(&mut self, writes: impl IntoIterator<Item = Write>) {
        for write in writes {
            self.outbox.push(write);
        }
    }

    /// Pushes those whose like is not under way already.
    fn once(&mut self, writes: impl IntoIterator<Item = Write>) {
        for write in writes {
            if self.flying.insert(write.token.clone()) {
                self.outbox.push(write);
            }
        }
    }

    /// Tasks whose offers came to nothing wait again.
    fn spare(&mut self, now_ms: u64) {
        for task in std::mem::take(&mut self.allocator.spared) {
            self.queue
                .release(&self.world, &task, now_ms, now_ms + BOUNCE_MS);
            self.allocator.dirty = true;
        }
    }

    fn emptied(&mut self, namespace: &str, done: bool, now_ms: u64) {
        let going = self
            .world
            .namespaces
            .get(namespace)
            .filter(|n| n.meta.deleting);
        if let (Some(namespace), false) = (going, done) {
            self.emptying
                .insert((now_ms + EMPTY_AGAIN_MS, namespace.name.clone()));
        }
    }

    /// Looks at the present state and plans. Cheap when nothing changed.
    pub fn step(&mut self, now_ms: u64) -> Step {
        if !self.world.is_complete() {
            return Step::default();
        }
        if !std::mem::replace(&mut self.complete, true) {
            (self.agents_moved, self.reservations_moved) = (true, true);
            self.allocator.freed = true;
        }
        self.allocate(now_ms);
        self.tend(now_ms);
        let (writes, records) =
            self.waits
                .look(&self.world, &mut self.allocator, &self.queue, now_ms);
        self.push(writes);
        self.tell(records, now_ms);
        let writes = self.recorder.flush(&self.world, now_ms);
        self.push(writes);
        let mut effects = self.outbox.flush();
        effects.extend(std::iter::from_fn(|| self.garbage.asks()).map(Effect::Verify));
        effects.extend(self.empty(now_ms));
        Step {
            effects,
            wake_ms: self.wake_ms(),
        }
    }

    /// The hot path: expiry, rounds, acceptances.
    fn allocate(&mut self, now_ms: u64) {
        self.spare(now_ms);
        self.queue.wake(&self.world, now_ms);
        let writes = self.allocator.expire(&self.world, now_ms);
        self.push(writes);
        let due =
            self.allocator.dirty || self.allocator.freed || !self.queue.contenders().is_empty();
        // While a transaction of offers waits, whatever arrives joins the next round.
        if due && self.outbox.has_room(Lane::Offer) {
            let writes = self.allocator.round(&self.world, &mut self.queue, now_ms);
            self.push(writes);
            let writes = self.allocator.contest(&self.world, &self.queue);
            self.push(writes);
        }
        let opened = &mut self.allocator.opened;
        let (writes, useless) = scheduler::accept(&self.world, &mut self.allocator.book, opened);
        self.push(writes);
        for key in useless {
            let writes = self.allocator.useless(&self.world, &key);
            self.push(writes);
        }
        self.spare(now_ms);
    }

    /// Everything that may wait a moment.
    fn tend(&mut self, now_ms: u64) {
        self.look_again(now_ms);
        for key in std::mem::take(&mut self.tasks) {
            let Some(task) = self.world.tasks.get(&key) else {
                continue;
            };
            if let Some(write) = finalize::finalize(task, now_ms) {
                self.once([write]);
            } else if let Some(write) = retry::retry(task, now_ms) {
                self.once([write]);
            }
        }
        if std::mem::take(&mut self.agents_moved) {
            let writes = liveness::tasks(&self.world, now_ms);
            self.once(writes);
        }
        for key in std::mem::take(&mut self.groups) {
            let writes = groups::reconcile(&self.world, &key);
            self.once(writes);
        }
        if std::mem::take(&mut self.reservations_moved) || self.has_unbound() {
            self.bind(now_ms);
        }
        let writes = self.garbage.reconcile(&self.world);
        self.once(writes);
        let ledger = self.allocator.ledger.total();
        let writes = self
            .counts
            .reconcile(&self.world, &self.allocator.usage, ledger, now_ms);
        self.push(writes);
    }

    fn tell(&mut self, records: impl IntoIterator<Item = Record>, now_ms: u64) {
        for record in records {
            self.recorder.note(record, now_ms);
        }
    }

    /// How often heartbeats should be asked for: nobody should wait for a new agent.
    #[must_use]
    pub fn listen_every_ms(&self, now_ms: u64) -> u64 {
        let awaited = |since: &u64| now_ms < since.saturating_add(AWAITED_MS);
        if !self.registering.values().any(awaited) {
            return LISTEN_MS;
        }
        // An answer names all agents: of many it is asked for less often.
        let agents = u64::try_from(self.world.agents.len()).unwrap_or(u64::MAX);
        (LISTEN_SOON_MS + agents / 20).min(LISTEN_MS)
    }

    fn has_unbound(&self) -> bool {
        let bound = |phase: &Option<String>| phase.as_deref() == Some("Bound");
        self.world
            .reservations
            .iter()
            .any(|r| !bound(&r.status.phase))
    }

    fn bind(&mut self, now_ms: u64) {
        let flying = self.flying.iter().filter_map(|token| match token {
            Token::Reservation(key) => Some(key.clone()),
            Token::Create(_)
            | Token::Accept(_)
            | Token::Withdraw(_)
            | Token::Explain(_)
            | Token::Retry(_)
            | Token::Task(_)
            | Token::Liveness(_)
            | Token::Counts(_)
            | Token::Group(_)
            | Token::Garbage(_)
            | Token::Told(..) => None,
        });
        let flying = flying.collect();
        let ledger = &mut self.allocator.ledger;
        let (writes, records) = reservations::reconcile(&self.world, ledger, &flying, now_ms);
        self.once(writes);
        self.tell(records, now_ms);
    }

    fn empty(&mut self, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some((at, _)) = self.emptying.first()
            && *at <= now_ms
        {
            let Some((_, namespace)) = self.emptying.pop_first() else {
                break;
            };
            effects.push(Effect::Empty(namespace.to_string()));
        }
        effects
    }

    fn wake_ms(&self) -> Option<u64> {
        let times = [
            self.queue.next_ms(),
            self.allocator.book.next_ms(),
            self.allocator.filters.next_ms(),
            self.allocator.resting.values().min().copied(),
            self.waits.next_ms(&self.queue),
            self.counts.next_ms(),
            self.emptying.first().map(|(at, _)| *at),
            self.recorder.next_ms(),
            self.again_ms,
        ];
        times.into_iter().flatten().min()
    }
}
