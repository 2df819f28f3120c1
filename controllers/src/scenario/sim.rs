//! The core and the model of the server, joined by streams that a test may deliver in any order.

use std::collections::VecDeque;

use manifests::bundle::{Operation, Target, Verb};
use serde_json::{Value, json};

use super::server::{Id, KINDS, Server, id};
use crate::core::{Core, Settings};
use crate::effect::{Batch, Effect};
use crate::event::Event;
use crate::model::Owner;

/// The core and the model.
#[derive(Debug)]
pub(super) struct Sim {
    pub(super) core: Core,
    pub(super) server: Server,
    pub(super) now_ms: u64,
    sent: VecDeque<(Batch, Vec<Operation>)>,
    answers: VecDeque<Event>,
    pub(super) wake_ms: Option<u64>,
    pub(super) transactions: usize,
}

fn owner_id(owner: &Owner) -> Id {
    let key = &owner.thing.key;
    id(&owner.thing.sort.plural, &key.namespace, &key.name)
}

fn core(epoch: u64) -> Core {
    Core::new(Settings {
        epoch,
        run: epoch,
        agent_timeout_ms: 5_000,
        offer_timeout_ms: 30_000,
    })
}

impl Sim {
    pub(super) fn new() -> Self {
        let mut sim = Self {
            core: core(1),
            server: Server::default(),
            now_ms: 1_000_000,
            sent: VecDeque::new(),
            answers: VecDeque::new(),
            wake_ms: None,
            transactions: 0,
        };
        for kind in KINDS {
            sim.server.relist(kind);
        }
        sim
    }

    /// Another leader: nothing is remembered, and what was under way is lost.
    pub(super) fn depose(&mut self, epoch: u64) {
        self.core = core(epoch);
        self.sent.clear();
        self.answers.clear();
        for kind in KINDS {
            self.server.relist(kind);
        }
    }

    /// Delivers the next event of the kind; false when there is none.
    pub(super) fn deliver(&mut self, kind: &str) -> bool {
        let next = self
            .server
            .streams
            .get_mut(kind)
            .and_then(VecDeque::pop_front);
        let Some(event) = next else { return false };
        self.core.handle(event, self.now_ms);
        true
    }

    /// The server takes the next transaction.
    pub(super) fn serve(&mut self) -> bool {
        let Some((batch, operations)) = self.sent.pop_front() else {
            return false;
        };
        self.transactions += 1;
        self.server.now_ms = self.now_ms;
        let answer = self.server.transact(&operations);
        self.answers.push_back(Event::Done(batch, answer));
        true
    }

    /// The core hears the next answer.
    pub(super) fn answer(&mut self) -> bool {
        let Some(event) = self.answers.pop_front() else {
            return false;
        };
        self.core.handle(event, self.now_ms);
        true
    }

    /// The core looks at the present state; its books are audited.
    pub(super) fn step(&mut self) -> bool {
        let step = self.core.step(self.now_ms);
        self.wake_ms = step.wake_ms;
        let busy = !step.effects.is_empty();
        for effect in step.effects {
            match effect {
                Effect::Submit(batch, operations) => self.sent.push_back((batch, operations)),
                Effect::Verify(owners) => {
                    let seen = owners.into_iter().map(|owner| {
                        let live = self.server.get(&owner_id(&owner));
                        let live = live.is_some_and(|o| o["metadata"]["uid"] == *owner.uid);
                        (owner, Some(live))
                    });
                    self.answers.push_back(Event::Verified(seen.collect()));
                }
                Effect::Empty(_) => {}
            }
        }
        if let Err(faults) = self.core.allocator.audit(&self.core.world) {
            panic!("the books are wrong: {faults:#?}");
        }
        busy
    }

    /// Everything is delivered, served and answered, until nothing is left to do now.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for kind in KINDS {
                while self.deliver(kind) {
                    busy = true;
                }
            }
            while self.answer() {
                busy = true;
            }
            busy |= self.step();
            while self.serve() {
                busy = true;
            }
            if !busy {
                return;
            }
        }
        panic!("does not settle");
    }

    /// Time passes; timers ring on their way.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        self.settle();
        while let Some(at) = self.wake_ms.filter(|at| *at <= end) {
            self.now_ms = at.max(self.now_ms + 1);
            self.core.handle(Event::Tick, self.now_ms);
            self.settle();
        }
        self.now_ms = end;
        self.settle();
    }

    pub(super) fn task(&self, name: &str) -> Option<&Value> {
        self.server.get(&id("tasks", "default", name))
    }

    /// The agent says what became of a task.
    pub(super) fn report(&mut self, name: &str, state: &str) {
        let at: Id = id("tasks", "default", name);
        self.server
            .patch(&at, &json!({ "status": { "state": state } }));
    }

    /// An external framework answers an offer.
    pub(super) fn reply(&mut self, offer: &str, verb: &str, body: Value) -> bool {
        let target = Target {
            api_version: "stoa.dev/v1".to_owned(),
            resource: "offers".to_owned(),
            namespace: Some("default".to_owned()),
            name: offer.to_owned(),
        };
        let subresource = Some(verb.to_owned());
        self.server.call(Operation {
            target,
            subresource,
            verb: Verb::Create,
            body,
        })
    }
}
