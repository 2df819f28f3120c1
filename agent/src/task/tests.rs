//! Tables and scenarios of the agent's decisions.

use std::fmt::Write;

use serde_json::json;

use super::*;

const STARTED: Started = Started {
    pid: 7,
    ticks: 70,
    at_us: 1_000_000,
};

fn end(cause: Cause) -> End {
    End {
        cause,
        started_us: Some(1_000_000),
        finished_us: 2_000_000,
    }
}

fn exited(code: i32) -> End {
    end(Cause::Exited {
        code,
        out_of_memory: false,
    })
}

fn brief(run: &Run) -> String {
    match run {
        Run::Accepted { kill } => format!("Accepted{}", if *kill { "+kill" } else { "" }),
        Run::Held => "Held".to_owned(),
        Run::Launching { kill, .. } => {
            format!(
                "Launching{}",
                kill.map_or(String::new(), |grace| format!("+kill {grace}"))
            )
        }
        Run::Settling => "Settling".to_owned(),
        Run::Running { .. } => "Running".to_owned(),
        Run::Killing {
            deadline_ms,
            forced,
            ..
        } => {
            format!(
                "Killing {deadline_ms}{}",
                if *forced { " forced" } else { "" }
            )
        }
        Run::Ended { killed, .. } => format!("Ended{}", if *killed { " killed" } else { "" }),
        Run::Reported { .. } => "Reported".to_owned(),
    }
}

fn brief_action(action: &Action) -> String {
    match action {
        Action::Spawn => "spawn".to_owned(),
        Action::Settle(_) => "settle".to_owned(),
        Action::Terminate { deadline_ms } => format!("terminate by {deadline_ms}"),
        Action::Destroy => "destroy".to_owned(),
        Action::WakeAt(at_ms) => format!("wake {at_ms}"),
        Action::MarkReported => "mark".to_owned(),
    }
}

/// Every state × everything that can happen, at time 1,000; moves that change nothing are left out.
const MOVES: &str = "\
Accepted × checkpointed → Launching; spawn
Accepted × started → Running
Accepted × ended → Ended
Accepted × kill → Accepted+kill
Accepted+kill × checkpointed → Settling; settle
Accepted+kill × started → Killing 1000; terminate by 1000, wake 1000
Accepted+kill × ended → Ended killed
Held × confirmed → Launching; spawn
Held × started → Running
Held × ended → Ended
Held × kill → Settling; settle
Launching × started → Running
Launching × ended → Ended
Launching × kill → Launching+kill 50
Launching+kill 90 × started → Killing 1090; terminate by 1090, wake 1090
Launching+kill 90 × ended → Ended killed
Launching+kill 90 × kill → Launching+kill 50
Settling × started → Killing 1000; terminate by 1000, wake 1000
Settling × ended → Ended
Running × ended → Ended
Running × kill → Killing 1050; terminate by 1050, wake 1050
Killing 1000 × ended → Ended killed
Killing 1000 × tick → Killing 1000 forced; destroy, wake 2000
Killing 5000 × ended → Ended killed
Killing 5000 × kill → Killing 1050; wake 1050
Killing 900 forced × ended → Ended killed
Killing 900 forced × tick → Killing 900 forced; destroy, wake 2000
Ended × acknowledged → Reported; mark
Ended killed × acknowledged → Reported; mark
";

#[test]
fn every_state_and_everything_that_can_happen() {
    let killing = |deadline_ms, forced| Run::Killing {
        started: STARTED,
        deadline_ms,
        forced,
    };
    let runs = [
        Run::Accepted { kill: false },
        Run::Accepted { kill: true },
        Run::Held,
        Run::Launching {
            since_ms: 0,
            kill: None,
        },
        Run::Launching {
            since_ms: 0,
            kill: Some(90),
        },
        Run::Settling,
        Run::Running { started: STARTED },
        killing(1_000, false),
        killing(5_000, false),
        killing(900, true),
        Run::Ended {
            end: exited(0),
            killed: false,
        },
        Run::Ended {
            end: exited(0),
            killed: true,
        },
        Run::Reported { end: None },
    ];
    let happenings = [
        ("checkpointed", Happening::Checkpointed),
        ("confirmed", Happening::Confirmed),
        ("started", Happening::Started(STARTED)),
        ("ended", Happening::Ended(exited(0))),
        ("kill", Happening::Kill { grace_ms: 50 }),
        ("tick", Happening::Tick),
        ("acknowledged", Happening::Acknowledged),
    ];
    let mut table = String::new();
    for run in &runs {
        for (name, happening) in &happenings {
            let (after, actions) = run.clone().step(happening.clone(), 1_000);
            let actions: Vec<String> = actions.iter().map(brief_action).collect();
            if after == *run && actions.is_empty() {
                continue;
            }
            write!(table, "{} × {name} → {}", brief(run), brief(&after)).unwrap();
            let colon = if actions.is_empty() { "" } else { "; " };
            writeln!(table, "{colon}{}", actions.join(", ")).unwrap();
        }
    }
    assert_eq!(table, MOVES);
}

