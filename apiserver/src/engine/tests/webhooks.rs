//! Webhooks over real HTTPS: they allow, refuse, change, keep silent and talk nonsense.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::rig::{Rig, config_map, task};
use crate::user::User;

/// What the server was asked, and answers by path.
struct Hooks {
    url: String,
    ca_bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

fn answer(path: &str, request: &Value) -> Option<Vec<u8>> {
    let patch = |operations: Value| json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string())});
    let mut response = match path {
        "/allow" => json!({"allowed": true, "warnings": ["mind the gap"]}),
        "/deny" => {
            json!({"allowed": false, "status": {"code": 403, "reason": "Forbidden", "message": "not today"}})
        }
        "/label" => patch(json!([
            {"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}},
            {"op": "add", "path": "/spec", "value": {"fields": "nobody knows"}},
            {"op": "replace", "path": "/metadata/uid", "value": "stolen"},
        ])),
        "/count" => {
            let n = request["object"]["data"]["n"]
                .as_str()
                .map_or(0, |n| n.parse().unwrap());
            patch(json!([{"op": "add", "path": "/data/n", "value": (n + 1).to_string()}]))
        }
        "/garbage" => return Some(b"\x00\xffno json".to_vec()),
        "/stranger" => json!({"allowed": true, "uid": "somebody else"}),
        _ => return None,
    };
    if response["uid"].is_null() {
        response["uid"] = request["uid"].clone();
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Some(review.to_string().into())
}

async fn serve(asked: Arc<Mutex<Vec<Value>>>) -> Hooks {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let seen = Arc::clone(&seen);
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let review: Value = serde_json::from_slice(&body).unwrap();
                        seen.lock().unwrap().push(review["request"].clone());
                        match answer(&path, &review["request"]) {
                            Some(bytes) => Ok::<_, std::convert::Infallible>(hyper::Response::new(
                                Full::new(Bytes::from(bytes)),
                            )),
                            None => std::future::pending().await,
                        }
                    }
                });
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Hooks {
        url,
        ca_bundle: STANDARD.encode(made.cert.pem()),
        asked,
    }
}

impl Hooks {
    async fn start() -> Self {
        serve(Arc::default()).await
    }

    fn configuration(&self, kind: &str, name: &str, paths: &[&str], more: &Value) -> Value {
        let hooks = paths.iter().map(|path| {
            let mut hook = json!({
                "name": format!("{path}.example.com").trim_start_matches('/'),
                "clientConfig": {"url": format!("{}{path}", self.url), "caBundle": self.ca_bundle},
                "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 1,
            });
            for (field, value) in more.as_object().unwrap() {
                hook[field] = value.clone();
            }
            hook
        });
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
               "webhooks": hooks.collect::<Vec<_>>()})
    }

    async fn validating(&self, rig: &Rig, paths: &[&str], more: Value) {
        let own = self.configuration("ValidatingWebhookConfiguration", "v", paths, &more);
        rig.create("validatingwebhookconfigurations", own)
            .await
            .unwrap();
    }

    async fn mutating(&self, rig: &Rig, name: &str, paths: &[&str], more: Value) {
        let own = self.configuration("MutatingWebhookConfiguration", name, paths, &more);
        rig.create("mutatingwebhookconfigurations", own)
            .await
            .unwrap();
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[tokio::test]
async fn validating_webhooks_allow_and_refuse() {
    let (rig, hooks) = (Rig::start().await, Hooks::start().await);
    hooks.validating(&rig, &["/allow"], json!({})).await;
    let (_, warnings) = rig.create_warned("configmaps", config_map("a", "1")).await;
    assert_eq!(warnings, ["mind the gap"]);
    let asked = hooks.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["operation"], "CREATE");
    assert_eq!(
        asked[0]["resource"],
        json!({"group": "", "version": "v1", "resource": "configmaps"})
    );
    assert_eq!(asked[0]["object"]["data"], json!({"v": "1"}));
    assert_eq!(asked[0]["userInfo"]["username"], "admin");
    assert_eq!(
        (&asked[0]["oldObject"], &asked[0]["dryRun"]),
        (&Value::Null, &json!(false))
    );
    // Other kinds, and what steers admission, are nobody's business.
    rig.create("tasks", task("t")).await.unwrap();
    rig.delete("validatingwebhookconfigurations", "v", json!({}))
        .await
        .unwrap();
    assert!(hooks.asked().is_empty());
    hooks
        .validating(&rig, &["/allow", "/deny"], json!({}))
        .await;
    for failure in [
        rig.create("configmaps", config_map("b", "1"))
            .await
            .unwrap_err(),
        rig.merge("configmaps", "a", "", json!({"data": {"v": "2"}}))
            .await
            .unwrap_err(),
        rig.delete("configmaps", "a", json!({})).await.unwrap_err(),
        rig.delete_collection("configmaps", "").await.unwrap_err(),
    ] {
        assert_eq!(
            (failure.code(), failure.reason(), failure.message()),
            (
                403,
                "Forbidden",
                "admission webhook \"deny.example.com\" denied the request: not today"
            )
        );
    }
    let operations: Vec<Value> = hooks
        .asked()
        .iter()
        .map(|one| one["operation"].clone())
        .collect();
    assert_eq!(operations.iter().filter(|one| *one == "DELETE").count(), 4);
    // The cluster's own programs go on.
    let mut rig = rig;
    rig.user = User::controllers();
    rig.create("configmaps", config_map("own", "1"))
        .await
        .unwrap();
    assert!(hooks.asked().is_empty());
}

