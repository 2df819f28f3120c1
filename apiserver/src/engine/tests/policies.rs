//! Policies in CEL, with bindings, parameters and variables.

use serde_json::{Value, json};

use super::rig::{Rig, config_map, json_body, task};
use crate::call::Annotations;
use crate::user::User;

fn policy(spec: Value) -> Value {
    let mut whole = json!({
        "matchConstraints": {"resourceRules": [{
            "operations": ["CREATE", "UPDATE"], "apiGroups": ["stoa.dev"], "apiVersions": ["v1"],
            "resources": ["tasks"],
        }]},
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
           "metadata": {"name": "p"}, "spec": whole})
}

fn binding(spec: Value) -> Value {
    let mut whole = json!({"policyName": "p", "validationActions": ["Deny"]});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
           "metadata": {"name": "b"}, "spec": whole})
}

async fn set(rig: &Rig, own: Value, bound: Value) {
    rig.create("validatingadmissionpolicies", policy(own))
        .await
        .unwrap();
    rig.create("validatingadmissionpolicybindings", binding(bound))
        .await
        .unwrap();
}

/// What the creation of a task comes to.
async fn said(rig: &Rig, priority: i64) -> (u16, String) {
    let mut asked = task("x");
    asked["spec"]["priority"] = json!(priority);
    match rig.create_with("tasks", asked, "dryRun=All").await {
        Ok((_, warnings)) => (200, warnings.join("; ")),
        Err(failure) => (failure.code(), failure.message().to_owned()),
    }
}

const DENIED: &str = "tasks.stoa.dev \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: ";

#[tokio::test]
async fn a_policy_refuses_with_its_words() {
    for (validation, code, text) in [
        (
            json!({"expression": "object.spec.priority < 5", "message": "too important"}),
            422,
            "too important",
        ),
        (
            json!({"expression": "object.spec.priority < 5"}),
            422,
            "failed expression: object.spec.priority < 5",
        ),
        (
            json!({"expression": "object.spec.priority < 5", "reason": "Forbidden",
                   "messageExpression": "'at most 4, not ' + string(object.spec.priority)"}),
            403,
            "at most 4, not 9",
        ),
        (
            json!({"expression": "object.spec.nothing < 5"}),
            422,
            "expression 'object.spec.nothing < 5' resulted in error: ",
        ),
        (
            json!({"expression": "request.userInfo.username == 'ann'", "message": "ann only"}),
            422,
            "ann only",
        ),
        (
            json!({"expression": "namespaceObject.metadata.name != 'default'", "message": "elsewhere"}),
            422,
            "elsewhere",
        ),
    ] {
        let rig = Rig::start().await;
        let made = rig
            .create(
                "validatingadmissionpolicies",
                policy(json!({"validations": [validation]})),
            )
            .await
            .unwrap();
        assert_eq!(made["spec"]["failurePolicy"], "Fail");
        assert_eq!(made["status"]["observedGeneration"], 1);
        assert_eq!(
            said(&rig, 9).await.0,
            200,
            "a policy without a binding says nothing"
        );
        rig.create("validatingadmissionpolicybindings", binding(json!({})))
            .await
            .unwrap();
        let found = said(&rig, 9).await;
        assert_eq!(found.0, code, "{}", found.1);
        assert!(
            found.1.starts_with(&format!("{DENIED}{text}")),
            "{}",
            found.1
        );
    }
}

