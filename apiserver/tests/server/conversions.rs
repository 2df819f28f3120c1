//! Two versions of a kind that differ, and a webhook over real HTTPS that converts between them:
//! `v1` has `spec.host` and `spec.port`, `v2` has `spec.address`.

use std::convert::Infallible;
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

use crate::rig::{Rig, raw};
use crate::watches::Lines;

const V1: &str = "/apis/example.com/v1/namespaces/default/doors";
const V2: &str = "/apis/example.com/v2/namespaces/default/doors";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const JSON: (&str, &str) = ("content-type", "application/json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const APPLY: (&str, &str) = ("content-type", "application/apply-patch+yaml");

type Spoil = fn(&mut Value);

/// What the webhook was asked for, and what it does to answers.
#[derive(Default)]
struct State {
    asked: Vec<(String, usize)>,
    spoil: Option<Spoil>,
}

#[derive(Clone)]
struct Converter {
    url: String,
    ca_bundle: String,
    state: Arc<Mutex<State>>,
}

fn convert(mut object: Value, to: &str) -> Value {
    let spec = object["spec"].take();
    object["spec"] = match to {
        "example.com/v2" => {
            let word = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
            json!({"address": format!("{}:{}", word("host"), word("port")), "odd": true})
        }
        _ => {
            let (host, port) = spec["address"]
                .as_str()
                .unwrap_or(":")
                .split_once(':')
                .unwrap();
            json!({"host": host, "port": port})
        }
    };
    object["apiVersion"] = to.into();
    object["metadata"]["annotations"] = json!({"converted-to": to});
    object["metadata"]["generation"] = 99.into();
    object
}

impl Converter {
    fn answer(&self, body: &[u8]) -> Vec<u8> {
        let review: Value = serde_json::from_slice(body).unwrap();
        let request = &review["request"];
        let to = request["desiredAPIVersion"].as_str().unwrap();
        let objects = request["objects"].as_array().unwrap();
        let converted: Vec<Value> = objects.iter().map(|one| convert(one.clone(), to)).collect();
        let mut answer = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "response": {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": converted},
        });
        let mut state = self.state.lock().unwrap();
        state.asked.push((to.to_owned(), objects.len()));
        if let Some(spoil) = state.spoil {
            spoil(&mut answer);
        }
        answer.to_string().into()
    }

    async fn start() -> Self {
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
        let converter = Self {
            url: format!(
                "https://localhost:{}/convert",
                listener.local_addr().unwrap().port()
            ),
            ca_bundle: STANDARD.encode(made.cert.pem()),
            state: Arc::default(),
        };
        let served = converter.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(served.clone().serve(acceptor.clone(), socket));
            }
        });
        converter
    }

    async fn serve(self, acceptor: tokio_rustls::TlsAcceptor, socket: tokio::net::TcpStream) {
        let Ok(stream) = acceptor.accept(socket).await else {
            return;
        };
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let this = self.clone();
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let answer = Full::new(Bytes::from(this.answer(&body)));
                Ok::<_, Infallible>(hyper::Response::new(answer))
            }
        });
        let http = hyper::server::conn::http1::Builder::new();
        let _ended = http.serve_connection(TokioIo::new(stream), service).await;
    }

    fn asked(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn spoil(&self, how: Option<Spoil>) {
        self.state.lock().unwrap().spoil = how;
    }

    fn definition(&self) -> Value {
        let text = json!({"type": "string"});
        let version = |name: &str, spec: Value| {
            json!({"name": name, "served": true, "storage": name == "v1", "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}}})
        };
        let client = json!({"url": self.url, "caBundle": self.ca_bundle});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "doors.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "doors", "kind": "Door"},
                "versions": [version("v1", json!({"host": text, "port": text})), version("v2", json!({"address": text}))],
                "conversion": {"strategy": "Webhook",
                               "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}},
            },
        })
    }
}

fn door(version: &str, name: &str, spec: &Value) -> String {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Door",
           "metadata": {"name": name}, "spec": spec})
    .to_string()
}

async fn ready() -> (Rig, kube::Client, Converter) {
    let (rig, converter) = (Rig::start().await, Converter::start().await);
    let client = rig.admin().await;
    let body = converter.definition().to_string();
    let (code, answer) = raw(&client, "POST", DEFINITIONS, &[JSON], body).await;
    assert_eq!(code, 201, "{answer}");
    (rig, client, converter)
}

async fn get(client: &kube::Client, path: &str) -> Value {
    let (code, answer) = raw(client, "GET", path, &[], "").await;
    assert_eq!(code, 200, "{answer}");
    answer
}

