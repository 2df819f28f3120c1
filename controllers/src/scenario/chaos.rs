//! Any order of events: the books stay right, no agent is given away twice, and once the faults
//! stop, everybody who can run runs.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::language::task_spec;
use super::server::{KINDS, id};
use super::sim::Sim;

/// One thing that happens, with a number to choose by.
#[derive(Clone, Copy, Debug)]
enum Act {
    Deliver,
    Serve,
    Answer,
    Step,
    Create,
    Delete,
    Advance,
    Accept,
    Decline,
    Cordon,
    Reserve,
    Unreserve,
    Pass,
    Relist,
    Depose,
    Gang,
    Touch,
}

fn act() -> impl Strategy<Value = (Act, usize)> {
    let act = prop_oneof![
        40 => Just(Act::Deliver),
        12 => Just(Act::Serve),
        12 => Just(Act::Answer),
        15 => Just(Act::Step),
        8 => Just(Act::Create),
        2 => Just(Act::Delete),
        8 => Just(Act::Advance),
        4 => Just(Act::Accept),
        2 => Just(Act::Decline),
        1 => Just(Act::Cordon),
        1 => Just(Act::Reserve),
        1 => Just(Act::Unreserve),
        3 => Just(Act::Pass),
        1 => Just(Act::Relist),
        1 => Just(Act::Depose),
        1 => Just(Act::Gang),
        2 => Just(Act::Touch),
    ];
    (act, 0_usize..1_000)
}

struct Chaos {
    sim: Sim,
    made: usize,
    epoch: u64,
}

impl Chaos {
    fn new() -> Self {
        let mut sim = Sim::new();
        for (name, weight) in [("a", 1.0), ("b", 3.0)] {
            let pool = json!({ "metadata": { "name": name }, "spec": { "weight": weight } });
            sim.server.put("resourcepools", "", name, pool);
        }
        for (name, pool, scheduler) in [
            ("f", "a", "Builtin"),
            ("g", "b", "Builtin"),
            ("e", "b", "External"),
        ] {
            let framework = json!({
                "metadata": { "name": name, "namespace": "default" },
                "spec": { "pool": pool, "scheduler": scheduler },
            });
            sim.server.put("frameworks", "default", name, framework);
        }
        for name in ["n1", "n2", "n3"] {
            let agent = json!({
                "metadata": { "name": name },
                "spec": {},
                "status": { "phase": "Ready", "allocatable": { "cpus": 4, "ports": "1-4" } },
            });
            sim.server.put("agents", "", name, agent);
        }
        Self {
            sim,
            made: 0,
            epoch: 1,
        }
    }

    fn act(&mut self, act: Act, choice: usize) {
        match act {
            Act::Deliver => {
                self.sim.deliver(KINDS[choice % KINDS.len()]);
            }
            Act::Serve => {
                self.sim.serve();
            }
            Act::Answer => {
                self.sim.answer();
            }
            Act::Step => {
                self.sim.step();
            }
            Act::Create => self.create(choice),
            Act::Delete => {
                if let Some(name) = self.some("tasks", choice) {
                    self.sim.server.delete(&id("tasks", "default", &name));
                }
            }
            Act::Advance => self.advance(choice),
            Act::Accept => self.accept(choice),
            Act::Decline => {
                if let Some(name) = self.some("offers", choice) {
                    self.sim
                        .reply(&name, "decline", json!({ "refuseSeconds": 1 }));
                }
            }
            Act::Cordon => {
                let agent = id("agents", "", &format!("n{}", choice % 3 + 1));
                let cordon = json!({ "spec": { "unschedulable": choice.is_multiple_of(2) } });
                self.sim.server.patch(&agent, &cordon);
            }
            Act::Reserve => self.reserve(choice),
            Act::Unreserve => {
                if let Some(name) = self.some("reservations", choice) {
                    self.sim
                        .server
                        .delete(&id("reservations", "default", &name));
                }
            }
            Act::Pass => self.sim.now_ms += u64::try_from(choice).unwrap() * 10,
            Act::Relist => self.sim.server.relist(KINDS[choice % KINDS.len()]),
            Act::Depose => {
                self.epoch += 1;
                self.sim.depose(self.epoch);
            }
            Act::Gang => self.gang(choice),
            Act::Touch => {
                if let Some(name) = self.some("tasks", choice) {
                    let label =
                        json!({ "metadata": { "labels": { "touched": choice.to_string() } } });
                    self.sim
                        .server
                        .patch(&id("tasks", "default", &name), &label);
                }
            }
        }
    }

    fn some(&self, kind: &str, choice: usize) -> Option<String> {
        let names: Vec<&str> = self
            .sim
            .server
            .all(kind)
            .filter_map(|o| o["metadata"]["name"].as_str())
            .collect();
        (!names.is_empty()).then(|| names[choice % names.len()].to_owned())
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("x{}", self.made)
    }

