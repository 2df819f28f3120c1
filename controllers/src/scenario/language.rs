//! The language: one word and its particulars on each line.
//!
//! `pool`, `agent`, `framework`, `task`, `group`, `reservation`, `delete`, `finish`, `fail`,
//! `accept`, `decline`, `beat`, `silence`, `pass`, `leader`, and `show`, whose answer is compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::id;
use super::sim::Sim;

/// Runs a script; returns what its `show` lines showed.
pub(super) fn run(script: &str) -> String {
    let mut sim = Sim::new();
    let mut shown = String::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        let mut words = line.split_whitespace();
        let (verb, name) = (words.next().unwrap(), words.next().unwrap_or_default());
        let rest: BTreeMap<&str, &str> = words
            .map(|word| word.split_once('=').unwrap_or((word, "true")))
            .collect();
        if verb == "show" {
            sim.settle();
            shown.push_str(&show(&sim, name, &rest));
        } else {
            execute(&mut sim, verb, name, &rest);
        }
    }
    shown
}

/// Runs a script and compares, with leading blanks of the lines ignored.
pub(super) fn check(script: &str, expected: &str) {
    let shown = run(script);
    let trim = |text: &str| -> Vec<String> {
        text.lines()
            .map(|l| l.trim().to_owned())
            .filter(|l| !l.is_empty())
            .collect()
    };
    assert_eq!(trim(&shown), trim(expected), "\n{shown}");
}

type Rest<'a> = BTreeMap<&'a str, &'a str>;

/// Everything that is not a known field is a resource.
fn resources(rest: &Rest<'_>) -> Value {
    let known = ["cpus", "mem", "gpus", "ports"];
    let found = rest.iter().filter(|(name, _)| known.contains(name));
    Value::Object(
        found
            .map(|(name, amount)| ((*name).to_owned(), (*amount).into()))
            .collect(),
    )
}

fn list(text: &str) -> Value {
    let parts = text.split(',').filter_map(|part| part.split_once(':'));
    Value::Object(
        parts
            .map(|(name, amount)| (name.to_owned(), amount.into()))
            .collect(),
    )
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "stoa.dev/v1",
        "kind": kind,
        "metadata": { "name": name, "namespace": "default" },
        "spec": spec,
    })
}

fn execute(sim: &mut Sim, verb: &str, name: &str, rest: &Rest<'_>) {
    match verb {
        "pool" => pool(sim, name, rest),
        "agent" => agent(sim, name, rest),
        "framework" => framework(sim, name, rest),
        "task" => tasks(sim, name, rest),
        "group" => group(sim, name, rest),
        "reservation" => {
            let spec = json!({
                "pool": rest["pool"],
                "count": rest.get("count").map_or(1, |c| c.parse::<u32>().unwrap()),
                "exclusive": rest.contains_key("exclusive"),
                "resources": resources(rest),
            });
            sim.server.put(
                "reservations",
                "default",
                name,
                object("Reservation", name, &spec),
            );
        }
        "delete" => {
            let kind = rest.get("kind").copied().unwrap_or("tasks");
            let namespace = if matches!(kind, "agents" | "resourcepools") {
                ""
            } else {
                "default"
            };
            sim.server.delete(&id(kind, namespace, name));
        }
        "finish" => sim.report(name, "Finished"),
        "fail" => sim.report(name, "Failed"),
        "run" => sim.report(name, "Running"),
        "accept" | "decline" => reply(sim, verb, name, rest),
        "beat" | "silence" => beat(sim, verb, name),
        "pass" => sim.pass(name.parse().unwrap()),
        "leader" => sim.depose(name.parse().unwrap()),
        other => panic!("no such word: {other}"),
    }
}