#[tokio::test]
async fn actions_conditions_and_who_is_not_asked() {
    let rig = Rig::start().await;
    let own = json!({
        "validations": [{"expression": "object.spec.priority < 5", "message": "no"}],
        "matchConditions": [{"name": "not-me", "expression": "object.metadata.name != 'me'"}],
    });
    set(&rig, own, json!({"validationActions": ["Warn", "Audit"]})).await;
    let warning = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no";
    assert_eq!(said(&rig, 9).await, (200, warning.to_owned()));
    assert_eq!(said(&rig, 1).await, (200, String::new()));
    let deny = json!({"spec": {"validationActions": ["Deny"]}});
    rig.merge("validatingadmissionpolicybindings", "b", "", deny)
        .await
        .unwrap();
    let mut mine = task("me");
    mine["spec"]["priority"] = json!(9);
    rig.create("tasks", mine.clone()).await.unwrap();
    let failure = rig
        .merge("tasks", "me", "", json!({"spec": {"priority": 8}}))
        .await;
    failure.unwrap();
    mine["metadata"]["name"] = json!("other");
    assert_eq!(
        rig.create("tasks", mine.clone()).await.unwrap_err().code(),
        422
    );
    // Bundles and other kinds: judged, and left alone.
    let op = json!({"apiVersion": "stoa.dev/v1", "resource": "tasks", "namespace": "default", "verb": "create", "body": mine});
    let failure = rig
        .transaction(json!({"operations": [op]}))
        .await
        .unwrap_err();
    assert!(
        failure.message().contains("denied request: no"),
        "{failure}"
    );
    rig.create("configmaps", config_map("c", "1"))
        .await
        .unwrap();
    let mut rig = rig;
    rig.user = User::controllers();
    rig.create("tasks", mine).await.unwrap();
}

#[tokio::test]
async fn parameters_and_variables() {
    let rig = Rig::start().await;
    let own = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [
            {"name": "most", "expression": "int(params.data.v)"},
            {"name": "over", "expression": "object.spec.priority > variables.most"},
        ],
        "validations": [{"expression": "!variables.over", "messageExpression": "'most is ' + string(variables.most)"}],
    });
    let named = json!({"paramRef": {"name": "limit", "parameterNotFoundAction": "Deny"}});
    set(&rig, own, named).await;
    let missing = format!(
        "{DENIED}failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    );
    assert_eq!(said(&rig, 1).await, (422, missing));
    let allow = json!({"spec": {"paramRef": {"parameterNotFoundAction": "Allow"}}});
    rig.merge("validatingadmissionpolicybindings", "b", "", allow)
        .await
        .unwrap();
    assert_eq!(said(&rig, 9).await.0, 200);
    rig.create("configmaps", config_map("limit", "4"))
        .await
        .unwrap();
    assert_eq!(said(&rig, 4).await.0, 200);
    assert_eq!(said(&rig, 5).await, (422, format!("{DENIED}most is 4")));
    rig.merge("configmaps", "limit", "", json!({"data": {"v": "x"}}))
        .await
        .unwrap();
    let broken = "expression '!variables.over' resulted in error: composited variable \"over\" fails to evaluate: \
                  composited variable \"most\" fails to evaluate: type conversion error from 'string' to 'int'";
    assert_eq!(said(&rig, 5).await, (422, format!("{DENIED}{broken}")));
    let labelled = json!({"metadata": {"labels": {"kind": "limit"}}, "data": {"v": "7"}});
    rig.merge("configmaps", "limit", "", labelled)
        .await
        .unwrap();
    let selected = json!({"spec": {"paramRef": {"name": null, "selector": {"matchLabels": {"kind": "limit"}}}}});
    rig.merge("validatingadmissionpolicybindings", "b", "", selected)
        .await
        .unwrap();
    assert_eq!(said(&rig, 7).await.0, 200);
    assert_eq!(said(&rig, 8).await, (422, format!("{DENIED}most is 7")));
}

#[tokio::test]
async fn a_policy_that_fails_open_does_not_refuse_by_failing() {
    let rig = Rig::start().await;
    let own = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.spec.nothing < 5"}]});
    set(&rig, own, json!({})).await;
    assert_eq!(said(&rig, 1).await, (200, String::new()));
}

