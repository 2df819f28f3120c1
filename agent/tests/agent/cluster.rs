//! A stand-in for the servers: enough of the API for one agent, over real TLS, with faults on order.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Everything the servers know, and everything that ever changed.
#[derive(Default)]
struct Store {
    version: u64,
    tasks: Vec<Value>,
    history: Vec<(u64, Value)>,
    agent: Option<Value>,
    heartbeats: u64,
    transactions: u64,
}

pub(crate) struct Cluster {
    store: Mutex<Store>,
    changed: watch::Sender<u64>,
    down: AtomicBool,
    /// Transactions that speak of this task are answered with this code.
    refused: Mutex<Option<(String, u16)>>,
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
    ca_pem: String,
    pub(crate) address: SocketAddr,
}

fn names(common: &str, organisation: &str) -> CertificateParams {
    let mut params = CertificateParams::new(["stoa-server".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

impl Cluster {
    pub(crate) async fn start() -> Arc<Self> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test CA");
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = Arc::new(Self {
            store: Mutex::default(),
            changed: watch::Sender::new(0),
            down: AtomicBool::new(false),
            refused: Mutex::default(),
            issuer: Issuer::new(params, key),
            ca: ca.der().clone(),
            ca_pem: ca.pem(),
            address: listener.local_addr().unwrap(),
        });
        tokio::spawn(serve(listener, cluster.clone()));
        cluster
    }

    /// Chain and key of a certificate of this cluster.
    pub(crate) fn issue(
        &self,
        organisation: &str,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let certificate = names("somebody", organisation)
            .signed_by(&key, &self.issuer)
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![certificate.der().clone(), self.ca.clone()], key)
    }

    pub(crate) fn ca(&self) -> CertificateDer<'static> {
        self.ca.clone()
    }

    pub(crate) fn token(&self) -> String {
        let hash: String = Sha256::digest(&self.ca)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        format!(
            "stoa.agent.4000000000.0123456789abcdef.{}.{hash}",
            "ab".repeat(32)
        )
    }

    /// While true every request is answered with 503.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// From now on every report of this task is answered with this code, until there is none.
    pub(crate) fn refuse(&self, refused: Option<(&str, u16)>) {
        *self.refused.lock().unwrap() = refused.map(|(name, code)| (name.to_owned(), code));
    }

    /// Binds a task to the agent, or changes one.
    pub(crate) fn put(&self, name: &str, change: &Value) {
        let mut store = self.store.lock().unwrap();
        let task = match store
            .tasks
            .iter()
            .position(|task| task["metadata"]["name"] == name)
        {
            Some(index) => store.tasks.remove(index),
            None => json!({
                "apiVersion": "stoa.dev/v1", "kind": "Task",
                "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
                "spec": {"framework": "f", "agent": "a1"},
                "status": {"state": "Staging", "attempt": 0},
            }),
        };
        self.commit(&mut store, task, change);
    }

    fn commit(&self, store: &mut Store, mut task: Value, change: &Value) -> Value {
        merge(&mut task, change);
        store.version += 1;
        task["metadata"]["resourceVersion"] = json!(store.version.to_string());
        store.tasks.push(task.clone());
        let event = json!({"type": "MODIFIED", "object": task});
        store.history.push((store.version, event));
        self.changed.send_replace(store.version);
        task
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut store = self.store.lock().unwrap();
        let index = store
            .tasks
            .iter()
            .position(|task| task["metadata"]["name"] == name)
            .unwrap();
        let mut task = store.tasks.remove(index);
        store.version += 1;
        task["metadata"]["resourceVersion"] = json!(store.version.to_string());
        let version = store.version;
        store
            .history
            .push((version, json!({"type": "DELETED", "object": task})));
        self.changed.send_replace(version);
    }

    pub(crate) fn task(&self, name: &str) -> Value {
        let store = self.store.lock().unwrap();
        store
            .tasks
            .iter()
            .find(|task| task["metadata"]["name"] == name)
            .cloned()
            .unwrap()
    }

    /// Every state the task was ever shown in, in order, without repeats.
    pub(crate) fn states(&self, name: &str) -> Vec<String> {
        let store = self.store.lock().unwrap();
        let of_task = store.history.iter().map(|(_, event)| &event["object"]);
        let of_task = of_task.filter(|task| task["metadata"]["name"] == name);
        let mut states: Vec<String> = of_task
            .map(|task| task["status"]["state"].as_str().unwrap().to_owned())
            .collect();
        states.dedup();
        states
    }

    pub(crate) fn agent(&self) -> Option<Value> {
        self.store.lock().unwrap().agent.clone()
    }

    pub(crate) fn heartbeats(&self) -> u64 {
        self.store.lock().unwrap().heartbeats
    }

    pub(crate) fn transactions(&self) -> u64 {
        self.store.lock().unwrap().transactions
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut into[key], value);
        }
    }
}