fn pool(sim: &mut Sim, name: &str, rest: &Rest<'_>) {
    let quota = json!({
        "limits": list(rest.get("limits").unwrap_or(&"")),
        "guarantees": list(rest.get("guarantees").unwrap_or(&"")),
    });
    let spec = json!({
        "weight": rest.get("weight").map_or(1.0, |w| w.parse::<f64>().unwrap()),
        "policy": rest.get("policy").unwrap_or(&"Fifo"),
        "quota": quota,
    });
    sim.server.put(
        "resourcepools",
        "",
        name,
        object("ResourcePool", name, &spec),
    );
}

fn agent(sim: &mut Sim, name: &str, rest: &Rest<'_>) {
    let attributes: BTreeMap<&&str, &&str> = rest
        .iter()
        .filter(|(name, _)| ["rack", "disk"].contains(name))
        .collect();
    let spec = json!({ "attributes": attributes, "unschedulable": rest.contains_key("cordoned") });
    let mut agent = object("Agent", name, &spec);
    agent["status"] =
        json!({ "phase": rest.get("phase").unwrap_or(&"Ready"), "allocatable": resources(rest) });
    sim.server.put("agents", "", name, agent);
}

fn framework(sim: &mut Sim, name: &str, rest: &Rest<'_>) {
    let external = rest.contains_key("external");
    let spec = json!({
        "pool": rest["pool"],
        "scheduler": if external { "External" } else { "Builtin" },
        "demand": {
            "suppressed": rest.contains_key("suppressed"),
            "total": list(rest.get("total").unwrap_or(&"")),
        },
    });
    sim.server.put(
        "frameworks",
        "default",
        name,
        object("Framework", name, &spec),
    );
}

pub(super) fn task_spec(rest: &Rest<'_>) -> Value {
    let constraints: Vec<Value> = rest
        .get("constraint")
        .and_then(|text| text.split_once(':'))
        .map(|(attribute, value)| json!({ "attribute": attribute, "operator": "In", "values": [value] }))
        .into_iter()
        .collect();
    json!({
        "framework": rest.get("framework").unwrap_or(&""),
        "command": ["true"],
        "resources": resources(rest),
        "priority": rest.get("priority").map_or(0, |p| p.parse::<i32>().unwrap()),
        "constraints": constraints,
        "restartPolicy": rest.get("restart").unwrap_or(&"Never"),
    })
}

fn tasks(sim: &mut Sim, name: &str, rest: &Rest<'_>) {
    let count = rest.get("count").map_or(0, |c| c.parse::<u32>().unwrap());
    let names: Vec<String> = match count {
        0 => vec![name.to_owned()],
        _many => (1..=count).map(|n| format!("{name}-{n}")).collect(),
    };
    for name in names {
        sim.server.put(
            "tasks",
            "default",
            &name,
            object("Task", &name, &task_spec(rest)),
        );
    }
}

fn group(sim: &mut Sim, name: &str, rest: &Rest<'_>) {
    let size: u32 = rest["size"].parse().unwrap();
    let members: Vec<Value> = (1..=size)
        .map(|n| json!({ "name": n.to_string(), "spec": task_spec(rest) }))
        .collect();
    let spec = json!({
        "framework": rest["framework"],
        "placement": if rest.contains_key("same") { "SameAgent" } else { "Spread" },
        "tasks": members,
    });
    sim.server.put(
        "taskgroups",
        "default",
        name,
        object("TaskGroup", name, &spec),
    );
}

/// `accept AGENT tasks=a,b cpus=1`: the open offer on that agent, with new tasks.
fn reply(sim: &mut Sim, verb: &str, agent: &str, rest: &Rest<'_>) {
    sim.settle();
    let open = |offer: &&Value| {
        offer["spec"]["agent"] == agent
            && offer["status"]["phase"].as_str().unwrap_or("Open") == "Open"
    };
    let offer = sim
        .server
        .all("offers")
        .find(open)
        .expect("an open offer on that agent");
    let offer = offer["metadata"]["name"].as_str().unwrap().to_owned();
    let refuse: f64 = rest.get("refuse").map_or(5.0, |s| s.parse().unwrap());
    let names: Vec<&str> = rest
        .get("tasks")
        .map(|names| names.split(',').collect())
        .unwrap_or_default();
    let tasks: Vec<Value> = names
        .iter()
        .map(|name| json!({ "metadata": { "name": name }, "spec": task_spec(rest) }))
        .collect();
    let body = json!({ "tasks": tasks, "refuseSeconds": refuse });
    assert!(
        sim.reply(&offer, verb, body),
        "{verb} of {offer} was refused"
    );
}

