//! One row for each rule: kind, what is laid over a good object, expected texts.

use super::*;
use serde_json::json;

fn good(kind: &str) -> Value {
    let spec = match kind {
        "ResourcePool" => json!({"weight": 1}),
        "Framework" => json!({"pool": "eng.batch"}),
        "Task" => json!({"framework": "f", "command": ["true"]}),
        "TaskGroup" => {
            json!({"framework": "f", "tasks": [{"name": "a", "spec": {"command": ["true"]}}]})
        }
        "Reservation" => json!({"pool": "eng", "resources": {"cpus": 1}}),
        "Offer" => json!({"framework": "f", "pool": "p", "agent": "a", "resources": {"cpus": 1}}),
        "Revocation" => json!({"serial": "0A:1b"}),
        _ => json!({}),
    };
    json!({"apiVersion": "stoa.dev/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
}

fn merge(into: &mut Value, over: &Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over.clone(),
    }
}

fn texts(kind: &str, over: &Value) -> Vec<String> {
    let mut object = good(kind);
    merge(&mut object, over);
    validate(kind, &object)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn good_objects_have_no_problems() {
    for kind in [
        "ResourcePool",
        "Framework",
        "Task",
        "TaskGroup",
        "Reservation",
        "Offer",
        "Agent",
        "Revocation",
        "Other",
    ] {
        assert_eq!(texts(kind, &json!({})), [""; 0], "{kind}");
    }
    let full = json!({"spec": {
        "env": {"A_1": "x", "with.dots": ""}, "resources": {"cpu": 0.5, "memory": "64Mi", "ports": "31000-31001", "gpus": 1, "x.y/z": "3"},
        "limits": {"cpus": "500m", "mem": "64Mi"}, "killPolicy": {"gracePeriod": 5},
        "retry": {"backoff": "1s", "maxBackoff": "1s"},
        "constraints": [{"attribute": "r", "operator": "In", "values": ["1"]}, {"attribute": "r", "operator": "Exists"}]}});
    assert_eq!(texts("Task", &full), [""; 0]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table, one row for each rule")]
fn each_rule_has_its_text() {
    let no_command =
        r#"Required value: a task runs something, e.g. ["/bin/sh", "-c", "echo hello"]"#;
    let table = [
        (
            "ResourcePool",
            json!({"metadata": {"name": "eng..x"}}),
            "metadata.name: Invalid value: \"eng..x\": a pool's name is made of lower case letters, digits and '-', with dots between the levels, e.g. \"eng.batch\"",
        ),
        (
            "ResourcePool",
            json!({"spec": {"weight": 0}}),
            "spec.weight: Invalid value: 0: a weight is greater than 0",
        ),
        (
            "ResourcePool",
            json!({"spec": {"quota": {"limits": {"ports": "1-2"}}}}),
            "spec.quota.limits.ports: Forbidden: a quota counts amounts, and ports are not counted",
        ),
        (
            "ResourcePool",
            json!({"spec": {"quota": {"guarantees": {"mem": "2Gi"}, "limits": {"memory": "1Gi"}}}}),
            "spec.quota.limits.memory: Invalid value: \"1Gi\": is less than the guarantee, 2Gi",
        ),
        (
            "Framework",
            json!({"spec": {"failoverTimeout": "soon"}}),
            "spec.failoverTimeout: Invalid value: \"soon\": \"soon\" is not a duration: a number is missing; write for example \"30s\", \"1h30m\" or \"500ms\"",
        ),
        (
            "Framework",
            json!({"spec": {"offerTimeout": 0}}),
            "spec.offerTimeout: Invalid value: 0: an offer has to stand for some time, e.g. \"30s\"",
        ),
        (
            "Framework",
            json!({"spec": {"demand": {"total": {"cpus": "-1"}}}}),
            "spec.demand.total.cpus: Invalid value: \"-1\": \"-1\" is negative; the least is 0",
        ),
        (
            "Task",
            json!({"spec": {"command": null}}),
            &format!("spec.command: {no_command}"),
        ),
        (
            "Task",
            json!({"spec": {"command": []}}),
            &format!("spec.command: {no_command}"),
        ),
        (
            "Task",
            json!({"spec": {"command": [""]}}),
            "spec.command[0]: Invalid value: \"\": the program has no name",
        ),
        (
            "Task",
            json!({"spec": {"command": ["a", "b\u{0}"]}}),
            "spec.command[1]: Invalid value: \"b\\u0000\": no system passes a NUL character to a program",
        ),
        (
            "Task",
            json!({"spec": {"env": {"A=B": "x"}}}),
            "spec.env.A=B: Invalid value: \"x\": the variable's name must be printable ASCII without '='",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"cpus": "1.0001"}}}),
            "spec.resources.cpus: Invalid value: \"1.0001\": \"1.0001\" is finer than 0.001, the smallest amount reckoned with",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"mem": "9Ei"}}}),
            "spec.resources.mem: Invalid value: \"9Ei\": \"9Ei\" is too large; the most is 9223372036854775.807",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"cpu": 1, "cpus": 1}}}),
            "spec.resources.cpu: Invalid value: 1: says the same as \"cpus\"; leave one of them out",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"gpus": "0.5"}}}),
            "spec.resources.gpus: Invalid value: \"0.5\": \"0.5\" is not a whole number",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"ports": "70000"}}}),
            "spec.resources.ports: Invalid value: \"70000\": \"70000\" is not a list of ports: a port is between 1 and 65535; write for example \"31000-31005,32000\"",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"cpus": true}}}),
            "spec.resources.cpus: Invalid value: true: true is not a quantity; write for example \"2\", \"500m\" or \"64Mi\"",
        ),
        (
            "Task",
            json!({"spec": {"resources": {"cpus": "2"}, "limits": {"cpus": "1"}}}),
            "spec.limits.cpus: Invalid value: \"1\": is less than what is asked for in resources, 2",
        ),
        (
            "Task",
            json!({"spec": {"limits": {"ports": "1"}}}),
            "spec.limits.ports: Forbidden: a limit is an amount; ports are asked for in resources",
        ),
        (
            "Task",
            json!({"spec": {"retry": {"backoff": "2s", "maxBackoff": "1s"}}}),
            "spec.retry.maxBackoff: Invalid value: \"1s\": is less than backoff, 2s",
        ),
        (
            "Task",
            json!({"spec": {"constraints": [{"attribute": "r", "operator": "NotIn"}]}}),
            "spec.constraints[0].values: Required value: NotIn compares with a list, e.g. values: [r1, r2]",
        ),
        (
            "Task",
            json!({"spec": {"constraints": [{"attribute": "r", "operator": "Exists", "values": ["a"]}]}}),
            "spec.constraints[0].values: Forbidden: Exists takes no values",
        ),
        (
            "TaskGroup",
            json!({"spec": {"tasks": [{"name": "a", "spec": {"command": ["x"]}}, {"name": "a", "spec": {"command": ["x"]}}]}}),
            "spec.tasks[1].name: Duplicate value: \"a\"",
        ),
        (
            "TaskGroup",
            json!({"spec": {"tasks": [{"name": "A", "spec": {"command": ["x"]}}]}}),
            "spec.tasks[0].name: Invalid value: \"A\": a name is made of lower case letters, digits and '-', at most 63, e.g. \"worker-1\"",
        ),
        (
            "TaskGroup",
            json!({"spec": {"tasks": [{"name": "a", "spec": {"framework": "g", "command": ["x"]}}]}}),
            "spec.tasks[0].spec.framework: Invalid value: \"g\": leave it out, or write the group's, \"f\"",
        ),
        (
            "TaskGroup",
            json!({"spec": {"tasks": [{"name": "a", "spec": {}}]}}),
            &format!("spec.tasks[0].spec.command: {no_command}"),
        ),
        (
            "Reservation",
            json!({"spec": {"resources": {"cpus": 0}}}),
            "spec.resources: Required value: what is held on each agent, e.g. {cpus: \"2\", mem: 4Gi}",
        ),
        (
            "Offer",
            json!({"spec": {"resources": {"cpus": "x"}}}),
            "spec.resources.cpus: Invalid value: \"x\": \"x\" is not a quantity; write for example \"2\", \"0.5\", \"500m\" or \"64Mi\"",
        ),
        (
            "Agent",
            json!({"status": {"capacity": {"mem": "1.5"}}}),
            "status.capacity.mem: Invalid value: \"1.5\": \"1.5\" is not a whole number",
        ),
    ];
    for (kind, over, expected) in table {
        assert_eq!(texts(kind, &over), [expected], "{kind} {over}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let over = json!({"spec": {"command": [], "resources": {"cpus": "x", "mem": "-1"}, "retry": {"backoff": "?"}}});
    assert_eq!(texts("Task", &over).len(), 4);
}

#[test]
fn nothing_the_schema_objects_to_makes_it_stumble() {
    for odd in [
        json!(null),
        json!([]),
        json!(1),
        json!("x"),
        json!({"spec": []}),
        json!({"spec": {"tasks": [1, null], "command": 3, "resources": [1], "env": 2}}),
    ] {
        for kind in [
            "ResourcePool",
            "Framework",
            "Task",
            "TaskGroup",
            "Reservation",
            "Offer",
            "Agent",
        ] {
            let _ = validate(kind, &odd);
        }
    }
}

#[test]
fn a_revocation_names_one_thing() {
    for (spec, wrong) in [
        (json!({"serial": "00", "user": null}), None),
        (json!({"serial": null, "token": "t"}), None),
        (
            json!({"serial": null, "user": "u", "issuedBefore": "2026-01-01T00:00:00Z"}),
            None,
        ),
        (json!({"serial": null}), Some("spec: Required")),
        (json!({"user": "u"}), Some("spec: Required")),
        (json!({"serial": "xyz"}), Some("spec.serial: Invalid")),
        (json!({"serial": ":"}), Some("spec.serial: Invalid")),
        (json!({"serial": ""}), Some("spec.serial: Invalid")),
        (
            json!({"serial": null, "user": "a\nb"}),
            Some("spec.user: Invalid"),
        ),
        (
            json!({"issuedBefore": "2026-01-01T00:00:00Z"}),
            Some("spec.issuedBefore: Forbidden"),
        ),
    ] {
        let found = texts("Revocation", &json!({ "spec": spec }));
        let first = found.first().map(String::as_str);
        let fits = match (first, wrong) {
            (Some(first), Some(wrong)) => first.starts_with(wrong) && found.len() == 1,
            (first, wrong) => first == wrong,
        };
        assert!(fits, "{spec}: {found:?}");
    }
}