    fn create(&mut self, choice: usize) {
        let name = self.name();
        let framework = ["f", "g"][choice % 2];
        let mut rest = std::collections::BTreeMap::from([
            ("framework", framework),
            ("cpus", ["1", "0.5", "2"][choice % 3]),
            ("restart", ["Never", "Always"][choice / 7 % 2]),
        ]);
        if choice.is_multiple_of(5) {
            rest.insert("ports", ["1", "2-3"][choice / 5 % 2]);
        }
        let task = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": task_spec(&rest),
        });
        self.sim.server.put("tasks", "default", &name, task);
    }

    fn gang(&mut self, choice: usize) {
        let name = self.name();
        let rest = std::collections::BTreeMap::from([("cpus", "1")]);
        let members: Vec<_> = (0..2 + choice % 3)
            .map(|n| json!({ "name": n.to_string(), "spec": task_spec(&rest) }))
            .collect();
        let group = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": {
                "framework": "f",
                "placement": (["Spread", "SameAgent"][choice % 2]),
                "tasks": members,
            },
        });
        self.sim.server.put("taskgroups", "default", &name, group);
    }

    fn reserve(&mut self, choice: usize) {
        let name = self.name();
        let reservation = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": {
                "pool": (["a", "b"][choice % 2]),
                "count": 1 + choice % 2,
                "exclusive": choice.is_multiple_of(3),
                "resources": { "cpus": 1 },
            },
        });
        self.sim
            .server
            .put("reservations", "default", &name, reservation);
    }

    /// The agent moves a bound task on.
    fn advance(&mut self, choice: usize) {
        let bound: Vec<(String, String)> = self
            .sim
            .server
            .all("tasks")
            .filter(|task| task["spec"]["agent"].is_string())
            .filter_map(|task| {
                let state = task["status"]["state"].as_str()?.to_owned();
                Some((task["metadata"]["name"].as_str()?.to_owned(), state))
            })
            .collect();
        if bound.is_empty() {
            return;
        }
        let (name, state) = &bound[choice % bound.len()];
        let next = match (state.as_str(), choice % 3) {
            ("Staging", 0 | 1) => "Running",
            ("Staging", _) | ("Running", 0) => "Failed",
            ("Running", _) => "Finished",
            _over => return,
        };
        self.sim.report(name, next);
    }

    fn accept(&mut self, choice: usize) {
        let Some(offer) = self.some("offers", choice) else {
            return;
        };
        let external = |o: &Value| o["spec"]["framework"] == "e";
        if !self
            .sim
            .server
            .get(&id("offers", "default", &offer))
            .is_some_and(external)
        {
            return;
        }
        let rest = std::collections::BTreeMap::from([("cpus", "1")]);
        let tasks: Vec<_> = (0..choice % 3)
            .map(|_| json!({ "metadata": { "name": self.name() }, "spec": task_spec(&rest) }))
            .collect();
        self.sim.reply(
            &offer,
            "accept",
            json!({ "tasks": tasks, "refuseSeconds": 1 }),
        );
    }

    /// The faults stop. Everything must settle, and nothing placeable be left waiting.
    fn heal(&mut self) {
        self.calm();
        for _ in 0..200 {
            self.sim.pass(40_000);
            let open = self.names("tasks", |task| {
                ["Staging", "Running"].contains(&state(task))
            });
            for name in &open {
                self.sim.report(name, "Killed");
            }
            if open.is_empty()
                && self
                    .names("tasks", |task| state(task) == "Pending")
                    .is_empty()
            {
                break;
            }
        }
        self.sim.pass(40_000);
        self.expect_nothing_left();
    }

    /// Nobody asks for anything but tasks any more.
    fn calm(&mut self) {
        let quiet = json!({ "spec": { "demand": { "suppressed": true } } });
        self.sim
            .server
            .patch(&id("frameworks", "default", "e"), &quiet);
        for name in self.names("reservations", |_| true) {
            self.sim
                .server
                .delete(&id("reservations", "default", &name));
        }
        let open = json!({ "spec": { "unschedulable": false } });
        for agent in ["n1", "n2", "n3"] {
            self.sim.server.patch(&id("agents", "", agent), &open);
        }
    }

    fn names(&self, kind: &str, which: impl Fn(&Value) -> bool) -> Vec<String> {
        let found = self.sim.server.all(kind).filter(|object| which(object));
        found
            .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
            .collect()
    }

    fn expect_nothing_left(&self) {
        // A gang of which somebody deleted a member after it started is not made whole again.
        let alone = |task: &Value| !task["spec"]["group"].is_string();
        let left = self.names("tasks", |task| state(task) == "Pending" && alone(task));
        assert!(left.is_empty(), "{left:?} wait for ever");
        assert_eq!(
            self.sim.server.all("offers").count(),
            0,
            "offers are left over"
        );
        let core = &self.sim.core;
        assert_eq!(
            core.allocator.book.iter().count(),
            0,
            "entries are left in the book"
        );
        assert_eq!(core.queue.claimed(), 0, "claims are left");
        for (agent, account) in core.allocator.ledger.iter() {
            assert!(
                account.charged_in_all().is_zero(),
                "{agent} is charged for nothing"
            );
        }
    }
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or("Pending")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_is_safe_and_heals(acts in proptest::collection::vec(act(), 50..400)) {
        let mut chaos = Chaos::new();
        for (act, choice) in acts {
            chaos.act(act, choice);
        }
        chaos.heal();
    }
}