/// One report of heartbeats, in which the agent was heard now, or last ten seconds ago.
fn beat(sim: &mut Sim, verb: &str, agent: &str) {
    sim.settle();
    let age_ms = if verb == "beat" { 0 } else { 10_000 };
    let item = manifests::wire::HeartbeatAge {
        agent: agent.to_owned(),
        age_ms,
        boot_id: String::new(),
    };
    let beats = manifests::wire::HeartbeatAges {
        epoch: 1,
        leading_ms: 60_000,
        items: vec![item],
    };
    sim.core
        .handle(crate::event::Event::Heartbeats(beats), sim.now_ms);
    sim.settle();
}

fn show(sim: &Sim, what: &str, rest: &Rest<'_>) -> String {
    let mut lines: Vec<String> = match what {
        "tasks" => sim.server.all("tasks").map(task_line).collect(),
        "shares" => shares(sim),
        "offers" => sim.server.all("offers").map(offer_line).collect(),
        "why" => sim.server.all("tasks").filter_map(why_line).collect(),
        "status" => vec![status(sim, rest)],
        "events" => events(sim),
        other => panic!("cannot show {other}"),
    };
    lines.push(String::new());
    lines.join("\n")
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or("Pending")
}

fn task_line(task: &Value) -> String {
    let agent = task["spec"]["agent"].as_str().unwrap_or("-");
    format!("{} {} {agent}", name(task), state(task))
}

fn why_line(task: &Value) -> Option<String> {
    let why = task["status"]["waiting"]["summary"].as_str()?;
    Some(format!("{}: {why}", name(task)))
}

fn offer_line(offer: &Value) -> String {
    let spec = &offer["spec"];
    let resources = super::server::exact(&spec["resources"]);
    let reservation = spec["reservation"].as_str().map(|r| format!(" of {r}"));
    format!(
        "{} on {}: {resources}{} {}",
        spec["framework"].as_str().unwrap(),
        spec["agent"].as_str().unwrap(),
        reservation.unwrap_or_default(),
        offer["status"]["phase"].as_str().unwrap_or("Open"),
    )
}

/// How many active tasks each framework has.
fn shares(sim: &Sim) -> Vec<String> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for task in sim.server.all("tasks") {
        if ["Staging", "Running"].contains(&state(task)) {
            let framework = task["spec"]["framework"].as_str().unwrap();
            *counts.entry(framework).or_default() += 1;
        }
    }
    let line = |(framework, count)| format!("{framework} {count}");
    counts.into_iter().map(line).collect()
}

/// Object, reason, how often, and what is said of each event, in the order they were first written.
fn events(sim: &Sim) -> Vec<String> {
    let mut events: Vec<&Value> = sim.server.all("events").collect();
    events.sort_by_key(|event| {
        let name = name(event);
        name.rsplit('.').next().unwrap_or(name).to_owned()
    });
    let line = |event: &&Value| {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        format!(
            "{} {} x{}: {}",
            event["involvedObject"]["name"].as_str().unwrap_or_default(),
            text("reason"),
            event["count"],
            text("message"),
        )
    };
    events.iter().map(line).collect()
}

fn status(sim: &Sim, rest: &Rest<'_>) -> String {
    let kind = rest["kind"];
    let cluster = matches!(kind, "agents" | "resourcepools");
    let namespace = if cluster { "" } else { "default" };
    let object = sim
        .server
        .get(&id(kind, namespace, rest["name"]))
        .cloned()
        .unwrap_or_default();
    let fields = rest["fields"].split(',');
    let shown: Vec<String> = fields.map(|f| object["status"][f].to_string()).collect();
    shown.join(" ")
}
