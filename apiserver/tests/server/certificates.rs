//! Certificates on request: who may ask, approve and sign, and what the certificate is good for; and
//! what every namespace has.

use apiserver::pki::{Pair, kubeconfig};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::rig::{PATIENCE, Rig, raw};

const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const JSON: (&str, &str) = ("content-type", "application/json");

fn request(key: &KeyPair, name: &str, group: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, group);
    STANDARD.encode(params.serialize_request(key).unwrap().pem().unwrap())
}

fn csr(name: &str, request: &str, usages: &[&str]) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "request": request, "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": usages, "expirationSeconds": 3600, "username": "somebody-else",
        },
        "status": {"conditions": [{"type": "Approved", "status": "True"}]},
    })
}

async fn post(client: &kube::Client, path: &str, body: &Value) -> (u16, Value) {
    raw(client, "POST", path, &[JSON], body.to_string()).await
}

async fn put(client: &kube::Client, path: &str, body: &Value) -> (u16, Value) {
    raw(client, "PUT", path, &[JSON], body.to_string()).await
}

/// Waits until the object at the path is as wished.
async fn until(client: &kube::Client, path: &str, wished: impl Fn(&Value) -> bool) -> Value {
    let seen = async {
        loop {
            let (_, object) = raw(client, "GET", path, &[], "").await;
            if wished(&object) {
                return object;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect(path)
}

fn with(object: &Value, kind: &str) -> Value {
    let mut object = object.clone();
    object["status"]["conditions"] = json!([{"type": kind, "status": "True", "reason": "Test"}]);
    object
}

/// The certificate of the request opens the door, and no further.
async fn speaks_for_jane(rig: &Rig, key: &KeyPair, done: &Value) {
    let certificate = STANDARD
        .decode(done["status"]["certificate"].as_str().unwrap())
        .unwrap();
    let pair = Pair {
        certificate: String::from_utf8(certificate).unwrap(),
        key: key.serialize_pem(),
    };
    let text = kubeconfig(&rig.authority(), &pair, &rig.handle.url());
    let jane = rig.client(Kubeconfig::from_yaml(&text).unwrap()).await;
    let (_, own) = post(
        &jane,
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        &json!({}),
    )
    .await;
    assert_eq!(own["status"]["userInfo"]["username"], "jane");
    let (code, _) = put(
        &jane,
        &format!("{PATH}/jane/approval"),
        &with(done, "Denied"),
    )
    .await;
    assert_eq!(code, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_becomes_a_certificate() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let key = KeyPair::generate().unwrap();
    let asked = csr("jane", &request(&key, "jane", "team"), &["client auth"]);
    let (code, made) = post(&admin, PATH, &asked).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(
        made["spec"]["username"], "admin",
        "the server says who asks"
    );
    assert_eq!(made["status"], Value::Null, "nobody approves himself");
    let mut other = made.clone();
    other["spec"]["expirationSeconds"] = 86_400.into();
    let (code, kept) = put(&admin, &format!("{PATH}/jane"), &other).await;
    assert_eq!((code, &kept["spec"]), (200, &made["spec"]), "never changes");

    let (code, answer) = put(
        &admin,
        &format!("{PATH}/jane/status"),
        &with(&made, "Approved"),
    )
    .await;
    assert_eq!(code, 422, "{answer}");
    let (code, answer) = put(
        &admin,
        &format!("{PATH}/jane/approval"),
        &with(&made, "Failed"),
    )
    .await;
    assert_eq!(code, 422, "{answer}");
    let (code, answer) = put(
        &admin,
        &format!("{PATH}/jane/approval"),
        &with(&made, "Approved"),
    )
    .await;
    assert_eq!(code, 200, "{answer}");
    assert!(answer["status"]["conditions"][0]["lastUpdateTime"].is_string());
    let done = until(&admin, &format!("{PATH}/jane"), |csr| {
        csr["status"]["certificate"].is_string()
    })
    .await;
    let (code, _) = put(
        &admin,
        &format!("{PATH}/jane/approval"),
        &with(&made, "Denied"),
    )
    .await;
    assert_ne!(code, 200, "decided is decided");

    speaks_for_jane(&rig, &key, &done).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_and_what_fails() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let key = KeyPair::generate().unwrap();
    let good = request(&key, "jane", "team");
    for (why, body, code) in [
        (
            "masters",
            csr(
                "x",
                &request(&key, "jane", "system:masters"),
                &["client auth"],
            ),
            403,
        ),
        (
            "servers",
            csr(
                "x",
                &request(&key, "jane", "stoa:servers"),
                &["client auth"],
            ),
            403,
        ),
        (
            "an agent",
            csr("x", &request(&key, "stoa:agent:a1", "g"), &["client auth"]),
            403,
        ),
        ("no request", csr("x", "", &["client auth"]), 422),
        (
            "nonsense",
            csr("x", &STANDARD.encode("nonsense"), &["client auth"]),
            422,
        ),
        ("no usages", csr("x", &good, &[]), 422),
        ("unknown usages", csr("x", &good, &["flying"]), 422),
    ] {
        let (found, answer) = post(&admin, PATH, &body).await;
        assert_eq!(found, code, "{why}: {answer}");
    }
    let (_, made) = post(&admin, PATH, &csr("s", &good, &["server auth"])).await;
    let (code, _) = put(
        &admin,
        &format!("{PATH}/s/approval"),
        &with(&made, "Approved"),
    )
    .await;
    assert_eq!(code, 200);
    let failed = until(&admin, &format!("{PATH}/s"), |csr| {
        csr["status"]["conditions"][1]["type"] == "Failed"
    })
    .await;
    assert_eq!(
        failed["status"]["conditions"][1]["reason"],
        "SignerValidationFailure"
    );
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let (_, shown) = raw(&admin, "GET", PATH, &[table], "").await;
    assert_eq!(shown["rows"][0]["cells"][5], "Approved,Failed", "{shown}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_namespace_is_furnished() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let namespaces = "/api/v1/namespaces";
    let (code, _) = post(&admin, namespaces, &json!({"metadata": {"name": "team"}})).await;
    assert_eq!(code, 201);
    for namespace in ["default", "kube-system", "team"] {
        let account = format!("{namespaces}/{namespace}/serviceaccounts/default");
        until(&admin, &account, |found| {
            found["metadata"]["uid"].is_string()
        })
        .await;
        let root = format!("{namespaces}/{namespace}/configmaps/kube-root-ca.crt");
        let ours = rig.authority().certificate_pem().to_owned();
        until(&admin, &root, |found| {
            found["data"]["ca.crt"] == ours.as_str()
        })
        .await;
    }
    for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
        let path = format!("{namespaces}/team/{path}");
        let (_, before) = raw(&admin, "GET", &path, &[], "").await;
        assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
        let uid = &before["metadata"]["uid"];
        let again = |found: &Value| {
            found["metadata"]["uid"].is_string() && found["metadata"]["uid"] != *uid
        };
        until(&admin, &path, again).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_asks_approves_and_denies() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let path = rig.handle.kubeconfig_path();
    let kubectl = Kubectl {
        kubeconfig: &path,
        home: rig.dir.path(),
    };
    if kubectl.is_missing().await {
        return rig.stop().await.close().unwrap();
    }
    let key = KeyPair::generate().unwrap();
    for name in ["jane", "john"] {
        let mut asked = csr(name, &request(&key, name, "team"), &["client auth"]);
        asked["apiVersion"] = "certificates.k8s.io/v1".into();
        asked["kind"] = "CertificateSigningRequest".into();
        kubectl
            .says_to("create -f -", &asked.to_string(), &["created"])
            .await;
    }
    kubectl
        .says(
            "get csr",
            &["kubernetes.io/kube-apiserver-client", "Pending"],
        )
        .await;
    kubectl
        .says("certificate approve jane", &["approved"])
        .await;
    kubectl.says("certificate deny john", &["denied"]).await;
    until(&admin, &format!("{PATH}/jane"), |csr| {
        csr["status"]["certificate"].is_string()
    })
    .await;
    kubectl
        .says("get csr", &["Approved,Issued", "Denied"])
        .await;
    kubectl
        .says("describe csr jane", &["Requesting User:", "admin"])
        .await;
    kubectl
        .says(
            "auth whoami",
            &["admin", "system:masters", "system:authenticated"],
        )
        .await;
    kubectl
        .says("create serviceaccount robot", &["created"])
        .await;
    kubectl
        .says("create token robot --duration=20m", &["eyJ"])
        .await;
    rig.stop().await.close().unwrap();
}
