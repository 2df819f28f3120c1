//! An open watch ends with the right to begin it: credential, role, name, impersonation, time.

use apiserver::pki::{Authority, Pair, Subject};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::revocations::{certificate, revoke};
use crate::rig::{Rig, now_s, raw};
use crate::watches::Lines;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const JSON: (&str, &str) = ("content-type", "application/json");
const MAPS: &str = "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0";

async fn make(admin: &kube::Client, path: &str, object: Value) -> Value {
    let (code, answer) = raw(admin, "POST", path, &[JSON], object.to_string()).await;
    assert!(matches!(code, 200 | 201), "{path} {answer}");
    answer
}

/// Lets a user view the namespace.
async fn admit(admin: &kube::Client, user: &str) {
    let binding = json!({
        "metadata": {"name": user}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": user}],
    });
    let path = format!("{RBAC}/namespaces/default/rolebindings");
    make(admin, &path, binding).await;
}

/// A watch with these headers, past the objects that are there.
async fn watch(client: &kube::Client, headers: &[(&str, &str)]) -> Lines {
    Lines::open_with(client, MAPS, headers).await
}

/// The watch says this at last.
async fn ends(mut lines: Lines, code: u16) -> Value {
    loop {
        let line = lines.next().await.expect("it says why it ends");
        if line["type"] == "ERROR" {
            assert_eq!(line["object"]["code"], code, "{line}");
            assert_eq!(lines.next().await, None, "that was all");
            return line["object"].clone();
        }
    }
}

/// Goes on as if nothing had been.
async fn goes_on(admin: &kube::Client, mut lines: Lines) {
    let maps = "/api/v1/namespaces/default/configmaps";
    make(admin, maps, json!({"metadata": {"name": "news"}})).await;
    loop {
        let line = lines.next().await.expect("it goes on");
        assert_ne!(line["type"], "ERROR", "{line}");
        if line["object"]["metadata"]["name"] == "news" {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_role_and_with_the_certificate() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let authority = rig.authority();
    let mut open = Vec::new();
    for user in ["jane", "joe", "jim"] {
        admit(&admin, user).await;
        let client = rig
            .with_pair(&certificate(&authority, user, 60, 3600))
            .await;
        open.push(watch(&client, &[]).await);
    }
    let [jane, joe, jim] = open.try_into().ok().unwrap();
    let path = format!("{RBAC}/namespaces/default/rolebindings/jane");
    assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
    let status = ends(jane, 403).await;
    let text = "User \"jane\" cannot watch resource \"configmaps\"";
    assert!(
        status["message"].as_str().unwrap().contains(text),
        "{status}"
    );
    revoke(&admin, "joe", json!({"user": "joe"})).await;
    ends(joe, 401).await;
    goes_on(&admin, jim).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_token_and_what_it_stands_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.csv");
    std::fs::write(&file, "l0w,bob,8\n").unwrap();
    let rig = Rig::with(dir, |options| options.token_auth_file = Some(file.clone())).await;
    let (admin, stranger) = (rig.admin().await, rig.stranger().await);
    admit(&admin, "bob").await;
    let robot = "system:serviceaccount:default:robot";
    admit(&admin, robot).await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    make(&admin, accounts, json!({"metadata": {"name": "robot"}})).await;
    let answer = make(&admin, &format!("{accounts}/robot/token"), json!({})).await;
    let bearer = format!("Bearer {}", answer["status"]["token"].as_str().unwrap());
    let account = watch(&stranger, &[("authorization", &bearer)]).await;
    let fixed = watch(&stranger, &[("authorization", "Bearer l0w")]).await;
    let path = format!("{accounts}/robot");
    assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
    ends(account, 401).await;
    std::fs::write(&file, "other,bob,8\n").unwrap();
    ends(fixed, 401).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_right_to_act_as_somebody() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    admit(&admin, "jane").await;
    let role = json!({
        "metadata": {"name": "actor"},
        "rules": [{"apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"], "verbs": ["impersonate"]}],
    });
    make(&admin, &format!("{RBAC}/clusterroles"), role).await;
    let bindings = format!("{RBAC}/clusterrolebindings");
    let binding = json!({
        "metadata": {"name": "actor"}, "roleRef": {"kind": "ClusterRole", "name": "actor"},
        "subjects": [{"kind": "User", "name": "proxy"}],
    });
    make(&admin, &bindings, binding).await;
    let pair = certificate(&rig.authority(), "proxy", 60, 3600);
    let proxy = rig.with_pair(&pair).await;
    let acting = watch(&proxy, &[("impersonate-user", "jane")]).await;
    let path = format!("{bindings}/actor");
    assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
    let status = ends(acting, 403).await;
    assert!(
        status["message"].as_str().unwrap().contains("impersonate"),
        "{status}"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_time() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    admit(&admin, "jane").await;
    // Long enough to begin in, on a busy machine.
    let pair = certificate(&rig.authority(), "jane", 60, 66);
    let client = rig.with_pair(&pair).await;
    let lines = watch(&client, &[]).await;
    let status = ends(lines, 401).await;
    assert_eq!(status["message"], "the certificate has expired");
    let map = "/api/v1/namespaces/default/configmaps";
    let later = raw(&client, "GET", map, &[], "").await;
    assert_eq!(later.0, 401, "on the connection that is open: {}", later.1);
    rig.stop().await;
}

async fn join(rig: &Rig, client: &kube::Client, name: &str) -> kube::Client {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key);
    let csr = request.unwrap().pem().unwrap();
    let body = json!({"role": "agent", "name": name, "csr": csr});
    let answer = make(client, "/apis/stoa.dev/v1/join", body).await;
    let pair = Pair {
        certificate: answer["certificate"].as_str().unwrap().to_owned(),
        key: key.serialize_pem(),
    };
    rig.with_pair(&pair).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_agents_name() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let first = join(&rig, &admin, "a1").await;
    let tasks = "/apis/stoa.dev/v1/tasks?watch=true&fieldSelector=spec.agent%3Da1";
    let lines = Lines::open(&first, tasks).await;
    let second = join(&rig, &admin, "a1").await;
    let mut goes_on = Lines::open(&second, tasks).await;
    let status = ends(lines, 401).await;
    let text = "passed to another key";
    assert!(
        status["message"].as_str().unwrap().contains(text),
        "{status}"
    );
    revoke(&admin, "a1", json!({"user": "stoa:agent:a1"})).await;
    let last = goes_on.next().await.unwrap();
    assert_eq!(last["object"]["code"], 401, "{last}");
    rig.stop().await;
}

/// An administrator's certificate of the same authority, but expired, does not even shake hands.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_begins_with_what_has_ended() {
    let rig = Rig::start().await;
    let year_s = 366 * 24 * 3600;
    let authority: Authority = rig.authority();
    let expired = authority.issue(&Subject::Admin, &[], now_s() - 2 * year_s);
    let client = rig.with_pair(&expired.unwrap()).await;
    let request = http::Request::get(MAPS).body(kube::client::Body::empty());
    assert!(client.send(request.unwrap()).await.is_err());
    rig.stop().await;
}
