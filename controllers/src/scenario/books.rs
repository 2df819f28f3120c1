//! Races between the streams of kinds, each written out.

use serde_json::json;

use super::sim::Sim;

fn cluster() -> Sim {
    let mut sim = Sim::new();
    sim.server.put(
        "resourcepools",
        "",
        "p",
        json!({ "metadata": { "name": "p" }, "spec": { "weight": 1.0 } }),
    );
    for (name, scheduler) in [("e", "External"), ("f", "Builtin")] {
        let framework = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "pool": "p", "scheduler": scheduler },
        });
        sim.server.put("frameworks", "default", name, framework);
    }
    let agent = json!({
        "metadata": { "name": "n1" },
        "spec": {},
        "status": { "phase": "Ready", "allocatable": { "cpus": 4 } },
    });
    sim.server.put("agents", "", "n1", agent);
    sim.settle();
    sim
}

fn accept(sim: &mut Sim, task: &str) {
    let offer = sim.server.all("offers").next().unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let spec = json!({ "framework": "e", "command": ["true"], "resources": { "cpus": 1 } });
    let body =
        json!({ "tasks": [{ "metadata": { "name": task }, "spec": spec }], "refuseSeconds": 100 });
    assert!(sim.reply(&offer, "accept", body));
}

fn free(sim: &mut Sim) -> String {
    let agent = "n1".into();
    sim.core
        .allocator
        .ledger
        .account(&agent)
        .free(&None)
        .to_string()
}

#[test]
fn the_offer_is_seen_first() {
    let mut sim = cluster();
    assert_eq!(free(&mut sim), "nothing");
    accept(&mut sim, "t");
    while sim.deliver("offers") {}
    sim.step();
    assert_eq!(
        free(&mut sim),
        "nothing",
        "a task nobody saw may be as large as the offer"
    );
    while sim.deliver("tasks") {}
    sim.step();
    assert_eq!(free(&mut sim), "cpus 3");
    sim.settle();
    assert_eq!(sim.core.allocator.book.iter().count(), 0);
}

#[test]
fn the_task_is_seen_first() {
    let mut sim = cluster();
    accept(&mut sim, "t");
    while sim.deliver("tasks") {}
    sim.step();
    assert_eq!(
        free(&mut sim),
        "nothing",
        "the rest of the offer is not known to be free"
    );
    while sim.deliver("offers") {}
    sim.step();
    assert_eq!(free(&mut sim), "cpus 3");
    sim.settle();
    assert_eq!(sim.core.allocator.book.iter().count(), 0);
}

#[test]
fn the_task_came_and_went_before_the_offer_is_seen() {
    let mut sim = cluster();
    accept(&mut sim, "t");
    sim.report("t", "Finished");
    sim.server.patch(
        &super::server::id("tasks", "default", "t"),
        &json!({ "metadata": { "finalizers": [] } }),
    );
    sim.server
        .delete(&super::server::id("tasks", "default", "t"));
    while sim.deliver("tasks") {}
    sim.step();
    while sim.deliver("offers") {}
    sim.settle();
    // What the task had was offered anew before the acceptance was seen; the rest is filtered.
    assert_eq!(free(&mut sim), "cpus 3");
    let standing: Vec<_> = sim
        .core
        .allocator
        .book
        .iter()
        .map(|e| e.charged.to_string())
        .collect();
    assert_eq!(standing, ["cpus 1"]);
}

#[test]
fn the_task_came_and_went_between_two_lists() {
    let mut sim = cluster();
    accept(&mut sim, "t");
    sim.server.patch(
        &super::server::id("tasks", "default", "t"),
        &json!({ "metadata": { "finalizers": [] } }),
    );
    sim.server
        .delete(&super::server::id("tasks", "default", "t"));
    sim.server.relist("tasks");
    sim.settle();
    assert_eq!(free(&mut sim), "cpus 4");
}

#[test]
fn a_withdrawal_loses_against_an_acceptance() {
    let mut sim = cluster();
    sim.now_ms += 30_000;
    sim.step();
    accept(&mut sim, "t");
    sim.settle();
    assert_eq!(free(&mut sim), "cpus 3");
    assert!(sim.task("t").is_some());
}

#[test]
fn a_thousand_tasks_take_few_transactions() {
    let mut sim = cluster();
    sim.server.patch(
        &super::server::id("frameworks", "default", "e"),
        &json!({ "spec": { "demand": { "suppressed": true } } }),
    );
    sim.pass(31_000);
    let before = sim.transactions;
    for index in 0..1_000 {
        let name = format!("t{index:04}");
        let task = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "framework": "f", "command": ["true"], "resources": { "cpus": "0.004" } },
        });
        sim.server.put("tasks", "default", &name, task);
    }
    sim.settle();
    let bound = sim
        .server
        .all("tasks")
        .filter(|task| task["spec"]["agent"] == "n1")
        .count();
    assert_eq!(bound, 1_000);
    assert!(
        sim.transactions - before < 40,
        "{} transactions",
        sim.transactions - before
    );
}