#[test]
fn what_the_files_of_a_run_prove() {
    let none = Evidence::default();
    let claimed = Evidence {
        claimed: true,
        ..Evidence::default()
    };
    let running = Evidence {
        started: Some(STARTED),
        ..claimed.clone()
    };
    let ended = Evidence {
        end: Some(exited(1)),
        ..running.clone()
    };
    let table = [
        (none, "Held", 0),
        (claimed.clone(), "Launching", 0),
        (
            Evidence {
                kill_deadline_ms: Some(1_500),
                ..claimed
            },
            "Launching+kill 500",
            0,
        ),
        (running.clone(), "Running", 0),
        (
            Evidence {
                kill_deadline_ms: Some(1_500),
                ..running
            },
            "Killing 1500",
            2,
        ),
        (ended.clone(), "Ended", 0),
        (
            Evidence {
                kill_deadline_ms: Some(9),
                ..ended.clone()
            },
            "Ended killed",
            0,
        ),
        (
            Evidence {
                reported: true,
                ..ended
            },
            "Reported",
            0,
        ),
        (
            Evidence {
                reported: true,
                ..Evidence::default()
            },
            "Reported",
            0,
        ),
    ];
    for (evidence, wanted, actions) in table {
        let (run, does) = recover(evidence.clone(), 1_000);
        assert_eq!(
            (brief(&run).as_str(), does.len()),
            (wanted, actions),
            "{evidence:?}"
        );
    }
}

#[test]
fn what_an_end_means() {
    let signal = Cause::Signaled {
        signal: 9,
        out_of_memory: true,
    };
    let launch = Cause::NotLaunched {
        code: 127,
        message: "no".to_owned(),
    };
    let table = [
        (
            Cause::Exited {
                code: 0,
                out_of_memory: false,
            },
            false,
            "Finished - Some(0)",
        ),
        (
            Cause::Exited {
                code: 3,
                out_of_memory: false,
            },
            false,
            "Failed CommandFailed Some(3)",
        ),
        (
            Cause::Exited {
                code: 3,
                out_of_memory: true,
            },
            false,
            "Failed MemoryLimit Some(3)",
        ),
        (
            Cause::Exited {
                code: 0,
                out_of_memory: false,
            },
            true,
            "Finished KillRequested Some(0)",
        ),
        (signal, false, "Failed MemoryLimit Some(137)"),
        (
            Cause::Signaled {
                signal: 15,
                out_of_memory: false,
            },
            true,
            "Killed KillRequested Some(143)",
        ),
        (launch, false, "Failed LaunchFailed Some(127)"),
        (Cause::KilledBeforeStart, false, "Killed KillRequested None"),
        (Cause::SupervisorLost, false, "Failed SupervisorLost None"),
        (Cause::AgentRebooted, false, "Failed AgentRebooted None"),
        (Cause::Forgotten, false, "Lost TaskUnknown None"),
        (
            Cause::Invalid {
                message: "x".to_owned(),
            },
            false,
            "Error TaskInvalid None",
        ),
    ];
    for (cause, killed, wanted) in table {
        let verdict = end(cause.clone()).verdict(killed);
        let reason = verdict.reason.unwrap_or("-");
        let found = format!("{} {reason} {:?}", verdict.state, verdict.exit_code);
        assert_eq!(found, wanted, "{cause:?}");
    }
}

#[test]
fn run_ids_are_harmless_file_names() {
    let id = RunId::new("0b1c-2", 3).unwrap();
    assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
    for bad in ["", "../x", "a/b", "a.b", "ä", &"x".repeat(65)] {
        assert_eq!(RunId::new(bad, 0), None, "{bad:?}");
    }
    for bad in ["", "a", ".1", "a.", "a.-1", "a.b.1", "a.99999999999"] {
        assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
    }
}

