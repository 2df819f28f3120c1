//! A store of one replica in a temporary directory, an engine over it, and short names for calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Bootstrap, Limits, Options, PeerTls, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::authorize::Policy;
use crate::bootstrap::ensure_system_objects;
use crate::call::{Annotations, Body, Call, List, Media, Reply, TransactionCall, Verb};
use crate::engine::Engine;
use crate::object;
use crate::params::Params;
use crate::pki::{self, Authority, Subject};
use crate::status::Failure;
use crate::user::{MASTERS, User};

/// An engine to try things on.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(super) user: User,
    seeds: AtomicU64,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A page, with its names at hand.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) remaining: Option<u64>,
    pub(super) continue_: Option<String>,
    pub(super) revision: u64,
    names: Vec<String>,
}

impl Page {
    pub(super) fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}

impl From<List> for Page {
    fn from(list: List) -> Self {
        let name = |item: &store::Item| crate::keys::parse(&item.key).unwrap().name.to_owned();
        let names = list.items.iter().map(name).collect();
        Self {
            remaining: list.remaining,
            continue_: list.continue_,
            revision: list.revision,
            names,
        }
    }
}

pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:10.25Z".parse().unwrap()
}

pub(super) fn json_body(value: &Value) -> Body {
    Body {
        bytes: value.to_string().into(),
        media: Media::Json,
    }
}

pub(super) fn task(name: &str) -> Value {
    json!({
        "apiVersion": "stoa.dev/v1", "kind": "Task", "metadata": {"name": name},
        "spec": {"framework": "f", "command": ["true"], "resources": {"cpus": "0.5"}},
    })
}

pub(super) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}})
}

