//! However a path is written, it is judged as what is then served.

use apiserver::pki::Subject;
use serde_json::{Value, json};

use super::{TENANT, THEIRS, get, stranger, town};
use crate::rig::{Rig, raw};
use crate::socket::Door;

/// Ways to write something of namespace `b`, or what may be mistaken for it; `{}` is what is wanted there.
const SPELLINGS: &[&str] = &[
    "/api/v1/namespaces/b/{}",
    "/api/v1/namespaces/%62/{}",
    "/api/v1/namespaces/B/{}",
    "/api/v1/namespaces/b./{}",
    "/api/v1/namespaces/b%2e/{}",
    "/api/v1/namespaces/b;/{}",
    "/api/v1/namespaces/b;a/{}",
    "/api/v1/namespaces/a;b/{}",
    "/api/v1/namespaces/a,b/{}",
    "/api/v1/namespaces/a%2cb/{}",
    "/api/v1/namespaces/b%00/{}",
    "/api/v1/namespaces/a%00b/{}",
    "/api/v1/namespaces/b%20/{}",
    "/api/v1/namespaces/%20b/{}",
    "/api/v1/namespaces/b%0a/{}",
    "/api/v1/namespaces/%2562/{}",
    "/api/v1/namespaces/*/{}",
    "/api/v1/namespaces/-/{}",
    "/api/v1/namespaces/%2d/{}",
    "/api/v1/namespaces/./{}",
    "/api/v1/namespaces/../{}",
    "/api/v1/namespaces//b/{}",
    "/api/v1/namespaces/b//{}",
    "/api/v1/namespaces/./b/{}",
    "/api/v1/namespaces/a/../b/{}",
    "/api/v1/namespaces/a/%2e%2e/b/{}",
    "/api/v1/namespaces/a/.%2E/b/{}",
    "/api/v1/namespaces/a/..;/b/{}",
    "/api/v1/namespaces/a/..%2fb/{}",
    "/api/v1/namespaces/a%2f..%2fb/{}",
    "/api/v1/namespaces/a%2F%2E%2E%2Fb/{}",
    "/api/v1/namespaces/a%252f..%252fb/{}",
    "/api/v1/namespaces/a%5c..%5cb/{}",
    "/api/v1/namespaces/a\\..\\b/{}",
    "/api/v1/namespaces/a/%c0%ae%c0%ae/b/{}",
    "/api/v1/namespaces/a%c0%af..%c0%afb/{}",
    "/api/v1/namespaces/a%ef%bc%8fb/{}",
    "/api/v1/namespaces/a%2fb/{}",
    "/api/v1/namespaces/a/namespaces/b/{}",
    "/api/v1/namespaces/a/{}/../../b/{}",
    "/api/v1/namespaces/a/{}/namespaces/b",
    "/api/v1/namespaces/a/{}?/../../b/{}",
    "/api/v1/namespaces/a/{}?namespace=b&fieldSelector=metadata.namespace=b",
    "/api/v1/namespaces/a/{}#/../../b/{}",
    "/api/v1/namespaces/a/{}%3f/../../b",
    "/api/v1/namespaces/a/{}/%zz",
    "/api/v1/namespaces/a/{}%",
    "/api/v1/{}",
    "/api/v1/{}?namespace=a",
    "/api/v1/namespaces/{}",
    "/api/v1/watch/namespaces/b/{}",
    "/api/v1/watch/{}",
    "/api/v1/proxy/namespaces/b/{}",
    "/api/v1/../v1/namespaces/b/{}",
    "/api//v1/namespaces/b/{}",
    "//api/v1/namespaces/b/{}",
    "/./api/v1/namespaces/b/{}",
    "/%61pi/v1/namespaces/b/{}",
    "/API/V1/namespaces/b/{}",
    "/apis//v1/namespaces/b/{}",
    "/apis/core/v1/namespaces/b/{}",
    "/apis/%20/v1/namespaces/b/{}",
    "/version/../api/v1/namespaces/b/{}",
    "/version%2f../api/v1/namespaces/b/{}",
    "/healthz/%2e%2e/api/v1/namespaces/b/{}",
    "/readyz/..%2fapi%2fv1%2fnamespaces%2fb%2f{}",
    "https://localhost/api/v1/namespaces/b/{}",
    "https://localhost/api/v1/namespaces/a/../b/{}",
    "http://a/api/v1/namespaces/b/{}",
    "ftp://a@b:1/api/v1/namespaces/b/{}",
    "api/v1/namespaces/b/{}",
    "localhost:443",
    "*",
    "?/api/v1/namespaces/b/{}",
];