#[tokio::test]
async fn mutating_webhooks_change_what_they_may() {
    let (rig, hooks) = (Rig::start().await, Hooks::start().await);
    hooks
        .mutating(
            &rig,
            "a",
            &["/label"],
            json!({"objectSelector": {"matchLabels": {"app": "x"}}}),
        )
        .await;
    let mut labelled = config_map("a", "1");
    labelled["metadata"]["labels"] = json!({"app": "x"});
    let made = rig.create("configmaps", labelled).await.unwrap();
    assert_eq!(made["metadata"]["labels"], json!({"seen": "yes"}));
    assert!(
        made.get("spec").is_none(),
        "what the schema does not know is dropped"
    );
    assert_ne!(made["metadata"]["uid"], "stolen");
    let plain = rig
        .create("configmaps", config_map("b", "1"))
        .await
        .unwrap();
    assert!(plain["metadata"].get("labels").is_none());
    assert_eq!(hooks.asked().len(), 1);
}

#[tokio::test]
async fn those_who_want_to_see_the_end_are_asked_again() {
    let (rig, hooks) = (Rig::start().await, Hooks::start().await);
    hooks
        .mutating(
            &rig,
            "a",
            &["/count"],
            json!({"reinvocationPolicy": "IfNeeded"}),
        )
        .await;
    hooks.mutating(&rig, "b", &["/count"], json!({})).await;
    let made = rig
        .create("configmaps", config_map("a", "1"))
        .await
        .unwrap();
    assert_eq!(made["data"]["n"], "3");
    assert_eq!(
        hooks.asked().len(),
        3,
        "each question is put once, however often the write is computed"
    );
    let bundle: Vec<Value> = ["c", "d"]
        .map(|name| {
            json!({"apiVersion": "v1", "resource": "configmaps", "namespace": "default", "verb": "create",
                   "body": config_map(name, "1")})
        })
        .into();
    rig.transaction(json!({"operations": bundle}))
        .await
        .unwrap();
    assert_eq!(hooks.asked().len(), 6);
    assert_eq!(rig.get("configmaps", "d").await.unwrap()["data"]["n"], "3");
}

