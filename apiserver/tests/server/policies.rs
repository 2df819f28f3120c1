//! Policies in CEL, as clients meet them: what they may ask about rights, what they warn of, and what
//! they leave in the audit log.

use std::time::Duration;

use apiserver::AuditOptions;
use apiserver::audit::Policy;
use serde_json::{Value, json};

use crate::rig::{Rig, raw};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn make(admin: &kube::Client, path: &str, object: &Value) {
    let (code, answer) = raw(admin, "POST", path, &[], object.to_string()).await;
    assert_eq!(code, 201, "{path} {answer}");
}

/// A policy about ConfigMaps, put to work by a binding.
async fn set(admin: &kube::Client, name: &str, spec: Value, actions: Value) {
    let mut whole = json!({
        "matchConstraints": {"resourceRules": [{
            "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["configmaps"],
        }]},
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    make(
        admin,
        POLICIES,
        &json!({"metadata": {"name": name}, "spec": whole}),
    )
    .await;
    let spec = json!({"policyName": name, "validationActions": actions});
    make(
        admin,
        BINDINGS,
        &json!({"metadata": {"name": name}, "spec": spec}),
    )
    .await;
}

async fn create_as(admin: &kube::Client, user: &str, map: &Value) -> (u16, Value) {
    let headers = [("impersonate-user", user)];
    raw(admin, "POST", MAPS, &headers, map.to_string()).await
}

/// A Role about ConfigMaps, and who has it.
async fn grant(admin: &kube::Client, name: &str, verb: &str, subjects: Value) {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}]);
    let role = json!({"metadata": {"name": name}, "rules": rules});
    make(admin, &format!("{RBAC}/namespaces/default/roles"), &role).await;
    let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
    let binding = json!({"metadata": {"name": name}, "roleRef": reference, "subjects": subjects});
    make(
        admin,
        &format!("{RBAC}/namespaces/default/rolebindings"),
        &binding,
    )
    .await;
}

/// `ann` and `bob` may create ConfigMaps, `ann` delete them as well: who cannot clean up may not
/// create, says the policy, nor point at what a robot cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_asks_about_rights() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let user =
        |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name});
    let robot = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "default"});
    grant(
        &admin,
        "makers",
        "create",
        json!([user("ann"), user("bob")]),
    )
    .await;
    grant(&admin, "cleaners", "delete", json!([user("ann")])).await;
    grant(&admin, "readers", "get", json!([robot])).await;
    let spec = json!({
        "variables": [{"name": "account", "expression": "object.data.?account.orValue('robot')"},
                      {"name": "rights", "expression": "authorizer.serviceAccount('default', variables.account)"}],
        "validations": [
            {"expression": "authorizer.requestResource.check('delete').allowed()",
             "messageExpression": "request.userInfo.username + ' cannot clean up'", "reason": "Forbidden"},
            {"expression": "variables.rights.group('').resource('configmaps').namespace('default').check('get').allowed()",
             "messageExpression": "variables.account + ' cannot read it'"},
        ],
    });
    set(&admin, "rights", spec, json!(["Deny"])).await;
    let map = |name: &str, account: &str| json!({"metadata": {"name": name}, "data": {"account": account}});
    assert_eq!(create_as(&admin, "ann", &map("a", "robot")).await.0, 201);
    let said = |answer: &Value| answer["message"].as_str().unwrap_or_default().to_owned();
    let denied = |name: &str, text: &str| {
        format!(
            "configmaps \"{name}\" is forbidden: ValidatingAdmissionPolicy 'rights' with binding 'rights' \
             denied request: {text}"
        )
    };
    let (code, answer) = create_as(&admin, "bob", &map("b", "robot")).await;
    assert_eq!(
        (code, said(&answer)),
        (403, denied("b", "bob cannot clean up"))
    );
    let (code, answer) = create_as(&admin, "ann", &map("c", "stranger")).await;
    assert_eq!(
        (code, said(&answer)),
        (422, denied("c", "stranger cannot read it"))
    );
    // A right that is given now counts at once.
    grant(&admin, "more", "delete", json!([user("bob")])).await;
    assert_eq!(create_as(&admin, "bob", &map("b", "robot")).await.0, 201);
    rig.stop().await;
}

