//! Concurrent clients on the small store, under one seed. Every call takes effect at a point between its
//! beginning and its end, or, when its outcome is unknown, at any later point or never.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::dice::Dice;
use super::store::{Bug, Store};
use crate::check::history::*;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) bug: Bug,
    pub(super) clients: u32,
    pub(super) calls: usize,
    pub(super) keys: u64,
    pub(super) unknown_percent: u64,
    pub(super) watches: u32,
}

impl Plan {
    /// A small one.
    pub(super) fn small(seed: u64, bug: Bug) -> Self {
        Self {
            seed,
            bug,
            clients: 6,
            calls: 250,
            keys: 7,
            unknown_percent: 12,
            watches: 4,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) history: History,
    /// True if the store has been wrong.
    pub(super) is_wrong: bool,
}

const REPLICAS: u64 = 3;

/// Begins come before effects of the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Begin(Client),
    Effect(usize),
}

struct Simulation {
    plan: Plan,
    dice: Dice,
    store: Store,
    base: Revision,
    steps: BinaryHeap<Reverse<(Nanos, Step)>>,
    calls: Vec<Call>,
    numbers: BTreeMap<Client, u32>,
    /// What a client may try again.
    untold: BTreeMap<Client, (RequestId, Txn)>,
    /// Index into the boundaries of what each replica shows.
    shown: Vec<usize>,
    fresh: u64,
    /// Whether the client at hand will be told. What nobody was told of is known by its value alone.
    is_told: bool,
}

pub(super) fn simulate(plan: Plan) -> Run {
    let mut simulation = Simulation {
        plan,
        dice: Dice(plan.seed),
        store: Store::new(),
        base: 0,
        steps: BinaryHeap::new(),
        calls: Vec::new(),
        numbers: BTreeMap::new(),
        untold: BTreeMap::new(),
        shown: Vec::new(),
        fresh: 0,
        is_told: true,
    };
    let base = simulation.fill();
    simulation.run();
    simulation.finish(base)
}

impl Simulation {
    /// Half of all stores are not empty at first.
    fn fill(&mut self) -> Snapshot {
        for _ in 0..self.dice.below(2) * 5 {
            let txn = self.txn();
            self.store
                .apply(RequestId(u128::from(self.dice.roll())), &txn, 0, true);
        }
        self.base = self.store.revision;
        self.store.bug = self.plan.bug;
        self.shown = vec![self.store.boundaries.len() - 1; 3];
        self.store.read(&everything(), self.store.revision)
    }

    fn run(&mut self) {
        for client in 0..self.plan.clients {
            let at = 1 + self.dice.below(50);
            self.steps.push(Reverse((at, Step::Begin(Client(client)))));
        }
        while let Some(Reverse((now, step))) = self.steps.pop() {
            match step {
                Step::Begin(client) if self.calls.len() < self.plan.calls => {
                    self.begin(client, now);
                }
                Step::Begin(_) => {}
                Step::Effect(call) => self.effect(call, now),
            }
        }
    }

    fn begin(&mut self, client: Client, began: Nanos) {
        self.is_told = !self.dice.percent(self.plan.unknown_percent);
        let deed = if self.dice.percent(60) {
            self.write(client)
        } else {
            self.look()
        };
        let effect = began + 1 + self.dice.below(40);
        let ended = effect + 1 + self.dice.below(40);
        let number = self.numbers.entry(client).or_default();
        *number += 1;
        let call = Call {
            client,
            number: *number,
            replica: Replica(u32::try_from(self.dice.below(REPLICAS)).unwrap()),
            began,
            ended: Some(ended),
            deed,
        };
        self.fate(call, effect);
        let next = ended + 1 + self.dice.below(20);
        self.steps.push(Reverse((next, Step::Begin(client))));
    }

    /// Decides whether the client will be told, and when it happens.
    fn fate(&mut self, mut call: Call, mut effect: Nanos) {
        let index = self.calls.len();
        let mut happens = true;
        if !self.is_told {
            happens = self.dice.percent(60);
            if self.dice.percent(30) {
                effect += self.dice.below(400);
            }
            if self.dice.percent(30) {
                call.ended = None;
            }
            if let Deed::Txn { request, txn, .. } = &call.deed {
                self.untold.insert(call.client, (*request, txn.clone()));
            }
        } else {
            promise(&mut call.deed);
        }
        if happens {
            self.steps.push(Reverse((effect, Step::Effect(index))));
        }
        self.calls.push(call);
    }

