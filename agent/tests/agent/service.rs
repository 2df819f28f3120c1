//! Whole agents against a stand-in for the servers.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::machine::Machine;
use super::wait;

fn command(words: &[&str]) -> Value {
    json!({"spec": {"command": words}})
}

/// Runs until something is written to `go` in the sandbox, then exits with 7; leaves a line in
/// `ran` for each start.
const GATED: &[&str] = &[
    "sh",
    "-c",
    "echo $STOA_TASK_UID >> ran; mkfifo go; read x < go; exit 7",
];

fn open_gate(sandbox: &Path) {
    fs::write(sandbox.join("go"), "now\n").unwrap();
}

fn runs(sandbox: &Path) -> usize {
    fs::read_to_string(sandbox.join("ran")).map_or(0, |text| text.lines().count())
}

fn until_gated(sandbox: &Path) {
    wait::until_true("the command has begun", || sandbox.join("go").exists());
}

fn pid_of(machine: &Machine, name: &str, file: &str) -> i64 {
    let text = fs::read(machine.run_dir(name, 0).join(file)).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["pid"]
        .as_i64()
        .unwrap()
}

fn send(signal: &str, pid: i64) {
    assert!(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn is_alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn an_agent_joins_registers_beats_and_runs_a_task() {
    let mut machine = Machine::new();
    machine.start_with(|options| {
        options
            .attributes
            .insert("rack".to_owned(), "r1".to_owned());
    });
    machine.cluster.put(
        "hello",
        &command(&["sh", "-c", "echo hello $STOA_TASK; echo oops >&2"]),
    );
    let status = machine.until_state("hello", "Finished");
    assert_eq!(
        (&status["exitCode"], &status["source"]),
        (&json!(0), &json!("Agent"))
    );
    let conditions = status["conditions"].as_array().unwrap();
    let names: Vec<&str> = conditions
        .iter()
        .map(|c| c["type"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Started", "Complete"]);
    // The first beat follows the registration.
    wait::until_true("heartbeats", || machine.cluster.heartbeats() > 2);
    let agent = machine.cluster.agent().unwrap();
    assert_eq!(agent["spec"]["attributes"]["rack"], "r1");
    assert_eq!(agent["status"]["allocatable"]["ports"], "31000-32000");
    let path = "/v1/tasks/uid-hello/0/log";
    assert_eq!(
        machine.ask("stoa:servers", path),
        (200, "hello hello\noops\n".to_owned())
    );
    let followed = machine.ask(
        "stoa:servers",
        &format!("{path}?follow=true&stream=Stderr&tailLines=5"),
    );
    assert_eq!(followed, (200, "oops\n".to_owned()));
    assert_eq!(
        machine.ask("stoa:servers", "/healthz"),
        (200, "ok".to_owned())
    );
    for group in ["stoa:agents", "system:masters", "tenants"] {
        assert_eq!(machine.ask(group, path).0, 403, "{group}");
    }
    assert_eq!(
        machine.ask("stoa:servers", "/v1/tasks/uid-hello/1/log").0,
        404
    );
    assert_eq!(
        machine.ask("stoa:servers", "/v1/tasks/..%2Fpki/1/log").0,
        400
    );
    machine.stop();
}

#[test]
fn a_run_outlives_its_agent_and_its_end_is_reported_later() {
    let mut machine = Machine::started();
    machine.cluster.put("long", &command(GATED));
    let sandbox = machine.sandbox("long", 0);
    until_gated(&sandbox);
    machine.until_state("long", "Running");
    machine.kill();
    open_gate(&sandbox);
    wait::until_true("the end on disk", || {
        machine.run_dir("long", 0).join("exit").exists()
    });
    assert_eq!(machine.cluster.task("long")["status"]["state"], "Running");
    machine.start();
    let status = machine.until_state("long", "Failed");
    assert_eq!(
        (&status["exitCode"], &status["reason"]),
        (&json!(7), &json!("CommandFailed"))
    );
    assert_eq!(runs(&sandbox), 1);
}

#[test]
fn a_living_run_is_adopted_and_followed_to_its_end() {
    let mut machine = Machine::started();
    machine.cluster.put("long", &command(GATED));
    let sandbox = machine.sandbox("long", 0);
    until_gated(&sandbox);
    let before = machine.until_state("long", "Running");
    machine.stop();
    machine.start();
    machine.kill();
    machine.start();
    open_gate(&sandbox);
    let after = machine.until_state("long", "Failed");
    assert_eq!(
        (runs(&sandbox), &after["startedAt"]),
        (1, &before["startedAt"])
    );
    assert_eq!(
        machine.cluster.states("long"),
        ["Staging", "Running", "Failed"]
    );
}

#[test]
fn however_often_the_agent_dies_each_task_runs_once() {
    let mut machine = Machine::started();
    let shared = machine.data.path().join("ran");
    let script = format!("echo $STOA_TASK >> {}", shared.display());
    let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
    for (index, name) in names.iter().enumerate() {
        machine.cluster.put(name, &command(&["sh", "-c", &script]));
        if index % 8 == 7 {
            machine.kill();
            machine.start();
        }
    }
    for name in &names {
        machine.until_state(name, "Finished");
    }
    let mut ran: Vec<String> = fs::read_to_string(&shared)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    ran.sort();
    let mut wanted = names.clone();
    wanted.sort();
    assert_eq!(ran, wanted);
    let transactions = machine.cluster.transactions();
    assert!(
        transactions <= 90,
        "{transactions} transactions for 40 tasks: they ought to share"
    );
}

#[test]
fn a_kill_asks_first_and_forces_after_the_grace() {
    let machine = Machine::started();
    let kill = json!({"spec": {"killed": true, "killPolicy": {"gracePeriod": "200ms"}}});
    let stubborn = "trap 'echo asked' TERM; : > ready; while :; do sleep 0.05; done";
    let polite = "trap 'echo bye; exit 0' TERM; : > ready; while :; do sleep 0.05; done";
    for (name, script) in [("stubborn", stubborn), ("polite", polite)] {
        machine.cluster.put(name, &command(&["sh", "-c", script]));
        wait::until_true(name, || machine.sandbox(name, 0).join("ready").exists());
        machine.until_state(name, "Running");
        machine.cluster.put(name, &kill);
    }
    let forced = machine.until_state("stubborn", "Killed");
    assert_eq!(
        (&forced["signal"], &forced["exitCode"]),
        (&json!(9), &json!(137))
    );
    let output = fs::read_to_string(machine.sandbox("stubborn", 0).join("stdout")).unwrap();
    assert_eq!(output, "asked\n");
    let left = machine.until_state("polite", "Finished");
    assert_eq!(
        (&left["exitCode"], &left["reason"]),
        (&json!(0), &json!("KillRequested"))
    );
    assert!(
        machine
            .cluster
            .states("stubborn")
            .contains(&"Killing".to_owned())
    );
}

#[test]
fn a_kill_goes_on_after_the_agent_died_in_the_middle_of_it() {
    let mut machine = Machine::started();
    let stubborn = "trap '' TERM; : > ready; while :; do sleep 0.05; done";
    machine.cluster.put("t", &command(&["sh", "-c", stubborn]));
    wait::until_true("ready", || machine.sandbox("t", 0).join("ready").exists());
    machine.until_state("t", "Running");
    machine.cluster.put(
        "t",
        &json!({"spec": {"killed": true, "killPolicy": {"gracePeriod": "1s"}}}),
    );
    wait::until_true("the kill on disk", || {
        machine.run_dir("t", 0).join("killing").exists()
    });
    machine.kill();
    machine.start();
    assert_eq!(machine.until_state("t", "Killed")["signal"], 9);
}

#[test]
fn a_run_whose_supervisor_died_fails_and_leaves_nothing() {
    let machine = Machine::started();
    machine.cluster.put("t", &command(GATED));
    until_gated(&machine.sandbox("t", 0));
    machine.until_state("t", "Running");
    let pid = pid_of(&machine, "t", "pid");
    send("-KILL", pid_of(&machine, "t", "claim"));
    assert_eq!(
        machine.until_state("t", "Failed")["reason"],
        "SupervisorLost"
    );
    assert!(!is_alive(pid));
    assert_eq!(runs(&machine.sandbox("t", 0)), 1);
}

#[test]
fn a_run_from_before_a_reboot_is_not_taken_for_alive() {
    let mut machine = Machine::started();
    machine.cluster.put("t", &command(GATED));
    until_gated(&machine.sandbox("t", 0));
    machine.until_state("t", "Running");
    machine.kill();
    let (pid, supervisor) = (pid_of(&machine, "t", "pid"), pid_of(&machine, "t", "claim"));
    fs::write(machine.data.path().join("boot"), "another").unwrap();
    for spoilt in ["spec.json", "claim", "pid"] {
        fs::write(machine.run_dir("t", 0).join(spoilt), "").unwrap();
    }
    machine.start();
    assert_eq!(
        machine.until_state("t", "Failed")["reason"],
        "AgentRebooted"
    );
    send("-KILL", supervisor);
    wait::until_true("the end of the command", || !is_alive(pid));
}

#[test]
fn statuses_are_kept_until_the_servers_are_back() {
    let machine = Machine::started();
    machine.cluster.put("t", &command(GATED));
    until_gated(&machine.sandbox("t", 0));
    machine.until_state("t", "Running");
    machine.cluster.set_down(true);
    open_gate(&machine.sandbox("t", 0));
    wait::until_true("the end on disk", || {
        machine.run_dir("t", 0).join("exit").exists()
    });
    machine.cluster.set_down(false);
    assert_eq!(machine.until_state("t", "Failed")["exitCode"], 7);
    wait::until_true("the mark", || {
        machine.run_dir("t", 0).join("reported").exists()
    });
}

#[test]
fn a_status_that_is_refused_holds_up_no_other() {
    for code in [422, 500, 503] {
        let machine = Machine::started();
        machine.cluster.refuse(Some(("bad", code)));
        machine.cluster.put("bad", &command(&["true"]));
        for name in ["good1", "good2", "good3"] {
            machine.cluster.put(name, &command(&["true"]));
        }
        for name in ["good1", "good2", "good3"] {
            machine.until_state(name, "Finished");
        }
        assert_eq!(machine.cluster.states("bad"), ["Staging"], "{code}");
        machine.cluster.refuse(None);
        machine.until_state("bad", "Finished");
    }
}

#[test]
fn what_cannot_be_launched_says_why() {
    let machine = Machine::started();
    machine
        .cluster
        .put("typo", &command(&["no-such-program", "-x"]));
    let status = machine.until_state("typo", "Failed");
    assert_eq!(
        (&status["reason"], &status["exitCode"]),
        (&json!("LaunchFailed"), &json!(127))
    );
    let message = status["message"].as_str().unwrap();
    assert!(
        message.contains("no-such-program") && message.contains("No such file"),
        "{message}"
    );
    machine.cluster.put(
        "bad",
        &json!({"spec": {"command": ["true"], "resources": {"cpus": "lots"}}}),
    );
    let status = machine.until_state("bad", "Error");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("spec.resources.cpus:"),
        "{status}"
    );
}

#[test]
fn a_task_that_is_gone_is_stopped_and_collected() {
    let mut machine = Machine::new();
    machine.start_with(|options| options.retention_ms = 0);
    machine.cluster.put("t", &command(GATED));
    until_gated(&machine.sandbox("t", 0));
    machine.until_state("t", "Running");
    let pid = pid_of(&machine, "t", "pid");
    machine.cluster.delete("t");
    wait::until_true("the end of the command", || !is_alive(pid));
    wait::until_true("no files", || {
        !machine.run_dir("t", 0).exists() && !machine.sandbox("t", 0).exists()
    });
}

#[test]
fn a_retry_is_a_run_of_its_own() {
    let machine = Machine::started();
    machine.cluster.put(
        "t",
        &command(&["sh", "-c", "echo $STOA_ATTEMPT; exit $((1 - STOA_ATTEMPT))"]),
    );
    machine.until_state("t", "Failed");
    machine
        .cluster
        .put("t", &json!({"status": {"state": "Staging", "attempt": 1}}));
    machine.until_state("t", "Finished");
    let path = |attempt| format!("/v1/tasks/uid-t/{attempt}/log?tailLines=1");
    assert_eq!(
        machine.ask("stoa:servers", &path(0)),
        (200, "0\n".to_owned())
    );
    assert_eq!(
        machine.ask("stoa:servers", &path(1)),
        (200, "1\n".to_owned())
    );
}

#[test]
fn an_agent_that_leaves_for_good_takes_its_tasks_along() {
    let mut machine = Machine::new();
    machine.start_with(|options| options.kill_tasks_on_exit = true);
    machine.cluster.put("t", &command(GATED));
    until_gated(&machine.sandbox("t", 0));
    machine.until_state("t", "Running");
    let pid = pid_of(&machine, "t", "pid");
    machine.stop();
    assert!(!is_alive(pid));
    assert_eq!(machine.cluster.task("t")["status"]["state"], "Killed");
}

#[test]
fn two_agents_do_not_share_a_data_directory() {
    let machine = Machine::started();
    let options = agent::Options {
        name: "a2".to_owned(),
        data_dir: machine.data.path().to_path_buf(),
        servers: vec!["https://127.0.0.1:1".to_owned()],
        listen: "127.0.0.1:0".parse().unwrap(),
        supervisor: vec!["true".to_owned()],
        ..agent::Options::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime
        .block_on(agent::Service::start(options))
        .unwrap_err();
    assert!(matches!(error, agent::StartError::Locked { .. }), "{error}");
}

#[test]
fn memory_beyond_the_limit_fails_the_task_for_that_reason() {
    let machine = Machine::started();
    let hog = "x=x; while :; do x=$x$x; done";
    let mut task = command(&["sh", "-c", hog]);
    task["spec"]["resources"] = json!({"cpus": "0.1", "mem": "32Mi"});
    machine
        .cluster
        .put("hog", &json!({"spec": {"command": ["true"]}}));
    machine.until_state("hog", "Finished");
    let not_enforced = machine.cluster.task("hog")["status"]["notEnforced"].to_string();
    if not_enforced.contains("mem:") {
        println!("SKIPPED: this machine does not let us limit memory: {not_enforced}");
        return;
    }
    machine.cluster.put("hog2", &task);
    assert_eq!(
        machine.until_state("hog2", "Failed")["reason"],
        "MemoryLimit"
    );
}