/// A machine and the tests' way of talking to it.
struct Scene {
    machine: Machine,
    now_ms: u64,
}

fn seen(attempt: u32, version: u64, state: &str, more: &serde_json::Value) -> Seen {
    let mut task = json!({
        "apiVersion": "stoa.dev/v1", "kind": "Task",
        "metadata": {"name": "t", "namespace": "n", "uid": "u", "resourceVersion": version.to_string()},
        "spec": {"framework": "f", "command": ["true"], "agent": "a1", "env": {"HOME": "/h", "STOA_TASK": "x"}},
        "status": {"state": state, "attempt": attempt},
    });
    json_merge(&mut task, more);
    Seen::new(serde_json::from_value(task).unwrap()).unwrap()
}

fn json_merge(into: &mut serde_json::Value, more: &serde_json::Value) {
    match (into, more) {
        (serde_json::Value::Object(into), serde_json::Value::Object(more)) => {
            for (key, value) in more {
                json_merge(into.entry(key).or_insert(json!(null)), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

impl Scene {
    fn new() -> Self {
        let settings = Settings {
            agent: "a1".to_owned(),
            sandboxes: "/s".into(),
            pids_max: 64,
            retention_ms: 60_000,
        };
        Self {
            machine: Machine::new(settings),
            now_ms: 1_000,
        }
    }

    /// One event in; effects out as words.
    fn after(&mut self, event: Event) -> String {
        let effects = self.machine.handle(event, self.now_ms);
        let word = |effect: &Effect| match effect {
            Effect::Checkpoint(id, _) => format!("checkpoint {}", id.attempt()),
            Effect::Spawn(id) => format!("spawn {}", id.attempt()),
            Effect::Settle(id, _, cause) => format!("settle {} {cause:?}", id.attempt()),
            Effect::Terminate(id, at_ms) => format!("terminate {} by {at_ms}", id.attempt()),
            Effect::Destroy(id) => format!("destroy {}", id.attempt()),
            Effect::MarkReported(id) => format!("mark {}", id.attempt()),
            Effect::Remove(id) => format!("remove {}", id.attempt()),
        };
        effects.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn seen(&mut self, attempt: u32, version: u64, state: &str) -> String {
        self.after(Event::Seen(Box::new(seen(
            attempt,
            version,
            state,
            &json!({}),
        ))))
    }

    fn run(&mut self, attempt: u32, happening: Happening) -> String {
        self.after(Event::Run(RunId::new("u", attempt).unwrap(), happening))
    }

    fn prepared(&mut self, attempt: u32) -> String {
        self.after(Event::Prepared(
            RunId::new("u", attempt).unwrap(),
            vec!["mem: no".to_owned()],
        ))
    }

    /// The states reported now, answered as stored in `version`.
    fn report(&mut self, version: u64) -> String {
        let Some(batch) = self.machine.take_reports(self.now_ms) else {
            return String::new();
        };
        let told: Vec<String> = batch
            .iter()
            .map(|r| format!("{} {}", r.id.attempt(), r.state))
            .collect();
        let answers = batch
            .into_iter()
            .map(|r| (r, Answer::Taken { version }))
            .collect();
        let effects = self.after(Event::Answered(answers));
        [told.join(", "), effects].join("; ")
    }

    /// A running first attempt, reported as such in version 12.
    fn running() -> Self {
        let mut scene = Self::new();
        assert_eq!(scene.seen(0, 10, "Staging"), "checkpoint 0");
        assert_eq!(scene.report(11), "");
        assert_eq!(scene.prepared(0), "spawn 0");
        assert_eq!(scene.report(11), "", "a quick launch is not worth a report");
        assert_eq!(scene.run(0, Happening::Started(STARTED)), "");
        assert_eq!(scene.report(12), "0 Running; ");
        scene
    }
}

#[test]
fn a_task_from_binding_to_its_end() {
    let mut scene = Scene::running();
    assert_eq!(scene.seen(0, 12, "Running"), "");
    assert_eq!(scene.report(13), "", "nothing is said twice");
    assert_eq!(scene.run(0, Happening::Ended(exited(0))), "");
    assert!(scene.machine.is_busy());
    assert_eq!(scene.report(13), "0 Finished; mark 0");
    assert!(!scene.machine.is_busy());
    assert_eq!(scene.seen(0, 13, "Finished"), "");
    assert_eq!(scene.after(Event::Gone("u".to_owned())), "");
    scene.now_ms += 60_000;
    assert_eq!(scene.after(Event::Tick), "remove 0");
}

#[test]
fn a_report_is_the_whole_truth_against_a_version() {
    let mut scene = Scene::new();
    let bound = json!({"status": {"conditions": [{"type": "Scheduled", "status": "True"}]}});
    scene.after(Event::Seen(Box::new(seen(0, 10, "Staging", &bound))));
    scene.prepared(0);
    scene.run(0, Happening::Ended(exited(3)));
    let batch = scene.machine.take_reports(1_000).unwrap();
    assert_eq!(
        (batch.len(), batch[0].version, batch[0].name.as_str()),
        (1, 10, "t")
    );
    let failed = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "CommandFailed",
               "message": "the command exited with code 3", "lastTransitionTime": "1970-01-01T00:00:02Z"})
    };
    let conditions = json!([
        {"type": "Scheduled", "status": "True"},
        {"type": "Started", "status": "True", "lastTransitionTime": "1970-01-01T00:00:01Z"},
        failed("Complete", "False"),
        failed("Failed", "True"),
    ]);
    let wanted = json!({
        "state": "Failed", "source": "Agent", "agent": "a1", "reason": "CommandFailed",
        "message": "the command exited with code 3", "exitCode": 3, "signal": null,
        "startedAt": "1970-01-01T00:00:01.000000Z", "finishedAt": "1970-01-01T00:00:02.000000Z",
        "notEnforced": ["mem: no"], "conditions": conditions,
    });
    assert_eq!(batch[0].status, wanted);
    assert_eq!(
        scene.machine.take_reports(1_000),
        None,
        "one batch is under way at a time"
    );
}

#[test]
fn a_slow_launch_is_reported_as_starting() {
    let mut scene = Scene::new();
    scene.seen(0, 10, "Staging");
    scene.prepared(0);
    assert_eq!(scene.machine.wake_ms(), Some(1_200));
    scene.now_ms = 1_200;
    assert_eq!(scene.after(Event::Tick), "");
    assert_eq!(scene.report(11), "0 Starting; ");
}

#[test]
fn a_delete_kills_with_grace_and_then_by_force() {
    let mut scene = Scene::running();
    let deleted = json!({
        "metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"},
        "spec": {"killPolicy": {"gracePeriod": "5s"}},
    });
    let event = Event::Seen(Box::new(seen(0, 13, "Running", &deleted)));
    assert_eq!(scene.after(event), "terminate 0 by 6000");
    assert_eq!(scene.report(14), "0 Killing; ");
    scene.now_ms = 6_000;
    assert_eq!(scene.after(Event::Tick), "destroy 0");
    let killed = end(Cause::Signaled {
        signal: 9,
        out_of_memory: false,
    });
    assert_eq!(scene.run(0, Happening::Ended(killed)), "");
    assert_eq!(scene.report(15), "0 Killed; mark 0");
}

#[test]
fn a_kill_before_the_start_is_written_down_first() {
    let mut scene = Scene::new();
    let killed = json!({"spec": {"killed": true}});
    let event = Event::Seen(Box::new(seen(0, 10, "Staging", &killed)));
    assert_eq!(scene.after(event), "settle 0 KilledBeforeStart");
    assert_eq!(scene.report(11), "", "not said before it is on disk");
    let end = End::without_start(Cause::KilledBeforeStart, 5);
    scene.run(0, Happening::Ended(end));
    assert_eq!(scene.report(11), "0 Killed; mark 0");
}

#[test]
fn the_truth_is_told_again_when_the_servers_believe_otherwise() {
    let mut scene = Scene::running();
    assert_eq!(scene.seen(0, 20, "Unreachable"), "");
    assert_eq!(scene.report(21), "0 Running; ");
    assert_eq!(scene.seen(0, 19, "Staging"), "", "old news");
    assert_eq!(scene.report(22), "");
}

#[test]
fn a_stale_report_waits_for_the_next_version() {
    let mut scene = Scene::running();
    scene.run(0, Happening::Ended(exited(0)));
    let batch = scene.machine.take_reports(1_000).unwrap();
    let answers = batch
        .into_iter()
        .map(|report| (report, Answer::Stale))
        .collect();
    assert_eq!(scene.after(Event::Answered(answers)), "");
    assert_eq!(scene.report(14), "", "the same would fail the same way");
    scene.seen(0, 15, "Running");
    assert_eq!(scene.report(16), "0 Finished; mark 0");
}

#[test]
fn a_refused_report_waits_longer_each_time_and_is_never_dropped() {
    let mut scene = Scene::running();
    scene.now_ms = 2_000;
    scene.after(Event::Tick);
    scene.run(0, Happening::Ended(exited(0)));
    for pause_s in [1, 2, 4, 8, 16, 32, 60, 60] {
        let batch = scene.machine.take_reports(scene.now_ms).unwrap();
        let message = "no".to_owned();
        let refused = Answer::Refused { message };
        let answers = batch.into_iter().map(|r| (r, refused.clone())).collect();
        assert_eq!(scene.after(Event::Answered(answers)), "");
        assert_eq!(scene.report(14), "");
        assert_eq!(
            scene.machine.wake_ms(),
            Some(scene.now_ms + pause_s * 1_000)
        );
        scene.now_ms += pause_s * 1_000 - 1;
        scene.after(Event::Tick);
        assert_eq!(scene.report(14), "", "not before its time");
        scene.now_ms += 1;
        scene.after(Event::Tick);
    }
    assert_eq!(scene.report(14), "0 Finished; mark 0");
}

#[test]
fn another_state_does_not_wait_for_a_refused_one() {
    let mut scene = Scene::running();
    scene.seen(0, 20, "Unreachable");
    let batch = scene.machine.take_reports(1_000).unwrap();
    assert_eq!(batch[0].state.to_string(), "Running");
    let message = "no".to_owned();
    let refused = Answer::Refused { message };
    let answers = batch.into_iter().map(|r| (r, refused.clone())).collect();
    scene.after(Event::Answered(answers));
    assert_eq!(scene.report(21), "");
    scene.run(0, Happening::Ended(exited(0)));
    assert_eq!(scene.report(21), "0 Finished; mark 0");
}

#[test]
fn a_later_attempt_ends_what_is_left_of_the_earlier() {
    let mut scene = Scene::running();
    assert_eq!(
        scene.seen(1, 30, "Staging"),
        "terminate 0 by 4000, checkpoint 1"
    );
    assert_eq!(
        scene.seen(0, 31, "Running"),
        "",
        "late word of the first attempt"
    );
    assert_eq!(scene.run(0, Happening::Ended(exited(0))), "mark 0");
    scene.prepared(1);
    scene.run(1, Happening::Started(STARTED));
    assert_eq!(
        scene.report(32),
        "1 Running; ",
        "the first attempt's end is told to nobody"
    );
}

/// A first attempt in its grace, and a second of which the checkpoint is there.
fn overlapping() -> Scene {
    let mut scene = Scene::running();
    let wanted = "terminate 0 by 4000, checkpoint 1";
    assert_eq!(scene.seen(1, 30, "Staging"), wanted);
    assert_eq!(scene.prepared(1), "", "held in Accepted");
    let id = RunId::new("u", 1).unwrap();
    assert_eq!(scene.machine.run(&id), Some(&Run::Accepted { kill: false }));
    assert_eq!(scene.report(31), "");
    scene
}

#[test]
fn a_later_attempt_begins_when_the_earlier_is_over() {
    let killed = json!({"spec": {"killed": true}});
    let kill = Event::Seen(Box::new(seen(1, 31, "Staging", &killed)));
    let ended = || Event::Run(RunId::new("u", 0).unwrap(), Happening::Ended(exited(0)));
    let again = Event::Seen(Box::new(seen(1, 31, "Staging", &json!({}))));
    let third = Event::Seen(Box::new(seen(2, 31, "Staging", &json!({}))));
    let given_up = "settle 1 KilledBeforeStart";
    let table = [
        (vec![ended()], "mark 0, spawn 1"),
        (vec![again, ended()], "; mark 0, spawn 1"),
        (vec![kill, ended()], "settle 1 KilledBeforeStart; mark 0"),
        (vec![Event::Gone("u".to_owned())], given_up),
        (
            vec![Event::KillAll, ended()],
            "settle 1 KilledBeforeStart; mark 0",
        ),
        (
            vec![third, ended()],
            "settle 1 KilledBeforeStart, checkpoint 2; mark 0",
        ),
    ];
    for (events, wanted) in table {
        let mut scene = overlapping();
        let found: Vec<String> = events.iter().map(|e| scene.after(e.clone())).collect();
        assert_eq!(found.join("; "), wanted, "{events:?}");
    }
}

#[test]
fn a_held_run_waits_for_the_earlier_attempt_too() {
    for (leave, wanted) in [(false, "mark 0, spawn 1"), (true, "mark 0")] {
        let mut scene = Scene::running();
        let id = RunId::new("u", 1).unwrap();
        let held = (RunSpec::default(), Evidence::default());
        scene.machine.adopt(&id, held.0, held.1, 1_000);
        assert_eq!(scene.seen(1, 30, "Staging"), "terminate 0 by 4000");
        if leave {
            scene.after(Event::KillAll);
        }
        assert_eq!(scene.run(0, Happening::Ended(exited(0))), wanted);
    }
}

#[test]
fn what_the_servers_gave_up_is_stopped() {
    for event in [
        Event::Synced(vec![]),
        Event::Gone("u".to_owned()),
        Event::Seen(Box::new(seen(0, 30, "GoneByOperator", &json!({})))),
        Event::Seen(Box::new(seen(
            0,
            30,
            "Staging",
            &json!({"spec": {"agent": "a2"}}),
        ))),
    ] {
        let mut scene = Scene::running();
        assert_eq!(
            scene.after(event.clone()),
            "terminate 0 by 4000",
            "{event:?}"
        );
        assert_eq!(scene.report(31), "");
        assert_eq!(scene.run(0, Happening::Ended(exited(0))), "mark 0");
        scene.now_ms = 61_000;
        assert_eq!(scene.after(Event::Tick), "remove 0");
    }
}

#[test]
fn a_run_without_a_record() {
    let table = [
        ("Staging", json!({}), "checkpoint 0"),
        ("Unreachable", json!({}), "checkpoint 0"),
        (
            "Unreachable",
            json!({"status": {"startedAt": "2024-01-01T00:00:00Z"}}),
            "settle 0 Forgotten",
        ),
        // Started by a clock that is behind that of the servers.
        (
            "Unreachable",
            json!({"status": {
                "startedAt": "2024-01-01T00:00:00Z",
                "boundAt": "2024-01-01T00:00:09Z",
            }}),
            "settle 0 Forgotten",
        ),
        ("Running", json!({}), "settle 0 Forgotten"),
        ("Finished", json!({}), ""),
        (
            "Staging",
            json!({"spec": {"command": []}}),
            r#"settle 0 Invalid { message: "spec.command: names no program" }"#,
        ),
    ];
    for (state, more, wanted) in table {
        let event = Event::Seen(Box::new(seen(0, 10, state, &more)));
        assert_eq!(Scene::new().after(event), wanted, "{state} {more}");
    }
}

#[test]
fn a_held_run_starts_only_when_the_servers_still_want_it() {
    let held = || {
        let mut scene = Scene::new();
        let id = RunId::new("u", 0).unwrap();
        let effects = scene
            .machine
            .adopt(&id, RunSpec::default(), Evidence::default(), 1_000);
        assert_eq!(effects, []);
        scene
    };
    assert_eq!(held().seen(0, 10, "Staging"), "spawn 0");
    assert_eq!(
        held().seen(0, 10, "GoneByOperator"),
        "settle 0 KilledBeforeStart"
    );
    assert_eq!(
        held().after(Event::Synced(vec![])),
        "settle 0 KilledBeforeStart"
    );
    assert_eq!(
        held().seen(1, 10, "Staging"),
        "settle 0 KilledBeforeStart, checkpoint 1"
    );
}

#[test]
fn leaving_stops_everything() {
    let mut scene = Scene::running();
    assert_eq!(scene.after(Event::KillAll), "terminate 0 by 4000");
    assert!(scene.machine.is_busy());
    let mut another = seen(0, 30, "Staging", &json!({"metadata": {"uid": "v"}}));
    another.id = RunId::new("v", 0).unwrap();
    let event = Event::Seen(Box::new(another));
    assert_eq!(scene.after(event), "", "nothing is started any more");
}

#[test]
fn stoas_variables_cannot_be_overridden() {
    let seen = seen(2, 10, "Staging", &json!({}));
    let spec = RunSpec::new(&seen.task, &seen.id, "a1", "/s/u.2".as_ref(), 64).unwrap();
    let get = |name: &str| spec.env.get(name).map(String::as_str);
    assert_eq!((get("HOME"), get("STOA_TASK")), (Some("/h"), Some("t")));
    assert_eq!(
        (get("STOA_ATTEMPT"), get("STOA_SANDBOX")),
        (Some("2"), Some("/s/u.2"))
    );
}