#[tokio::test]
async fn a_policy_can_always_be_undone() {
    let rig = Rig::start().await;
    let everything = json!({"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]});
    set(
        &rig,
        json!({"matchConstraints": everything, "validations": [{"expression": "false"}]}),
        json!({}),
    )
    .await;
    rig.create("configmaps", config_map("c", "1"))
        .await
        .unwrap_err();
    rig.delete("validatingadmissionpolicybindings", "b", json!({}))
        .await
        .unwrap();
    rig.create("configmaps", config_map("c", "1"))
        .await
        .unwrap();
}

#[tokio::test]
async fn wrong_policies_are_refused() {
    let rig = Rig::start().await;
    let failure = rig
        .create("validatingadmissionpolicies", policy(json!({
            "variables": [{"name": "in", "expression": "1"}],
            "validations": [{"expression": "object.("}, {"expression": "params.x", "message": "a\nb"}],
        })))
        .await
        .unwrap_err();
    for text in [
        "spec.variables[0].name: Invalid value: \"in\": name is not a valid CEL identifier",
        "spec.validations[0].expression: Invalid value: \"object.(\": compilation failed: ",
        "spec.validations[1].expression: Invalid value: \"params.x\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params'",
        "spec.validations[1].message: Invalid value: \"a\\nb\": message must not contain line breaks",
    ] {
        assert!(failure.message().contains(text), "{text}\n{failure}");
    }
    let failure = rig
        .create("validatingadmissionpolicybindings", binding(json!({
            "validationActions": ["Deny", "Warn"], "paramRef": {"parameterNotFoundAction": "Eat"},
        })))
        .await
        .unwrap_err();
    for text in [
        "spec.paramRef: Required value: one of name or selector must be specified",
        "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Eat\": supported values: \"Deny\", \"Allow\"",
        "must not contain both Deny and Warn",
    ] {
        assert!(failure.message().contains(text), "{text}\n{failure}");
    }
}

#[tokio::test]
async fn variables_keep_their_types_and_are_composed_once() {
    let rig = Rig::start().await;
    // A chain longer than any stack is deep, and values that JSON cannot say.
    let mut variables =
        vec![json!({"name": "v0", "expression": "quantity(object.spec.resources.cpus)"})];
    for n in 1..3_000 {
        let expression = format!("variables.v{}", n - 1);
        variables.push(json!({"name": format!("v{n}"), "expression": expression}));
    }
    variables.push(json!({"name": "asked", "expression": "timestamp('2026-01-01T00:00:00Z') + duration('1h')"}));
    variables.push(json!({"name": "unread", "expression": "1 / 0"}));
    let own = json!({
        "variables": variables,
        "validations": [
            {"expression": "variables.v2999.isLessThan(quantity('1'))"},
            {"expression": "variables.asked.getHours() == 1 && has(variables.unread)"},
            {"expression": "variables.unread == 1 || true"},
        ],
    });
    set(&rig, own, json!({})).await;
    assert_eq!(said(&rig, 1).await, (200, String::new()));
}

#[tokio::test]
async fn what_a_policy_costs_is_bounded() {
    // Each check is dear, so that an expression may have two, and a policy as many as upstream.
    let check = "authorizer.requestResource.check('get').allowed()";
    let pair = format!("{check} && {check}");
    let many = |n: usize| vec![json!({"expression": pair}); n];
    let spent = "validation failed due to running out of cost budget, no further validation rules will be run";
    let dear = format!("{check} && {pair}");
    let text = format!(
        "expression '{dear}' resulted in error: operation cancelled: actual cost limit exceeded"
    );
    for (validations, expected) in [
        (many(14), (200, String::new())),
        (many(15), (422, format!("{DENIED}{spent}"))),
        (
            vec![json!({"expression": dear})],
            (422, format!("{DENIED}{text}")),
        ),
    ] {
        let rig = Rig::start().await;
        set(&rig, json!({"validations": validations}), json!({})).await;
        assert_eq!(said(&rig, 1).await, expected);
    }
}

#[tokio::test]
async fn a_condition_that_fails_is_weighed_by_the_actions() {
    let rig = Rig::start().await;
    let own = json!({
        "validations": [{"expression": "false"}],
        "matchConditions": [{"name": "a", "expression": "object.spec.nothing == 1"},
                            {"name": "b", "expression": "object.spec.neither == 1"}],
    });
    set(&rig, own, json!({"validationActions": ["Warn"]})).await;
    let (code, warning) = said(&rig, 1).await;
    let failed = |field: &str| {
        format!("expression 'object.spec.{field} == 1' resulted in error: no such key: {field}")
    };
    let both = format!("[{}, {}]", failed("nothing"), failed("neither"));
    assert_eq!(code, 200);
    assert!(
        warning.ends_with(&format!("with binding 'b': {both}")),
        "{warning}"
    );
}

/// What the creation of a task leaves in the audit log.
async fn noted(rig: &Rig, priority: i64) -> (u16, Vec<(String, String)>) {
    let mut asked = task("x");
    asked["spec"]["priority"] = json!(priority);
    let annotations = Annotations::default();
    let reply = rig.call("tasks", Some("default"), |call| {
        call.body = json_body(&asked);
        call.params.dry_run = true;
        call.annotations = annotations.clone();
    });
    let code = reply.await.map_or_else(|failure| failure.code(), |_| 201);
    (code, annotations.get().into_iter().collect())
}

#[tokio::test]
async fn policies_leave_notes() {
    let rig = Rig::start().await;
    let own = json!({
        "validations": [
            {"expression": "object.spec.priority < 5", "message": "too <important>"},
            {"expression": "object.spec.priority < 7", "message": "far too important"},
        ],
        "auditAnnotations": [
            {"key": "priority", "valueExpression": "' it is ' + string(object.spec.priority) + ' '"},
            {"key": "nothing", "valueExpression": "null"},
            {"key": "blank", "valueExpression": "'  '"},
        ],
    });
    set(&rig, own, json!({"validationActions": ["Deny", "Audit"]})).await;
    let priority = |text: &str| ("p/priority".to_owned(), text.to_owned());
    assert_eq!(noted(&rig, 1).await, (201, vec![priority("it is 1")]));
    let failure = |message: &str, index: usize| {
        let actions = r#"["Deny","Audit"]"#;
        format!(
            r#"{{"message":"{message}","policy":"p","binding":"b","expressionIndex":{index},"validationActions":{actions}}}"#
        )
    };
    let key = "validation.policy.admission.k8s.io/validation_failure".to_owned();
    let one = format!("[{}]", failure("too <important>", 0));
    // What is denied is noted as well, and every policy has its say.
    assert_eq!(
        noted(&rig, 5).await,
        (422, vec![priority("it is 5"), (key.clone(), one)])
    );
    let both = format!(
        "[{},{}]",
        failure("too <important>", 0),
        failure("far too important", 1)
    );
    assert_eq!(
        noted(&rig, 9).await,
        (422, vec![priority("it is 9"), (key, both)])
    );
}

#[tokio::test]
async fn a_note_that_cannot_be_made_denies_unless_the_policy_fails_open() {
    let text = "expression 'string(object.spec.nothing)' resulted in error: no such key: nothing";
    for (failure_policy, expected) in [
        ("Fail", (422, format!("{DENIED}{text}"))),
        ("Ignore", (200, String::new())),
    ] {
        let rig = Rig::start().await;
        let own = json!({"failurePolicy": failure_policy, "auditAnnotations": [
            {"key": "k", "valueExpression": "string(object.spec.nothing)"},
        ]});
        set(&rig, own, json!({"validationActions": ["Audit"]})).await;
        assert_eq!(said(&rig, 1).await, expected);
    }
}

#[tokio::test]
async fn wrong_notes_and_kinds_of_parameters_are_refused() {
    let rig = Rig::start().await;
    let long = format!("'{}'", "x".repeat(6_000));
    let failure = rig
        .create(
            "validatingadmissionpolicies",
            policy(json!({
                "paramKind": {"apiVersion": "A_b/V1", "kind": "1x"},
                "auditAnnotations": [
                    {"key": "a b", "valueExpression": "'x'"}, {"key": "ok", "valueExpression": " "},
                    {"key": "ok", "valueExpression": "1"}, {"key": "long", "valueExpression": long},
                ],
            })),
        )
        .await
        .unwrap_err();
    for text in [
        "spec.paramKind.apiVersion: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of",
        "spec.paramKind.apiVersion: Invalid value: \"V1\": a DNS-1035 label must consist of",
        "spec.paramKind.kind: Invalid value: \"1x\": may have mixed case, but should otherwise match: a DNS-1035 label",
        "spec.auditAnnotations[0].key: Invalid value: \"p/a b\": name part must consist of",
        "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
        "spec.auditAnnotations[2].key: Duplicate value: \"ok\"",
        "spec.auditAnnotations[2].valueExpression: Invalid value: \"1\": must evaluate to one of [string null_type] but got int",
        "spec.auditAnnotations[3].valueExpression: Required value: must not exceed 5120 bytes in length",
    ] {
        assert!(failure.message().contains(text), "{text}\n{failure}");
    }
}
