//! Secrets at rest: what is on disk and in snapshots, and what it takes to read it.

use std::path::Path;

use apiserver::{Options, Service, StartError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::rig::{Rig, raw};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const ONE: &str = "/api/v1/namespaces/default/secrets/s";
const WORD: &str = "hunter2-is-no-password";
const JSON: (&str, &str) = ("content-type", "application/json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

/// True if the word stands there in either of the forms in which it would, were it not sealed.
fn shows(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains(WORD) || text.contains(&STANDARD.encode(WORD))
}

/// Files below a directory in which the word stands.
fn leaks(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if shows(&std::fs::read(&path).unwrap()) {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn read(client: &kube::Client) -> Value {
    let (code, secret) = raw(client, "GET", ONE, &[], "").await;
    assert_eq!(code, 200, "{secret}");
    secret
}

async fn write(client: &kube::Client) -> Value {
    let secret =
        json!({"metadata": {"name": "s", "labels": {"a": "b"}}, "stringData": {"k": WORD}});
    let (code, made) = raw(client, "POST", SECRETS, &[JSON], secret.to_string()).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["data"]["k"], STANDARD.encode(WORD));
    made
}

async fn snapshot(client: &kube::Client) -> Vec<u8> {
    use http_body_util::BodyExt;
    let request = http::Request::get("/stoa/v1/snapshot");
    let request = request.body(kube::client::Body::empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    body.to_bytes().to_vec()
}

/// Every way of reading opens: list with selectors, table, partial, watch.
async fn all_ways(client: &kube::Client, word: &str) {
    let partial = (
        "accept",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    );
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    for query in [
        "",
        "?labelSelector=a%3Db",
        "?fieldSelector=type%3DOpaque",
        "?limit=1",
    ] {
        let path = format!("{SECRETS}{query}");
        let (_, list) = raw(client, "GET", &path, &[], "").await;
        assert_eq!(
            list["items"][0]["data"]["k"],
            STANDARD.encode(word),
            "{query}"
        );
    }
    let (_, list) = raw(client, "GET", SECRETS, &[partial], "").await;
    assert_eq!(list["items"][0]["metadata"]["name"], "s");
    let (_, list) = raw(client, "GET", SECRETS, &[table], "").await;
    assert_eq!(list["rows"][0]["cells"][0], "s");
    for from in ["", "&resourceVersion=1"] {
        let path = format!("{SECRETS}?watch=true&timeoutSeconds=1{from}");
        let (_, lines) = raw(client, "GET", &path, &[], "").await;
        let text = lines
            .as_str()
            .map_or_else(|| lines.to_string(), str::to_owned);
        assert!(text.contains(&STANDARD.encode(word)), "{from}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_disk_tells_a_secret() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let made = write(&admin).await;
    let same = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
    let (_, unchanged) = raw(&admin, "PATCH", ONE, &[MERGE], same).await;
    assert_eq!(
        unchanged, made,
        "a write that changes nothing keeps the version"
    );
    let other = json!({"metadata": {"labels": {"c": "d"}}}).to_string();
    assert_eq!(raw(&admin, "PATCH", ONE, &[MERGE], other).await.0, 200);
    all_ways(&admin, WORD).await;
    assert!(!shows(&snapshot(&admin).await));
    let before = read(&admin).await;
    let dir = rig.stop().await;
    assert_eq!(leaks(dir.path()), [""; 0]);

    let rig = Rig::in_dir(dir).await;
    let admin = rig.admin().await;
    assert_eq!(read(&admin).await, before);
    let path = "/apis/stoa.dev/v1/datakeys";
    let (code, answer) = raw(&admin, "POST", path, &[], "").await;
    assert_eq!(
        (code, &answer["message"]),
        (201, &json!("data key 2 seals 1 objects"))
    );
    let after = read(&admin).await;
    assert_eq!(after["data"], before["data"]);
    assert_ne!(
        after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"],
        "it was written anew"
    );
    all_ways(&admin, WORD).await;
    let (code, _) = raw(&admin, "DELETE", ONE, &[], "").await;
    assert_eq!(code, 200);
    write(&admin).await;
    let dir = rig.stop().await;
    assert_eq!(leaks(dir.path()), [""; 0]);
    other_keys(dir).await;
}

fn options(dir: &Path) -> Options {
    let loopback = "127.0.0.1:0".parse().unwrap();
    Options {
        data_dir: dir.join("data"),
        listen: loopback,
        peer_listen: loopback,
        ..Options::default()
    }
}

/// Without the key it was sealed under, nothing starts; another root takes over by a rotation.
async fn other_keys(dir: tempfile::TempDir) {
    let pki = dir.path().join("data/pki");
    let kept = ["ca.crt", "ca.key"].map(|name| {
        let path = pki.join(name);
        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (path, text)
    });
    let refused = Service::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartError::Sealed { .. }), "{refused}");
    assert!(refused.to_string().contains("encryption.keys"), "{refused}");
    for (path, text) in &kept {
        std::fs::write(path, text).unwrap();
    }
    let roots = pki.join("encryption.keys");
    std::fs::write(&roots, STANDARD.encode([7; 32])).unwrap();
    let rig = Rig::in_dir(dir).await;
    let admin = rig.admin().await;
    assert_eq!(read(&admin).await["data"]["k"], STANDARD.encode(WORD));
    assert_eq!(
        raw(&admin, "POST", "/apis/stoa.dev/v1/datakeys", &[], "")
            .await
            .0,
        201
    );
    let dir = rig.stop().await;
    std::fs::remove_file(&roots).unwrap();
    let refused = Service::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartError::Sealed { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_in_clear_is_sealed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::with(dir, |options| options.sealed = Vec::new()).await;
    let before = write(&rig.admin().await).await;
    let rig = Rig::in_dir(rig.stop().await).await;
    let admin = rig.admin().await;
    let after = read(&admin).await;
    assert_eq!(after["data"], before["data"]);
    assert!(!shows(&snapshot(&admin).await));
    rig.stop().await;
}