async fn serve(listener: TcpListener, cluster: Arc<Cluster>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    );
    let (chain, key) = cluster.issue("stoa:servers");
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let router = router(cluster);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(router);
            let _closed = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn router(cluster: Arc<Cluster>) -> Router {
    Router::new()
        .route("/apis/stoa.dev/v1/join", post(join))
        .route("/apis/stoa.dev/v1/tasks", get(tasks))
        .route("/apis/stoa.dev/v1/transactions", post(transaction))
        .route("/apis/stoa.dev/v1/agents", post(create_agent))
        .route(
            "/apis/stoa.dev/v1/agents/{name}",
            get(get_agent).patch(patch_agent),
        )
        .route("/apis/stoa.dev/v1/agents/{name}/status", patch(patch_agent))
        .route("/apis/stoa.dev/v1/agents/{name}/heartbeat", post(heartbeat))
        .layer(from_fn_with_state(cluster.clone(), unless_down))
        .with_state(cluster)
}

async fn unless_down(
    State(cluster): State<Arc<Cluster>>,
    request: Request,
    next: Next,
) -> Response {
    if cluster.down.load(Ordering::SeqCst) {
        return status(503, "down on order");
    }
    next.run(request).await
}

fn status(code: u16, message: &str) -> Response {
    let reason = if code == 404 { "NotFound" } else { "Test" };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

async fn join(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let mut csr =
        CertificateSigningRequestParams::from_pem(request["csr"].as_str().unwrap()).unwrap();
    csr.params = names("stoa:agent:a1", "stoa:agents");
    let certificate = csr.signed_by(&cluster.issuer).unwrap();
    axum::Json(json!({"certificate": certificate.pem(), "ca": cluster.ca_pem})).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    field_selector: String,
    watch: Option<String>,
    resource_version: Option<String>,
}

async fn tasks(State(cluster): State<Arc<Cluster>>, Query(query): Query<ListQuery>) -> Response {
    assert_eq!(query.field_selector, "spec.agent=a1");
    if query.watch.is_none() {
        let store = cluster.store.lock().unwrap();
        let items: Vec<&Value> = store
            .tasks
            .iter()
            .filter(|t| t["spec"]["agent"] == "a1")
            .collect();
        let metadata = json!({"resourceVersion": store.version.to_string()});
        return axum::Json(json!({"apiVersion": "stoa.dev/v1", "kind": "TaskList", "metadata": metadata, "items": items})).into_response();
    }
    let from: u64 = query.resource_version.unwrap().parse().unwrap();
    let changes = cluster.changed.subscribe();
    let stream = futures::stream::unfold(
        (cluster, changes, from),
        |(cluster, mut changes, from)| async move {
            loop {
                changes.borrow_and_update();
                let next = {
                    let store = cluster.store.lock().unwrap();
                    store
                        .history
                        .iter()
                        .find(|(version, _)| *version > from)
                        .cloned()
                };
                if let Some((version, event)) = next {
                    let line = Ok::<_, std::io::Error>(Bytes::from(format!("{event}\n")));
                    return Some((line, (cluster, changes, version)));
                }
                changes.changed().await.ok()?;
            }
        },
    );
    Body::from_stream(stream).into_response()
}

async fn transaction(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut store = cluster.store.lock().unwrap();
    store.transactions += 1;
    let operations = body["operations"].as_array().unwrap();
    if let Some((name, code)) = cluster.refused.lock().unwrap().clone()
        && operations.iter().any(|operation| operation["name"] == name)
    {
        return status(code, "refused on order");
    }
    for operation in operations {
        assert_eq!(
            (&operation["verb"], &operation["subresource"]),
            (&json!("patch"), &json!("status"))
        );
        let wanted = &operation["body"]["metadata"];
        let present = store
            .tasks
            .iter()
            .find(|task| task["metadata"]["name"] == operation["name"]);
        let Some(present) = present else {
            return status(404, "there is no such task");
        };
        if present["metadata"]["uid"] != wanted["uid"] {
            return status(404, "that task is gone");
        }
        if present["metadata"]["resourceVersion"] != wanted["resourceVersion"] {
            return status(409, "the task has been modified");
        }
    }
    let mut results = Vec::new();
    for operation in operations {
        let index = store
            .tasks
            .iter()
            .position(|task| task["metadata"]["name"] == operation["name"]);
        let task = store.tasks.remove(index.unwrap());
        results.push(cluster.commit(
            &mut store,
            task,
            &json!({"status": operation["body"]["status"]}),
        ));
    }
    let answer = json!({"apiVersion": "stoa.dev/v1", "kind": "TransactionResult", "revision": store.version.to_string(), "results": results});
    axum::Json(answer).into_response()
}

async fn create_agent(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let agent: Value = serde_json::from_slice(&body).unwrap();
    cluster.store.lock().unwrap().agent = Some(agent.clone());
    axum::Json(agent).into_response()
}

async fn get_agent(State(cluster): State<Arc<Cluster>>, Path(_): Path<String>) -> Response {
    cluster.agent().map_or_else(
        || status(404, "no such agent"),
        |agent| axum::Json(agent).into_response(),
    )
}

async fn patch_agent(State(cluster): State<Arc<Cluster>>, body: Bytes) -> Response {
    let mut store = cluster.store.lock().unwrap();
    let agent = store.agent.as_mut().unwrap();
    merge(agent, &serde_json::from_slice(&body).unwrap());
    axum::Json(agent.clone()).into_response()
}

async fn heartbeat(State(cluster): State<Arc<Cluster>>) -> Response {
    cluster.store.lock().unwrap().heartbeats += 1;
    axum::Json(json!({"servers": [format!("https://{}", cluster.address)]})).into_response()
}
