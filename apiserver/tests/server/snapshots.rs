//! A snapshot of a running server, damaged or whole, and the new cluster made from it.

use std::path::Path;

use apiserver::backup::{self, Restore};
use http_body_util::BodyExt;
use serde_json::json;

use crate::rig::{Rig, framework, raw};
use crate::watches::Lines;

const FRAMEWORKS: &str = "/apis/stoa.dev/v1/namespaces/default/frameworks";

async fn download(client: &kube::Client) -> (u64, Vec<u8>) {
    let request = http::Request::get(backup::PATH).body(kube::client::Body::empty());
    let response = client.send(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let revision = response.headers()["stoa-revision"]
        .to_str()
        .unwrap()
        .parse();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (revision.unwrap(), bytes.to_vec())
}

fn to(dir: &Path) -> Restore {
    let name = "s1".to_owned();
    Restore {
        data_dir: dir.join("data"),
        initial: vec![(name.clone(), "127.0.0.1:1".to_owned())],
        name,
        token: "test".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_becomes_a_new_cluster() {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let created = framework().to_string();
    let json = [("content-type", "application/json")];
    let (code, created) = raw(&client, "POST", FRAMEWORKS, &json, created).await;
    assert_eq!(code, 201, "{created}");
    let old = created["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    let (revision, bytes) = download(&client).await;
    rig.stop().await;

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let whole = backup::verify(file.path()).unwrap();
    assert_eq!(
        (whole.revision, whole.bytes),
        (revision, bytes.len() as u64)
    );
    assert!(whole.items > 1);

    let dir = tempfile::tempdir().unwrap();
    refuses_damage(&bytes, dir.path());
    let restored = backup::restore(file.path(), &to(dir.path())).unwrap();
    assert_eq!(restored.items, whole.items);
    assert_eq!(restored.revision, revision + backup::REVISION_BUMP);
    backup::restore(file.path(), &to(dir.path())).unwrap_err();

    let rig = Rig::in_dir(dir).await;
    let client = rig.admin().await;
    let (code, found) = raw(&client, "GET", &format!("{FRAMEWORKS}/f"), &[], "").await;
    assert_eq!((code, &found["spec"]["pool"]), (200, &json!("default")));
    let path = format!("{FRAMEWORKS}?watch=true&resourceVersion={old}");
    let event = Lines::open(&client, &path).await.next().await.unwrap();
    assert_eq!(event["object"]["code"], 410, "{event}");
    rig.stop().await;
}

/// Whatever is wrong with a file is found, its place is told, and nothing is made from it.
fn refuses_damage(bytes: &[u8], dir: &Path) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let short = bytes[..bytes.len() - 1].to_vec();
    let places = [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1];
    for damaged in places.map(flipped).into_iter().chain([short, Vec::new()]) {
        std::fs::write(file.path(), &damaged).unwrap();
        let error = backup::verify(file.path()).unwrap_err().to_string();
        assert!(
            error.contains(|c: char| c.is_ascii_digit()),
            "no place: {error}"
        );
        backup::restore(file.path(), &to(dir)).unwrap_err();
        assert!(!dir.join("data/store/identity").exists());
    }
}