async fn store(directory: &std::path::Path, stop: &CancellationToken, limits: Limits) -> Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let now_s = u64::try_from(Timestamp::now().as_second()).unwrap();
    let authority = Authority::create(now_s).unwrap();
    let sans = ["127.0.0.1".to_owned(), store::PEER_SERVER_NAME.to_owned()];
    let pair = authority
        .issue(&Subject::Server("a".into()), &sans, now_s)
        .unwrap();
    let tls = PeerTls {
        server: Arc::new(pki::peer_server(&authority, &pair).unwrap()),
        client: Arc::new(pki::peer_client(&authority, &pair).unwrap()),
    };
    let options = Options {
        name: "a".into(),
        data_dir: directory.to_owned(),
        peer_listener: listener,
        peer_addr: address.clone(),
        api_addr: "127.0.0.1:1".into(),
        bootstrap: Bootstrap::Static {
            initial: vec![("a".into(), address)],
        },
        tls,
        limits,
        faults: store::Faults::default(),
    };
    let (store, service) = Store::start(options).await.unwrap();
    tokio::spawn(service.run(stop.clone()));
    store
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub(super) async fn start_with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let store = store(directory.path(), &stop, limits).await;
        let engine = Engine::new(store, Policy::open());
        ensure_system_objects(&engine, now(), 1).await.unwrap();
        let user = User::new("admin", MASTERS);
        Self {
            engine,
            user,
            seeds: AtomicU64::new(2),
            stop,
            _directory: directory,
        }
    }

    fn seed(&self) -> u128 {
        u128::from(self.seeds.fetch_add(1, Ordering::Relaxed))
    }

    /// A POST, unless `adjust` makes something else of it.
    pub(super) async fn call(
        &self,
        plural: &str,
        namespace: Option<&str>,
        adjust: impl FnOnce(&mut Call),
    ) -> Result<Reply, Failure> {
        let registry = self.engine.registry();
        let resource = Arc::clone(registry.iter().find(|d| d.plural == plural).unwrap());
        let mut call = Call {
            verb: Verb::Create,
            namespace: namespace.filter(|_| resource.namespaced).map(String::from),
            resource,
            name: None,
            subresource: None,
            params: Params::default(),
            user: self.user.clone(),
            body: Body::default(),
            now: now(),
            seed: self.seed(),
            annotations: Annotations::default(),
        };
        adjust(&mut call);
        self.engine.call(call).await
    }

    pub(super) async fn object(
        &self,
        plural: &str,
        adjust: impl FnOnce(&mut Call),
    ) -> Result<Value, Failure> {
        self.call(plural, Some("default"), adjust)
            .await
            .map(|reply| value(reply).0)
    }

    pub(super) async fn create(&self, plural: &str, object: Value) -> Result<Value, Failure> {
        self.object(plural, |call| call.body = json_body(&object))
            .await
    }

    pub(super) async fn create_with(
        &self,
        plural: &str,
        object: Value,
        query: &str,
    ) -> Result<(Value, Vec<String>), Failure> {
        let reply = self.call(plural, Some("default"), |call| {
            call.params = Params::parse(query).unwrap();
            call.body = json_body(&object);
        });
        reply.await.map(value)
    }

    pub(super) async fn create_warned(&self, plural: &str, object: Value) -> (Value, Vec<String>) {
        self.create_with(plural, object, "").await.unwrap()
    }

    pub(super) async fn create_bytes(
        &self,
        plural: &str,
        bytes: &'static [u8],
        query: &str,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.params = Params::parse(query).unwrap();
            call.body = Body {
                bytes: Bytes::from_static(bytes),
                media: Media::Json,
            };
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn get(&self, plural: &str, name: &str) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.verb = Verb::Get;
            call.name = Some(name.into());
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn update(&self, plural: &str, object: Value) -> Result<Value, Failure> {
        self.put(plural, "", object).await
    }

    pub(super) async fn put(
        &self,
        plural: &str,
        subresource: &str,
        object: Value,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.verb = Verb::Update;
            call.name = object["metadata"]["name"].as_str().map(String::from);
            call.subresource = Some(subresource.into());
            call.body = json_body(&object);
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn merge(
        &self,
        plural: &str,
        name: &str,
        subresource: &str,
        patch: Value,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.verb = Verb::Patch;
            call.name = Some(name.into());
            call.subresource = Some(subresource.into());
            call.body = Body {
                bytes: patch.to_string().into(),
                media: Media::MergePatch,
            };
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn patch(
        &self,
        plural: &str,
        name: &str,
        kind: &str,
        patch: &Value,
    ) -> Result<Value, Failure> {
        let media = match kind {
            "json-patch" => Media::JsonPatch,
            "strategic" => Media::StrategicMerge,
            _ => Media::MergePatch,
        };
        let adjust = |call: &mut Call| {
            call.verb = Verb::Patch;
            call.name = Some(name.into());
            call.body = Body {
                bytes: patch.to_string().into(),
                media,
            };
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn delete(
        &self,
        plural: &str,
        name: &str,
        options: Value,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.verb = Verb::Delete;
            call.name = Some(name.into());
            call.body = json_body(&options);
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn delete_collection(
        &self,
        plural: &str,
        query: &str,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.verb = Verb::DeleteCollection;
            call.params = Params::parse(query).unwrap();
        };
        self.object(plural, adjust).await
    }

    pub(super) async fn list(&self, plural: &str, query: &str) -> Result<Page, Failure> {
        let reply = self.call(plural, Some("default"), |call| {
            call.verb = Verb::List;
            call.params = Params::parse(query).unwrap();
        });
        match reply.await? {
            Reply::List(list) => Ok(list.into()),
            Reply::Object { .. } | Reply::Status { .. } | Reply::Encoded { .. } => {
                panic!("no list")
            }
        }
    }

    /// POST of `offers/NAME/accept` or `decline`.
    pub(super) async fn answer_offer(
        &self,
        name: &str,
        how: &str,
        body: Value,
    ) -> Result<Value, Failure> {
        let adjust = |call: &mut Call| {
            call.name = Some(name.into());
            call.subresource = Some(how.into());
            call.body = json_body(&body);
        };
        self.object("offers", adjust).await
    }

    pub(super) async fn transaction(&self, bundle: Value) -> Result<Value, Failure> {
        self.transaction_as(self.user.clone(), bundle).await
    }

    pub(super) async fn transaction_as(&self, user: User, bundle: Value) -> Result<Value, Failure> {
        let mut bundle = bundle;
        bundle["apiVersion"] = json!("stoa.dev/v1");
        bundle["kind"] = json!("Transaction");
        let call = TransactionCall {
            user,
            body: json_body(&bundle),
            params: Params::default(),
            now: now(),
            seed: self.seed(),
            annotations: Annotations::default(),
        };
        self.engine
            .transaction(call)
            .await
            .map(|reply| value(reply).0)
    }
}

fn value(reply: Reply) -> (Value, Vec<String>) {
    match reply {
        Reply::Object {
            object, warnings, ..
        } => (object.to_value(), warnings),
        Reply::Status { status, .. } => (status, Vec::new()),
        Reply::Encoded { json, warnings, .. } => (serde_json::from_slice(&json).unwrap(), warnings),
        Reply::List(list) => (
            list.items
                .iter()
                .map(object::decode)
                .collect::<Vec<_>>()
                .into(),
            Vec::new(),
        ),
    }
}
