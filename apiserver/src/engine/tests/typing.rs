//! What a policy's status says of the types its expressions take for granted.

use serde_json::{Value, json};

use super::rig::Rig;

/// The policy as stored; what it is about, and what it has besides.
async fn checked(rig: &Rig, resources: &Value, own: &Value) -> Value {
    let rules = json!([{
        "operations": ["CREATE"], "apiGroups": ["stoa.dev", ""], "apiVersions": ["v1"], "resources": resources,
    }]);
    let mut spec = json!({"matchConstraints": {"resourceRules": rules}});
    for (field, value) in own.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                        "metadata": {"generateName": "p-"}, "spec": spec});
    let made = rig
        .create("validatingadmissionpolicies", policy)
        .await
        .unwrap();
    made["status"]["typeChecking"].clone()
}

#[tokio::test]
async fn what_is_wrong_about_a_kind_is_told() {
    let rig = Rig::start().await;
    let own = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "important", "expression": "object.spec.priority > 5"}],
        "validations": [
            {"expression": "object.spec.priority < 5 && object.metadata.labels.x == 'y' && object.kind == 'Task'"},
            {"expression": "object.spec.prio < 5", "messageExpression": "'not ' + object.spec.priority"},
            {"expression": "params.data.size() > 1 && params.date == 1"},
            {"expression": "variables.important && oldObject.spec.framework.size() > 1"},
        ],
    });
    let warnings = |rows: &[(&str, &str)]| {
        let rows = rows.iter().map(|(place, text)| {
            json!({"fieldRef": format!("spec.validations[{place}"), "warning": text})
        });
        json!({"expressionWarnings": rows.collect::<Vec<_>>()})
    };
    let found = checked(&rig, &json!(["tasks"]), &own).await;
    let expected = warnings(&[
        (
            "1].expression",
            "stoa.dev/v1, Kind=Task: ERROR: <input>:1:12: undefined field 'prio'\n | object.spec.prio < 5\n \
             | ...........^\n",
        ),
        (
            "1].messageExpression",
            "stoa.dev/v1, Kind=Task: ERROR: <input>:1:8: found no matching overload for '_+_' applied to \
             '(string, int)'\n | 'not ' + object.spec.priority\n | .......^\n",
        ),
        (
            "2].expression",
            "stoa.dev/v1, Kind=Task: ERROR: <input>:1:33: undefined field 'date'\n \
             | params.data.size() > 1 && params.date == 1\n | ................................^\n",
        ),
    ]);
    assert_eq!(found, expected);
    // Two kinds: each is told apart. Wildcards and kinds that are not there are nobody's business.
    let own = json!({"validations": [{"expression": "object.spec.priority < 5"}]});
    let found = checked(
        &rig,
        &json!(["tasks", "configmaps", "nothings", "tasks/status"]),
        &own,
    )
    .await;
    let warning = found["expressionWarnings"][0]["warning"].as_str().unwrap();
    assert!(
        warning.starts_with("/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'"),
        "{warning}"
    );
    assert_eq!(found["expressionWarnings"].as_array().unwrap().len(), 1);
    for resources in [json!(["*"]), json!(["nothings"])] {
        let own = json!({"validations": [{"expression": "object.nothing < 5"}]});
        assert_eq!(checked(&rig, &resources, &own).await, json!({}));
    }
}

#[tokio::test]
async fn a_policy_of_very_many_expressions_is_not_looked_at() {
    let rig = Rig::start().await;
    let many =
        |n: usize| json!({"validations": vec![json!({"expression": "object.nothing == 1"}); n]});
    let few = checked(&rig, &json!(["tasks"]), &many(256)).await;
    assert_eq!(
        few["expressionWarnings"].as_array().map(Vec::len),
        Some(256)
    );
    assert_eq!(
        checked(&rig, &json!(["tasks"]), &many(257)).await,
        json!({})
    );
}
