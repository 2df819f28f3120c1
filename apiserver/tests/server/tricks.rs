//! Tricks with paths, parameters, headers, framing and time: they do nothing. One file for each kind
//! of trick; here is the town they are tried in.

mod bodies;
mod credentials;
mod headers;
mod paths;
mod queries;
mod slow;
mod smuggling;
mod streams;

use apiserver::{Options, pki::Subject};
use serde_json::{Value, json};

use crate::rig::{Rig, raw};
use crate::socket::{Answers, Door};

/// What nobody but an administrator may see.
const THEIRS: &str = "value-of-b-5f3a";

/// May do most things in namespace `a`, and nothing elsewhere.
const TENANT: &str = "Authorization: Bearer tenant-token\r\n";

/// May read the ConfigMap `own` in namespace `a`, and nothing else.
const NARROW: &str = "Authorization: Bearer narrow-token\r\n";

/// May act as `tenant`.
const PROXY: &str = "Authorization: Bearer proxy-token\r\n";

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

const TOKENS: &str = "tenant-token,tenant,1\nnarrow-token,narrow,2\nproxy-token,proxy,3\n";

/// A server with two namespaces and those who may do something there.
async fn town(change: impl FnOnce(&mut Options)) -> (Rig, kube::Client) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.csv");
    std::fs::write(&file, TOKENS).unwrap();
    let rig = Rig::with(dir, |options| {
        options.token_auth_file = Some(file);
        change(options);
    })
    .await;
    let admin = rig.admin().await;
    for name in ["a", "b"] {
        make(
            &admin,
            "/api/v1/namespaces",
            json!({"metadata": {"name": name}}),
        )
        .await;
    }
    for (place, name, value) in [
        ("a", "own", "ours"),
        ("a", "other", THEIRS),
        ("b", "x", THEIRS),
    ] {
        let root = format!("/api/v1/namespaces/{place}");
        let map = json!({"metadata": {"name": name}, "data": {"k": value}});
        make(&admin, &format!("{root}/configmaps"), map).await;
        let secret = json!({"metadata": {"name": name}, "stringData": {"k": value}});
        make(&admin, &format!("{root}/secrets"), secret).await;
    }
    rights(&admin).await;
    (rig, admin)
}

async fn rights(admin: &kube::Client) {
    let grant = |kind: &str, role: &str, user: &str| {
        json!({
            "metadata": {"name": user}, "roleRef": {"kind": kind, "name": role},
            "subjects": [{"kind": "User", "name": user}],
        })
    };
    let role = |rule: Value| json!({"metadata": {"name": "some"}, "rules": [rule]});
    let one = json!({
        "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"],
        "resourceNames": ["own"],
    });
    let acts = json!({
        "apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"],
        "resourceNames": ["tenant"],
    });
    let local = format!("{RBAC}/namespaces/a");
    make(admin, &format!("{local}/roles"), role(one)).await;
    make(admin, &format!("{RBAC}/clusterroles"), role(acts)).await;
    for (path, kind, role, user) in [
        (
            format!("{local}/rolebindings"),
            "ClusterRole",
            "edit",
            "tenant",
        ),
        (format!("{local}/rolebindings"), "Role", "some", "narrow"),
        (
            format!("{RBAC}/clusterrolebindings"),
            "ClusterRole",
            "some",
            "proxy",
        ),
    ] {
        make(admin, &path, grant(kind, role, user)).await;
    }
}

async fn make(admin: &kube::Client, path: &str, object: Value) {
    let (code, answer) = raw(admin, "POST", path, &[], object.to_string()).await;
    assert_eq!(code, 201, "{path} {answer}");
}

/// The one answer to a request without a body.
async fn get(door: &Door, target: &str, headers: &str) -> Answers {
    let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
    door.ask(head.as_bytes()).await
}

/// A door for those who show no certificate.
fn stranger(rig: &Rig) -> Door {
    Door::with(rig, None)
}

fn admins(rig: &Rig) -> Door {
    Door::of(rig, &Subject::Admin)
}

/// The server still serves, and nobody has made anything called `smuggled`.
async fn unharmed(admin: &kube::Client, what: &str) {
    let path = "/api/v1/namespaces/a/configmaps/smuggled";
    let (code, answer) = raw(admin, "GET", path, &[], "").await;
    assert_eq!(code, 404, "after {what}: {answer}");
}

/// A request that writes, and must never be taken for one.
fn smuggled() -> String {
    post("smuggled")
}

/// A request that makes the ConfigMap of this name.
fn post(name: &str) -> String {
    let body = json!({"metadata": {"name": name}}).to_string();
    let length = body.len();
    format!(
        "POST /api/v1/namespaces/a/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