/// What the audit log says of the writes of ConfigMaps: code and annotations.
fn annotated(log: &str) -> Vec<(u64, Value)> {
    let notes = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = notes.filter(|note| {
        note["objectRef"]["resource"] == "configmaps"
            || note["objectRef"]["resource"] == "transactions"
    });
    ours.map(|note| {
        let code = note["responseStatus"]["code"].as_u64().unwrap();
        (code, note["annotations"].clone())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_warn_and_leave_notes_in_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.json");
    let rules = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n\
                 - {level: None, userGroups: ['stoa:controllers', 'stoa:servers']}\n- {level: Metadata}\n";
    let audit = AuditOptions {
        path: path.clone(),
        policy: Policy::parse(rules).unwrap(),
        file_bytes: 1 << 20,
        backups: 1,
        age: Duration::ZERO,
    };
    let rig = Rig::with(dir, |options| options.audit = Some(audit)).await;
    let admin = rig.admin().await;
    let spec = json!({
        "validations": [{"expression": "object.data.size() < 2", "message": "too much"}],
        "auditAnnotations": [{"key": "size", "valueExpression": "string(object.data.size())"}],
    });
    set(&admin, "sizes", spec, json!(["Audit", "Warn"])).await;
    let map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data});
    let (small, large) = (json!({"a": "1"}), json!({"a": "1", "b": "2"}));
    make(&admin, MAPS, &map("small", small.clone())).await;
    let request = http::Request::post(MAPS).header("content-type", "application/json");
    let body = map("large", large.clone()).to_string().into_bytes();
    let answer = admin
        .send(request.body(body.into()).unwrap())
        .await
        .unwrap();
    let warning = "299 - \"Validation failed for ValidatingAdmissionPolicy 'sizes' with binding 'sizes': too much\"";
    assert_eq!(answer.headers()["warning"], warning);
    let op = |map: Value| json!({"apiVersion": "v1", "resource": "configmaps", "namespace": "default", "verb": "create", "body": map});
    let bundle = json!({"apiVersion": "stoa.dev/v1", "kind": "Transaction", "operations": [
        op(map("s", small)), op(map("l", large)),
    ]});
    let transactions = "/apis/stoa.dev/v1/transactions";
    let done = raw(&admin, "POST", transactions, &[], bundle.to_string()).await;
    assert_eq!(done.0, 200, "{}", done.1);
    drop(admin);
    let _dir = rig.stop().await;
    let failure = r#"[{"message":"too much","policy":"sizes","binding":"sizes","expressionIndex":0,"validationActions":["Audit","Warn"]}]"#;
    let key = "validation.policy.admission.k8s.io/validation_failure";
    assert_eq!(
        annotated(&std::fs::read_to_string(&path).unwrap()),
        [
            (201, json!({"sizes/size": "1"})),
            (201, json!({"sizes/size": "2", key: failure})),
            (200, json!({"sizes/size": "1, 2", key: failure})),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_knows_what_time_it_is_elsewhere() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let spec = json!({
        "variables": [{"name": "at", "expression": "timestamp(object.data.at)"}],
        "validations": [{
            "expression": "variables.at.getHours(object.data.place) < 17",
            "messageExpression": "'nobody works at ' + string(variables.at.getHours(object.data.place))",
        }],
    });
    set(&admin, "hours", spec, json!(["Deny"])).await;
    let map = |place: &str| json!({"metadata": {"name": "m"}, "data": {"at": "2026-07-15T20:30:00Z", "place": place}});
    for (place, code, text) in [
        ("America/New_York", 201, ""),
        ("Europe/Berlin", 422, "denied request: nobody works at 22"),
        (
            "Europe/Atlantis",
            422,
            "denied request: expression 'variables.at.getHours(object.data.place) < 17' resulted in error: \
             unknown time zone Europe/Atlantis",
        ),
    ] {
        let answer = raw(&admin, "POST", MAPS, &[], map(place).to_string()).await;
        let said = answer.1["message"].as_str().unwrap_or_default();
        assert!(
            answer.0 == code && said.ends_with(text),
            "{place} {answer:?}"
        );
    }
    rig.stop().await;
}
