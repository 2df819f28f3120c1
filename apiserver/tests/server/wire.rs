//! Bodies as Go's typed clients write them: protobuf in, JSON out.

use serde_json::{Value, json};

use crate::rig::{Rig, framework, raw};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What Go's typed clients say.
const TYPED: &[(&str, &str)] = &[
    ("content-type", PROTOBUF),
    (
        "accept",
        "application/vnd.kubernetes.protobuf,application/json",
    ),
];

/// A field of bytes shorter than 128.
fn field(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u8::try_from(value.len()).ok().filter(|n| *n < 128).unwrap();
    [&[number << 3 | 2, length][..], value].concat()
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_ = [field(1, api_version), field(2, kind)].concat();
    [b"k8s\0".to_vec(), field(1, type_), field(2, raw)].concat()
}

/// A Lease as a leader election writes it.
fn lease(holder: &str, resource_version: &str) -> Vec<u8> {
    let meta = [field(1, "leader"), field(6, resource_version)].concat();
    let renewed = [0x08, 0x80, 0xc4, 0xe2, 0xaa, 0x06, 0x10, 0x88, 0x27];
    let spec = [field(1, holder), vec![0x10, 15], field(4, renewed)].concat();
    let raw = [field(1, meta), field(2, spec)].concat();
    body("coordination.k8s.io/v1", "Lease", &raw)
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_clients_write_protobuf() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    leases(&admin).await;
    options(&admin).await;
    refusals(&admin).await;
    rig.stop().await;
}

async fn leases(admin: &kube::Client) {
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let (code, made) = raw(admin, "POST", LEASES, TYPED, lease("a", "")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["spec"]["renewTime"], "2023-11-18T11:37:36.000005Z");
    let version = made["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{LEASES}/leader");
    let (code, taken) = raw(admin, "PUT", &path, TYPED, lease("", &version)).await;
    assert_eq!(code, 200, "{taken}");
    assert_eq!(taken["spec"]["holderIdentity"], "", "released");
    let (code, late) = raw(admin, "PUT", &path, TYPED, lease("b", &version)).await;
    assert_eq!((code, &late["reason"]), (409, &json!("Conflict")), "{late}");
}

/// DeleteOptions are protobuf even for kinds that are not.
async fn options(admin: &kube::Client) {
    const FRAMEWORKS: &str = "/apis/stoa.dev/v1/namespaces/default/frameworks";
    let json = &[("content-type", "application/json")];
    let (code, made) = raw(admin, "POST", FRAMEWORKS, json, framework().to_string()).await;
    assert_eq!(code, 201, "{made}");
    let path = format!("{FRAMEWORKS}/f");
    let wrong = field(2, field(1, "another"));
    let delete = async |preconditions: &[u8]| {
        let options = body("stoa.dev/v1", "DeleteOptions", preconditions);
        raw(admin, "DELETE", &path, TYPED, options).await
    };
    assert_eq!(delete(&wrong).await.0, 409);
    assert_eq!(delete(&[]).await.0, 200);
}

async fn refusals(admin: &kube::Client) {
    const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
    const TASKS: &str = "/apis/stoa.dev/v1/namespaces/default/tasks";
    const TRANSACTIONS: &str = "/apis/stoa.dev/v1/transactions";
    let empty = body("v1", "ConfigMap", &[]);
    for (path, body, code) in [
        (CONFIGMAPS, empty.clone(), 422),
        (CONFIGMAPS, b"{}".to_vec(), 400),
        (CONFIGMAPS, [&empty[..], &[0x0a]].concat(), 400),
        (TASKS, body("stoa.dev/v1", "Task", &[]), 415),
        (TRANSACTIONS, empty.clone(), 415),
    ] {
        let (found, text): (u16, Value) = raw(admin, "POST", path, TYPED, body).await;
        assert_eq!(found, code, "{path}: {text}");
    }
    let only = &[("accept", PROTOBUF)];
    assert_eq!(raw(admin, "GET", CONFIGMAPS, only, "").await.0, 406);
}
