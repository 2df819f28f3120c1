//! Questions in the form of objects: answered, shown in discovery, never stored.

use apiserver::pki::Subject;
use serde_json::{Value, json};

use crate::rig::{Rig, raw};

const OWN: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const LOCAL: &str = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";

fn question(spec: &Value) -> String {
    json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": null}, "spec": spec,
        "status": {"allowed": true},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_not_stored() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let secrets =
        json!({"resourceAttributes": {"verb": "get", "resource": "secrets", "name": "x"}});
    let (code, answer) = raw(&admin, "POST", OWN, &[], question(&secrets)).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)));
    assert_eq!(answer["spec"], secrets);
    let local = json!({
        "spec": {"user": "x", "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "secrets"}},
    });
    let (code, answer) = raw(&admin, "POST", LOCAL, &[], local.to_string()).await;
    assert_eq!((code, &answer["status"]), (201, &json!({"allowed": false})));
    assert_eq!(answer["metadata"]["namespace"], "default");
    refusals(&admin, &question(&secrets)).await;
    let (_, list) = raw(&admin, "GET", "/apis/authorization.k8s.io/v1", &[], "").await;
    let all = list["resources"].as_array().unwrap();
    let own = all
        .iter()
        .find(|one| one["name"] == "selfsubjectaccessreviews");
    assert_eq!(own.unwrap()["verbs"], json!(["create"]));
    strangers_are_refused(&rig).await;
    rig.stop().await;
}

async fn refusals(admin: &kube::Client, question: &str) {
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let bundle = json!({
        "apiVersion": "stoa.dev/v1", "kind": "Transaction",
        "operations": [{
            "apiVersion": "authorization.k8s.io/v1", "resource": "selfsubjectaccessreviews",
            "name": "x", "verb": "create", "body": {"spec": {}},
        }],
    });
    let transactions = "/apis/stoa.dev/v1/transactions";
    for (method, path, headers, body, code) in [
        ("POST", OWN, &[table][..], question, 406),
        ("POST", OWN, &[], "{\"spec\":{}}", 422),
        (
            "POST",
            OWN,
            &[],
            "{\"spec\":{\"resourceAttributes\":7}}",
            422,
        ),
        ("POST", OWN, &[], "{\"spec\"", 400),
        ("POST", OWN, &[], "", 400),
        ("GET", OWN, &[], "", 405),
        ("DELETE", OWN, &[], "", 405),
        ("GET", &format!("{OWN}/x"), &[], "", 405),
        ("POST", transactions, &[], &bundle.to_string(), 405),
    ] {
        let (found, answer) = raw(admin, method, path, headers, body).await;
        assert_eq!(found, code, "{method} {path} {body} {answer}");
    }
}

/// Agents have no business with reviews.
async fn strangers_are_refused(rig: &Rig) {
    let agent = rig.as_subject(&Subject::Agent("a1".into())).await;
    let (code, _) = raw(&agent, "POST", OWN, &[], question(&json!({}))).await;
    assert!(matches!(code, 401 | 403), "{code}");
}