#[tokio::test]
async fn silence_and_nonsense_are_judged_by_the_failure_policy() {
    let expected = BTreeMap::from([
        ("/silent", "context deadline exceeded"),
        (
            "/garbage",
            "received invalid webhook response: couldn't get version/kind",
        ),
        (
            "/stranger",
            "received invalid webhook response: expected response.uid=",
        ),
    ]);
    for (path, text) in expected {
        let (rig, hooks) = (Rig::start().await, Hooks::start().await);
        hooks.validating(&rig, &[path], json!({})).await;
        let failure = rig
            .create("configmaps", config_map("a", "1"))
            .await
            .unwrap_err();
        assert_eq!((failure.code(), failure.reason()), (500, "InternalError"));
        let name = path.trim_start_matches('/');
        let intro =
            format!("Internal error occurred: failed calling webhook \"{name}.example.com\": ");
        assert!(failure.message().starts_with(&intro), "{failure}");
        assert!(failure.message().contains(text), "{failure}");
        let open = json!({"webhooks": [hooks.configuration("", "", &[path], &json!({"failurePolicy": "Ignore"}))["webhooks"][0]]});
        rig.merge("validatingwebhookconfigurations", "v", "", open)
            .await
            .unwrap();
        rig.create("configmaps", config_map("a", "1"))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn conditions_spare_a_webhook() {
    let (rig, hooks) = (Rig::start().await, Hooks::start().await);
    let only =
        json!({"matchConditions": [{"name": "big", "expression": "object.data.v == 'big'"}]});
    hooks.validating(&rig, &["/deny"], only).await;
    rig.create("configmaps", config_map("a", "small"))
        .await
        .unwrap();
    assert!(hooks.asked().is_empty());
    rig.create("configmaps", config_map("b", "big"))
        .await
        .unwrap_err();
    let odd = json!({"webhooks": [hooks.configuration("", "", &["/allow"], &json!({
        "matchConditions": [{"name": "odd", "expression": "object.data.nothing == 'big'"}],
    }))["webhooks"][0]]});
    rig.merge("validatingwebhookconfigurations", "v", "", odd)
        .await
        .unwrap();
    let failure = rig
        .create("configmaps", config_map("c", "1"))
        .await
        .unwrap_err();
    assert!(
        failure.message().starts_with("configmaps \"c\" is forbidden: expression 'object.data.nothing == 'big'' resulted in error: "),
        "{failure}"
    );
}

#[tokio::test]
async fn nobody_there_and_nobody_trusted() {
    let (rig, hooks) = (Rig::start().await, Hooks::start().await);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let foreign = json!({"url": format!("{}/allow", hooks.url), "caBundle": STANDARD.encode(other.cert.pem())});
    hooks
        .validating(&rig, &["/allow"], json!({"clientConfig": foreign}))
        .await;
    let failure = rig
        .create("configmaps", config_map("a", "1"))
        .await
        .unwrap_err();
    assert!(
        failure.message().contains("failed to call webhook: Post"),
        "{failure}"
    );
    assert!(hooks.asked().is_empty());
    // A dry run asks too, and says so.
    rig.delete("validatingwebhookconfigurations", "v", json!({}))
        .await
        .unwrap();
    hooks.validating(&rig, &["/allow"], json!({})).await;
    rig.create_with("configmaps", config_map("a", "1"), "dryRun=All")
        .await
        .unwrap();
    assert_eq!(hooks.asked()[0]["dryRun"], true);
    assert_eq!(rig.get("configmaps", "a").await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn wrong_configurations_are_refused() {
    let rig = Rig::start().await;
    let wrong = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "w"},
        "webhooks": [{
            "name": "short", "sideEffects": "Some", "admissionReviewVersions": ["v1"], "timeoutSeconds": 31,
            "clientConfig": {"url": "http://x/y?z"},
            "rules": [{"operations": ["EAT"], "apiGroups": ["*", "a"], "apiVersions": ["v1"], "resources": []}],
        }, {
            "name": "a.b.c", "sideEffects": "None", "admissionReviewVersions": ["v2"],
            "clientConfig": {"service": {"name": "s", "namespace": "n"}},
        }],
    });
    let failure = rig
        .create("validatingwebhookconfigurations", wrong)
        .await
        .unwrap_err();
    for text in [
        "webhooks[0].name: Invalid value: \"short\": should be a domain with at least three segments separated by dots",
        "webhooks[0].rules[0].operations[0]: Unsupported value: \"EAT\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
        "webhooks[0].rules[0].apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other API groups",
        "webhooks[0].rules[0].resources: Required value",
        "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
        "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        "webhooks[0].clientConfig.url: Invalid value: \"z\": query parameters are not permitted in the URL",
        "webhooks[1].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1",
        "webhooks[1].clientConfig.service: Forbidden: there are no Services here",
    ] {
        assert!(failure.message().contains(text), "{text}\n{failure}");
    }
}