    fn effect(&mut self, index: usize, now: Nanos) {
        let replica = usize::try_from(self.calls[index].replica.0).unwrap();
        let acknowledged = self.acknowledged(self.calls[index].began);
        let mut deed = self.calls[index].deed.clone();
        match &mut deed {
            Deed::Txn {
                request,
                txn,
                answer,
            } => {
                let is_told = *answer != Answer::Unknown;
                let outcome = self.store.apply(*request, txn, now, is_told);
                if is_told {
                    *answer = Answer::Known(outcome);
                    self.shown[replica] = self.store.boundaries.len() - 1;
                }
            }
            Deed::Read {
                mode,
                select,
                answer,
            } => {
                if *answer != Answer::Unknown {
                    let revision = self.revision_for(mode, replica, acknowledged);
                    *answer = Answer::Known(self.store.read(select, revision));
                }
            }
        }
        self.calls[index].deed = deed;
    }

    fn revision_for(
        &mut self,
        mode: &mut Mode,
        replica: usize,
        acknowledged: Revision,
    ) -> Revision {
        let last = self.store.boundaries.len() - 1;
        match mode {
            Mode::Exact(revision) => {
                *revision = self.dice.below(self.store.revision + 1).max(self.base);
                let reached = self.store.boundaries.partition_point(|at| *at < *revision);
                self.shown[replica] = self.shown[replica].max(reached);
                *revision
            }
            Mode::Stale => {
                let behind = (last - self.shown[replica]) as u64;
                self.shown[replica] += usize::try_from(self.dice.below(behind + 1)).unwrap();
                self.store.boundaries[self.shown[replica]]
            }
            Mode::Linearizable => {
                self.shown[replica] = last;
                self.wrong_read(acknowledged)
                    .unwrap_or(self.store.boundaries[last])
            }
        }
    }

    fn wrong_read(&mut self, acknowledged: Revision) -> Option<Revision> {
        let boundaries = &self.store.boundaries;
        let wrong = if self.store.is_armed(Bug::StaleRead) {
            boundaries
                .iter()
                .rev()
                .find(|at| **at < acknowledged && **at > 10)
                .copied()
        } else if self.store.is_armed(Bug::TornRead) {
            let inside = self.store.revision.saturating_sub(1);
            (inside > acknowledged.max(self.base) && boundaries.binary_search(&inside).is_err())
                .then_some(inside)
        } else {
            None
        };
        self.store.is_wrong |= wrong.is_some();
        wrong
    }

    /// The greatest revision anybody was told before. Of use to a wrong store only.
    fn acknowledged(&self, began: Nanos) -> Revision {
        if self.store.bug == Bug::None {
            return 0;
        }
        let ended = |call: &&Call| call.ended.is_some_and(|ended| ended < began);
        let told = self
            .calls
            .iter()
            .filter(ended)
            .filter_map(crate::check::floor::told);
        told.max().unwrap_or(0)
    }

    fn write(&mut self, client: Client) -> Deed {
        let retried = if self.dice.percent(10) {
            self.untold.remove(&client)
        } else {
            None
        };
        let (request, txn) = retried.unwrap_or_else(|| {
            self.fresh += 1;
            (RequestId(u128::from(self.fresh)), self.txn())
        });
        Deed::Txn {
            request,
            txn,
            answer: Answer::Unknown,
        }
    }

    fn look(&mut self) -> Deed {
        let mode = match self.dice.below(3) {
            0 => Mode::Linearizable,
            1 => Mode::Exact(0),
            _ => Mode::Stale,
        };
        let select = match self.dice.below(4) {
            0 if self.plan.keys < 100 => everything(),
            1 if self.plan.keys < 100 => Select::Prefix(Key::from(*b"k1")),
            _ => Select::Keys(vec![self.key(), self.key()]),
        };
        Deed::Read {
            mode,
            select,
            answer: Answer::Unknown,
        }
    }