async fn send(
    client: &kube::Client,
    method: &str,
    path: &str,
    media: (&str, &str),
    body: String,
) -> Value {
    let (code, answer) = raw(client, method, path, &[media], body).await;
    assert!(code < 300, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_written_and_read_in_either_version() {
    let (rig, client, converter) = ready().await;
    let made = send(
        &client,
        "POST",
        V2,
        JSON,
        door("v2", "a", &json!({"address": "h:1"})),
    )
    .await;
    assert_eq!(
        (&made["apiVersion"], &made["spec"]),
        (&json!("example.com/v2"), &json!({"address": "h:1"}))
    );
    assert_eq!(made["metadata"]["generation"], 1);
    converter.asked();
    let stored = get(&client, &format!("{V1}/a")).await;
    assert_eq!(stored["spec"], json!({"host": "h", "port": "1"}));
    assert_eq!(
        converter.asked(),
        [],
        "what is stored as asked for needs nobody"
    );

    send(
        &client,
        "POST",
        V1,
        JSON,
        door("v1", "b", &json!({"host": "g", "port": "2"})),
    )
    .await;
    send(
        &client,
        "POST",
        V1,
        JSON,
        door("v1", "c", &json!({"host": "f", "port": "3"})),
    )
    .await;
    assert_eq!(converter.asked(), []);
    lists(&client, &converter).await;
    writes(&client).await;
    deletes(&client, &converter).await;
    rig.stop().await;
}

async fn lists(client: &kube::Client, converter: &Converter) {
    let list = get(client, V2).await;
    let items = list["items"].as_array().unwrap();
    let addresses: Vec<&Value> = items.iter().map(|one| &one["spec"]).collect();
    assert_eq!(
        addresses,
        [
            &json!({"address": "h:1"}),
            &json!({"address": "g:2"}),
            &json!({"address": "f:3"})
        ]
    );
    assert!(
        items
            .iter()
            .all(|one| one["apiVersion"] == "example.com/v2")
    );
    assert_eq!(
        items[1]["metadata"]["annotations"]["converted-to"],
        "example.com/v2"
    );
    assert_eq!(
        items[1]["metadata"]["generation"], 1,
        "metadata is not the webhook's"
    );
    assert_eq!(
        converter.asked(),
        [("example.com/v2".to_owned(), 3)],
        "one call for the list"
    );
}

/// Patches, applies and updates in the version that is not stored.
async fn writes(client: &kube::Client) {
    let patch = json!({"spec": {"address": "g:7"}}).to_string();
    let patched = send(client, "PATCH", &format!("{V2}/b"), MERGE, patch).await;
    assert_eq!(patched["spec"]["address"], "g:7");
    let stored = get(client, &format!("{V1}/b")).await;
    assert_eq!(
        (&stored["spec"]["port"], &stored["metadata"]["generation"]),
        (&json!("7"), &json!(2))
    );

    let path = format!("{V2}/c?fieldManager=me&force=true");
    let applied = send(
        client,
        "PATCH",
        &path,
        APPLY,
        door("v2", "c", &json!({"address": "e:4"})),
    )
    .await;
    assert_eq!(applied["spec"]["address"], "e:4");
    let mut whole = get(client, &format!("{V2}/c")).await;
    whole["spec"]["address"] = "e:5".into();
    let updated = send(client, "PUT", &format!("{V2}/c"), JSON, whole.to_string()).await;
    assert_eq!(updated["spec"]["address"], "e:5");
    assert_eq!(get(client, &format!("{V1}/c")).await["spec"]["port"], "5");
    let dry = format!("{V2}/c?dryRun=All");
    let patch = json!({"spec": {"address": "e:6"}}).to_string();
    assert_eq!(
        send(client, "PATCH", &dry, MERGE, patch).await["spec"]["address"],
        "e:6"
    );
}

async fn deletes(client: &kube::Client, converter: &Converter) {
    converter.asked();
    let gone = send(client, "DELETE", V2, JSON, String::new()).await;
    assert_eq!(gone["items"][0]["spec"], json!({"address": "h:1"}));
    // Once to look at them, and once to show them.
    let all = ("example.com/v2".to_owned(), 3);
    assert_eq!(converter.asked(), [all.clone(), all]);
    assert_eq!(get(client, V1).await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_convert_and_end_when_that_fails() {
    let (rig, client, converter) = ready().await;
    send(
        &client,
        "POST",
        V1,
        JSON,
        door("v1", "a", &json!({"host": "h", "port": "1"})),
    )
    .await;
    let begin = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = Lines::open(&client, &format!("{V2}?watch=true&{begin}")).await;
    let added = watch.next().await.unwrap();
    assert_eq!(
        (&added["type"], &added["object"]["spec"]),
        (&json!("ADDED"), &json!({"address": "h:1"}))
    );
    let mark = watch.next().await.unwrap();
    assert_eq!(
        (&mark["type"], &mark["object"]["apiVersion"]),
        (&json!("BOOKMARK"), &json!("example.com/v2"))
    );
    assert_eq!(
        mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    let patch = json!({"spec": {"port": "2"}}).to_string();
    let patched = send(&client, "PATCH", &format!("{V1}/a"), MERGE, patch).await;
    let modified = watch.next().await.unwrap();
    assert_eq!(
        (&modified["type"], &modified["object"]["spec"]),
        (&json!("MODIFIED"), &json!({"address": "h:2"}))
    );
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&modified["object"]), version(&patched));
    let path = format!(
        "{V2}?watch=true&resourceVersion={}",
        version(&added["object"]).as_str().unwrap()
    );
    let mut resumed = Lines::open(&client, &path).await;
    assert_eq!(resumed.next().await.unwrap(), modified);

    converter.spoil(Some(|answer| {
        answer["response"]["result"] = json!({"status": "Failed", "message": "no idea"});
    }));
    let patch = json!({"spec": {"port": "3"}}).to_string();
    send(&client, "PATCH", &format!("{V1}/a"), MERGE, patch).await;
    let error = watch.next().await.unwrap();
    let text = "conversion webhook for example.com/v1, Kind=Door failed: no idea";
    assert_eq!(
        (&error["type"], &error["object"]["message"]),
        (&json!("ERROR"), &json!(text))
    );
    assert_eq!(watch.next().await, None);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_is_quoted_and_nothing_is_written() {
    const WHO: &str = "conversion webhook for example.com/v1, Kind=Door ";
    let (rig, client, converter) = ready().await;
    send(
        &client,
        "POST",
        V1,
        JSON,
        door("v1", "a", &json!({"host": "h", "port": "1"})),
    )
    .await;
    let spoilt: [(Spoil, &str); 4] = [
        (
            |answer| answer["response"] = Value::Null,
            "failed: no response provided",
        ),
        (
            |answer| answer["response"]["convertedObjects"] = json!([]),
            "returned 0 objects, expected 1",
        ),
        (
            |answer| answer["response"]["convertedObjects"][0]["metadata"]["name"] = "z".into(),
            "returned invalid object: must have the same name: a != z",
        ),
        (
            |answer| {
                answer["response"]["convertedObjects"][0]["apiVersion"] = "example.com/v3".into()
            },
            "returned invalid object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v3)",
        ),
    ];
    for (spoil, text) in spoilt {
        converter.spoil(Some(spoil));
        let (code, answer) = raw(&client, "GET", &format!("{V2}/a"), &[], "").await;
        assert_eq!(
            (code, &answer["message"]),
            (500, &json!(format!("{WHO}{text}")))
        );
        assert_eq!(answer.get("reason"), None, "{answer}");
    }
    let (code, _) = raw(
        &client,
        "POST",
        V2,
        &[JSON],
        door("v2", "b", &json!({"address": "g:1"})),
    )
    .await;
    assert_eq!(code, 500);
    let patch = json!({"spec": {"address": "h:9"}}).to_string();
    let (code, _) = raw(&client, "PATCH", &format!("{V2}/a"), &[MERGE], patch).await;
    assert_eq!(code, 500);
    let list = get(&client, V1).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["spec"]["port"], "1");
    rig.stop().await;
}

/// What is put in the place of a part of the definition's webhook, and what is said of it.
fn wrong_names() -> [(&'static str, Value, &'static str); 8] {
    [
        (
            "/clientConfig",
            json!({"service": {"name": "s", "namespace": "n"}}),
            "spec.conversion.webhookClientConfig.service: Forbidden: there are no Services here",
        ),
        (
            "/clientConfig",
            json!({}),
            "spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required",
        ),
        (
            "/clientConfig",
            Value::Null,
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
        (
            "/clientConfig/url",
            json!("http://a"),
            "spec.conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme",
        ),
        (
            "/clientConfig/caBundle",
            json!("?"),
            "spec.conversion.webhookClientConfig.caBundle: Invalid value: unable to load root certificates",
        ),
        (
            "/conversionReviewVersions",
            json!([]),
            "spec.conversion.conversionReviewVersions: Required value",
        ),
        (
            "/conversionReviewVersions",
            json!(["v1beta1"]),
            "spec.conversion.conversionReviewVersions: Invalid value: [\"v1beta1\"]: must include at least one of v1",
        ),
        (
            "/conversionReviewVersions",
            json!(["v1", "v1"]),
            "spec.conversion.conversionReviewVersions[1]: Invalid value: \"v1\": duplicate version",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_webhook_may_be_named() {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let converter = Converter {
        url: "https://localhost:1/convert".into(),
        ca_bundle: String::new(),
        state: Arc::default(),
    };
    let good = converter.definition();
    for (path, value, text) in wrong_names() {
        let mut definition = good.clone();
        *definition
            .pointer_mut(&format!("/spec/conversion/webhook{path}"))
            .unwrap() = value;
        let (code, answer) = raw(
            &client,
            "POST",
            DEFINITIONS,
            &[JSON],
            definition.to_string(),
        )
        .await;
        let message = answer["message"].as_str().unwrap();
        assert!(code == 422 && message.contains(text), "{message}");
    }
    let mut definition = good;
    definition["spec"]["conversion"]["strategy"] = "None".into();
    let (_, answer) = raw(
        &client,
        "POST",
        DEFINITIONS,
        &[JSON],
        definition.to_string(),
    )
    .await;
    let text = "spec.conversion.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook";
    assert!(
        answer["message"].as_str().unwrap().contains(text),
        "{answer}"
    );
    rig.stop().await;
}
