//! Bodies as Go's typed clients write them: protobuf in, JSON out.

use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, framework, raw};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// What Go's typed clients say.
const TYPED: &[(&str, &str)] = &[
    ("content-type", PROTOBUF),
    (
        "accept",
        "application/vnd.kubernetes.protobuf,application/json",
    ),
];

/// A field of bytes shorter than 16 KiB.
fn field(number: u16, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let short = |number: usize| match u8::try_from(number) {
        Ok(number) if number < 128 => vec![number],
        _ => vec![number as u8 | 0x80, u8::try_from(number >> 7).unwrap()],
    };
    let tag = short(usize::from(number << 3 | 2));
    [tag, short(value.len()), value.to_vec()].concat()
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
    definitions(&admin).await;
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

/// A definition as an operator's typed client writes it, and an object of its kind.
async fn definitions(admin: &kube::Client) {
    const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mode = [
        field(5, "string"),
        field(8, field(1, "\"on\"")),
        field(20, field(1, "\"on\"")),
    ];
    let spec = [
        field(5, "object"),
        field(29, [field(1, "mode"), field(2, mode.concat())].concat()),
    ];
    let schema = [
        field(5, "object"),
        field(29, [field(1, "spec"), field(2, spec.concat())].concat()),
    ];
    let version = [
        field(1, "v1"),
        vec![0x10, 1, 0x18, 1],
        field(4, field(1, schema.concat())),
    ];
    let names = [field(1, "points"), field(4, "Point")];
    let definition = [
        field(1, field(1, "points.example.com")),
        field(
            2,
            [
                field(1, "example.com"),
                field(3, names.concat()),
                field(4, "Cluster"),
                field(7, version.concat()),
            ]
            .concat(),
        ),
    ];
    let definition = body(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &definition.concat(),
    );
    let (code, made) = raw(admin, "POST", DEFINITIONS, TYPED, definition).await;
    assert_eq!(code, 201, "{made}");
    let made = &made["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mode = &made["properties"]["spec"]["properties"]["mode"];
    assert_eq!(
        *mode,
        json!({"type": "string", "default": "on", "enum": ["on"]})
    );

    const POINTS: &str = "/apis/example.com/v1/points";
    let json = &[("content-type", "application/json")];
    let point = json!({"apiVersion": "example.com/v1", "kind": "Point",
                       "metadata": {"name": "p"}, "spec": {}});
    let served = async {
        loop {
            let (code, made) = raw(admin, "POST", POINTS, json, point.to_string()).await;
            if code == 201 {
                return made;
            }
            tokio::task::yield_now().await;
        }
    };
    let made = tokio::time::timeout(PATIENCE, served).await;
    let made = made.expect("the kind is not served");
    assert_eq!(made["spec"]["mode"], "on");
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