    fn txn(&mut self) -> Txn {
        let guards = (0..self.dice.below(3)).map(|_| self.guard()).collect();
        let count = [0, 1, 1, 1, 1, 1, 2, 2, 3, 4][usize::try_from(self.dice.below(10)).unwrap()];
        let ops = (0..count).map(|_| self.op()).collect();
        Txn { guards, ops }
    }

    fn guard(&mut self) -> Guard {
        let key = self.key();
        let wrong = self.dice.percent(15);
        match self.store.get(&key) {
            Some(item) if self.dice.percent(60) => Guard::RevisionIs {
                key,
                revision: item.mod_revision - u64::from(wrong),
            },
            Some(_) if wrong => Guard::Absent(key),
            Some(_) => Guard::Exists(key),
            None if wrong => Guard::Exists(key),
            None => Guard::Absent(key),
        }
    }

    fn op(&mut self) -> Op {
        let key = self.key();
        if self.dice.percent(25) {
            return Op::Delete { key };
        }
        // A wrong store is found out by its values, so they are nobody else's.
        let copies = self.is_told && self.plan.bug == Bug::None && self.dice.percent(10);
        let same = self.store.get(&key).filter(|_| copies);
        let value = same
            .map(|item| Value::clone(&item.value))
            .unwrap_or_else(|| {
                self.fresh += 1;
                Value::from(format!("v{}", self.fresh).into_bytes())
            });
        Op::Put { key, value }
    }

    fn key(&mut self) -> Key {
        Key::from(format!("k{}", self.dice.below(self.plan.keys)).into_bytes())
    }

    fn finish(mut self, base: Snapshot) -> Run {
        let log = self
            .store
            .log
            .split_off(usize::try_from(base.revision).unwrap());
        let watches = (0..self.plan.watches)
            .map(|number| self.watch(number, base.revision, &log))
            .collect();
        let snapshot = self.store.read(&everything(), self.store.revision);
        Run {
            history: History {
                base,
                calls: self.calls,
                watches,
                end: Final { snapshot, log },
            },
            is_wrong: self.store.is_wrong,
        }
    }

    fn watch(&mut self, number: u32, base: Revision, log: &[Event]) -> Watch {
        let prefix = if number.is_multiple_of(2) {
            Key::from([])
        } else {
            Key::from(*b"k1")
        };
        let mut position = base + self.dice.below(4).min(log.len() as u64);
        let mut parts = Vec::new();
        for _ in 0..1 + self.dice.below(4) {
            let replica = Replica(u32::try_from(self.dice.below(REPLICAS)).unwrap());
            let after = position;
            let notes = self.notes(&prefix, base, &mut position, log);
            let mut end = End::Cut;
            let last = base + log.len() as u64;
            if self.dice.percent(20) && position < last {
                let oldest = position + 1 + self.dice.below(last - position);
                end = End::Compacted { oldest };
                position = oldest;
            }
            parts.push(Part {
                replica,
                after,
                notes,
                end,
            });
        }
        Watch {
            client: Client(100 + number),
            number: 1,
            prefix,
            parts,
        }
    }

    fn notes(
        &mut self,
        prefix: &Key,
        base: Revision,
        to: &mut Revision,
        log: &[Event],
    ) -> Vec<Note> {
        let mut notes = Vec::new();
        let length = self.dice.below(log.len() as u64 + 1);
        let start = usize::try_from(*to - base).unwrap();
        let mut at = 0;
        for event in log[start..].iter().take(usize::try_from(length).unwrap()) {
            if !event.key.starts_with(prefix) {
                continue;
            }
            at = at.max(event.at + self.dice.below(30));
            notes.push(Note::Event(Event {
                at,
                ..event.clone()
            }));
            *to = event.revision;
            if self.dice.percent(5) {
                notes.push(Note::Progress(event.revision));
            }
        }
        notes
    }
}

fn promise(deed: &mut Deed) {
    match deed {
        Deed::Txn { answer, .. } => *answer = Answer::Failed,
        Deed::Read { answer, .. } => *answer = Answer::Failed,
    }
}

pub(super) fn everything() -> Select {
    Select::Prefix(Key::from([]))
}
