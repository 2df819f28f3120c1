//! Replicas in one process, over real TLS on loopback, in temporary directories.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by the tests and the bench, each of which uses a part"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::{
    Bootstrap, Guard, Limits, NodeId, Op, Options, PeerTls, Service, StartError, Status, Store,
    Txn, TxnOutcome,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bound of every wait; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate authority for one test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// Both sides of mutual TLS under one certificate with this name.
    pub(crate) fn tls(&self, name: &str) -> PeerTls {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&roots),
            Arc::clone(&provider),
        )
        .build()
        .unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        PeerTls {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }
}

/// A running replica.
pub(crate) struct Replica {
    pub(crate) store: Store,
    run: JoinHandle<Result<(), store::TxnError>>,
    stop: CancellationToken,
}

impl Replica {
    pub(crate) fn run(store: Store, service: Service) -> Self {
        let stop = CancellationToken::new();
        Self {
            store,
            run: tokio::spawn(service.run(stop.clone())),
            stop,
        }
    }

    /// Ends as a crash would: nothing is handed over or flushed.
    pub(crate) async fn kill(self) {
        self.run.abort();
        self.run.await.ok();
    }

    /// What the service says once it has stopped by itself.
    pub(crate) async fn ended(self) -> Result<(), store::TxnError> {
        tokio::time::timeout(PATIENCE, self.run)
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn shutdown(self) {
        self.stop.cancel();
        self.run.await.unwrap().unwrap();
    }
}

/// Names, directories and addresses of a cluster's replicas.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) authority: Authority,
    pub(crate) limits: Limits,
    pub(crate) initial: Vec<(String, String)>,
}

impl Cluster {
    pub(crate) async fn new(names: &[&str]) -> Self {
        let mut initial = Vec::new();
        for name in names {
            // A port that was just free; replicas keep theirs across restarts.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            initial.push((
                (*name).to_owned(),
                listener.local_addr().unwrap().to_string(),
            ));
        }
        let limits = Limits {
            checkpoint_entries: 40,
            keep_entries: 5,
            reserve_bytes: 1 << 20,
            resident_bytes: 0,
            ..Limits::default()
        };
        Self {
            dir: TempDir::new().unwrap(),
            authority: Authority::new(),
            limits,
            initial,
        }
    }

    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn addr(&self, name: &str) -> &str {
        &self
            .initial
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
    }

    pub(crate) fn static_bootstrap(&self) -> Bootstrap {
        Bootstrap::Static {
            initial: self.initial.clone(),
        }
    }

    pub(crate) async fn options(&self, name: &str, bootstrap: Bootstrap) -> Options {
        let peer_addr = self.addr(name).to_owned();
        Options {
            name: name.to_owned(),
            data_dir: self.data_dir(name),
            peer_listener: bind(&peer_addr).await,
            api_addr: format!("api-{name}:7443"),
            peer_addr,
            bootstrap,
            tls: self.authority.tls(store::PEER_SERVER_NAME),
            limits: self.limits.clone(),
            faults: store::Faults::default(),
        }
    }

    pub(crate) async fn try_start(
        &self,
        name: &str,
        bootstrap: Bootstrap,
    ) -> Result<Replica, StartError> {
        let options = self.options(name, bootstrap).await;
        let (store, service) = Store::start(options).await?;
        Ok(Replica::run(store, service))
    }

    pub(crate) async fn start(&self, name: &str) -> Replica {
        // A killed replica's files are free a moment after its task is gone.
        until("the data directory is free", async || {
            match self.try_start(name, self.static_bootstrap()).await {
                Err(StartError::InUse { .. }) => None,
                other => Some(other),
            }
        })
        .await
        .unwrap()
    }

    pub(crate) async fn start_all(&self) -> Vec<Replica> {
        futures::future::join_all(self.initial.iter().map(|(name, _)| self.start(name))).await
    }

    /// Deletes the data directory, has the cluster announce the member anew, and starts it.
    pub(crate) async fn replace(&self, name: &str, through: &Store) -> (NodeId, Replica) {
        std::fs::remove_dir_all(self.data_dir(name)).unwrap();
        self.join(name, through).await
    }

    /// Has the cluster announce the member, and starts it.
    pub(crate) async fn join(&self, name: &str, through: &Store) -> (NodeId, Replica) {
        let (node_id, bootstrap) = self.announce(name, through).await;
        (node_id, self.try_start(name, bootstrap).await.unwrap())
    }

    /// Has the cluster announce the member: its id, and how it is to be started.
    pub(crate) async fn announce(&self, name: &str, through: &Store) -> (NodeId, Bootstrap) {
        let member = store::NewMember {
            name: name.to_owned(),
            peer_addr: self.addr(name).to_owned(),
            api_addr: format!("api-{name}:7443"),
        };
        let node_id = through.add_member(member).await.unwrap();
        let peers = self.initial.iter().map(|(_, addr)| addr.clone()).collect();
        let bootstrap = Bootstrap::Join {
            node_id,
            cluster_id: through.cluster_id(),
            peers,
        };
        (node_id, bootstrap)
    }
}

async fn bind(addr: &str) -> TcpListener {
    until("the port is free", async || {
        TcpListener::bind(addr).await.ok()
    })
    .await
}

/// Waits for a level.
pub(crate) async fn until<T>(what: &str, mut reached: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = reached().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Puts a hundred keys and more, until the log no longer begins at its beginning: who joins then needs the state.
pub(crate) async fn put_until_purged(store: &Store) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for n in 0.. {
        must_put(store, format!("k{:03}", n % 100), vec![1; 2000]).await;
        if n >= 100 && is_purged(store) {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the log was never purged"
        );
    }
}

fn is_purged(store: &Store) -> bool {
    figure(store, "log_purged_index") > 0
}

/// What the store's metric of this name, without its prefix, says.
pub(crate) fn figure(store: &Store, name: &str) -> u64 {
    let mut registry = prometheus_client::registry::Registry::default();
    store.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let start = format!("stoa_store_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap().parse().unwrap()
}

pub(crate) fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Txn {
    txn(
        vec![],
        vec![Op::Put {
            key: key.into(),
            value: value.into(),
        }],
    )
}

pub(crate) fn txn(guards: Vec<Guard>, ops: Vec<Op>) -> Txn {
    Txn {
        request_id: 0,
        stamp_ms: 1,
        guards,
        ops,
    }
}

pub(crate) async fn must_put(store: &Store, key: impl Into<Bytes>, value: impl Into<Bytes>) -> u64 {
    match store.txn(put(key, value)).await.unwrap() {
        TxnOutcome::Applied { revision, .. } => revision,
        refused @ TxnOutcome::Refused { .. } => panic!("{refused:?}"),
    }
}

/// Waits until all replicas applied the same index with the same digest and revision.
pub(crate) async fn converged(stores: &[&Store]) -> Status {
    until("all replicas are equal", async || {
        let all: Vec<Status> = stores.iter().map(|store| store.status()).collect();
        let key = |status: &Status| (status.applied_index, status.revision, status.digest);
        all.iter()
            .all(|status| key(status) == key(&all[0]))
            .then(|| all[0].clone())
    })
    .await
}

pub(crate) async fn leader(replicas: &[Replica]) -> usize {
    until("one replica leads", async || {
        replicas
            .iter()
            .position(|replica| replica.store.leadership().borrow().is_local)
    })
    .await
}

pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