const WANTED: [&str; 4] = ["configmaps", "configmaps/x", "secrets", "secrets/x"];

/// One after the other over one connection: reads, and then everything that writes.
fn requests(target: &str, who: &str) -> String {
    let request = |method: &str, media: &str, body: &str, end: &str| {
        let length = body.len();
        format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{who}Content-Type: {media}\r\n\
             Content-Length: {length}\r\n{end}\r\n{body}"
        )
    };
    let json = "application/json";
    let object = r#"{"metadata": {"name": "x"}, "data": {"k": "d3JvbmcK"}}"#;
    let elsewhere = r#"{"metadata": {"name": "y", "namespace": "b"}}"#;
    [
        request("GET", json, "", ""),
        request("HEAD", json, "", ""),
        request("POST", json, elsewhere, ""),
        request("PUT", json, object, ""),
        request("PATCH", "application/merge-patch+json", object, ""),
        request("OPTIONS", json, "", ""),
        request("DELETE", json, "", "Connection: close\r\n"),
    ]
    .concat()
}

/// Everything in `b`, and its namespace.
async fn theirs(admin: &kube::Client) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "/api/v1/namespaces/b",
        "/api/v1/namespaces/b/configmaps",
        "/api/v1/namespaces/b/secrets",
    ] {
        let (code, mut answer) = raw(admin, "GET", path, &[], "").await;
        assert_eq!(code, 200, "{answer}");
        if answer["items"].is_array() {
            answer = answer["items"].take();
        }
        all.push(answer);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_leads_into_another_namespace() {
    let (rig, admin) = town(|_| {}).await;
    let door = stranger(&rig);
    let own = get(&door, "/api/v1/namespaces/a/configmaps/own", TENANT).await;
    assert_eq!(own.codes(), [200], "the tenant's own is served");
    let before = theirs(&admin).await;
    // What else there is in `a` may be seen there, and would only confuse us.
    let other = json!({"data": {"k": "ours"}}).to_string();
    let merge = [("content-type", "application/merge-patch+json")];
    let path = "/api/v1/namespaces/a/configmaps/other";
    assert_eq!(raw(&admin, "PATCH", path, &merge, other).await.0, 200);

    for spelling in SPELLINGS {
        for wanted in WANTED {
            let target = spelling.replace("{}", wanted);
            for who in [TENANT, ""] {
                let answers = door.ask(requests(&target, who).as_bytes()).await;
                let text = answers.text();
                assert!(!text.contains(THEIRS), "{target}: {text}");
                assert!(!answers.codes().contains(&500), "{target}: {text}");
            }
        }
        let target = spelling.replace("{}", "configmaps");
        let and = if target.contains('?') { "&" } else { "?" };
        let target = format!("{target}{and}watch=true&timeoutSeconds=1");
        let seen = get(&door, &target, TENANT).await.text();
        assert!(!seen.contains(THEIRS), "{target}: {seen}");
        assert_eq!(theirs(&admin).await, before, "{spelling}");
    }
    rig.stop().await;
}

/// Programs of ours may ask for what tells which kinds there are, and for nothing that shows the whole.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_shows_everything() {
    let rig = Rig::start().await;
    let agent = Door::of(&rig, &Subject::Agent("a1".to_owned()));
    assert_eq!(get(&agent, "/apis", "").await.codes(), [200]);
    for path in [
        "/metrics",
        "/%6detrics",
        "//metrics",
        "/metrics/",
        "/apis/../metrics",
        "/version/../metrics",
        "/stoa/v1/snapshot",
        "/%73toa/v1/snapshot",
        "/stoa/v1/%73napshot",
        "//stoa//v1//snapshot/",
        "/version/../stoa/v1/snapshot",
        "https://localhost/%73toa/v1/snapshot",
    ] {
        for door in [&agent, &stranger(&rig)] {
            let answers = get(door, path, "").await;
            let code = answers.codes()[0];
            assert!(matches!(code, 401 | 403 | 404), "{path}: {code}");
        }
    }
    rig.stop().await;
}
