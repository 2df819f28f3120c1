//! What every request can reach.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use store::{LeaderHandler, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::body::Intake;
use super::identity::Identities;
use super::logs;
use super::turns::Turns;
use super::warden::Warden;
use crate::discovery;
use crate::engine::Engine;
use crate::fair::Shape;
use crate::heartbeats::{Ask, Heartbeats};
use crate::hub::Hub;
use crate::members;
use crate::openapi::{self, Document};
use crate::pki::Authority;
use crate::rate::Rate;

/// Sizes and times of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Body of a request; Kubernetes' own limit.
    pub body_bytes: usize,
    /// Body of a transaction.
    pub transaction_bytes: usize,
    /// Bodies of all requests in work, together; small ones are not counted.
    pub bodies_bytes: usize,
    /// A body waits this long for room among the others.
    pub bodies_wait: Duration,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// Connections of one address that have not shown yet who they are; further ones are closed.
    pub strangers: usize,
    /// Requests in work at once, watches and logs aside, how many of them one user may have, and how
    /// many may wait for their turn; further ones are told to come back.
    pub requests: Shape,
    /// A request waits at most this long for its turn.
    pub turn: Duration,
    /// Watches open at once, in all and of one user.
    pub watches: usize,
    /// Of one user.
    pub user_watches: usize,
    /// How fast one user may ask; none: as fast as it can.
    pub rate: Option<Rate>,
    /// A TLS handshake takes at most this long.
    pub handshake: Duration,
    /// The head of a request takes at most this long. Also how long a connection may do nothing, and
    /// how long a client may take nothing of what it is sent.
    pub head: Duration,
    /// The body of a request takes at most this long.
    pub body: Duration,
    /// Any request but a watch or a log takes at most this long.
    pub request: Duration,
    /// Open connections get this long to finish at shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 3 << 20,
            transaction_bytes: 16 << 20,
            bodies_bytes: 256 << 20,
            bodies_wait: Duration::from_secs(5),
            // Thousands of agents hold one or two each.
            connections: 16_384,
            // A quarter of them: even thousands of agents behind one address that all come at once are
            // strangers only while they shake hands.
            strangers: 4_096,
            // More at once only makes each slower; what waits is taken in turn.
            requests: Shape {
                seats: 768,
                flow_seats: 512,
                waiting: 16_384,
                flow_waiting: 2_048,
            },
            turn: Duration::from_secs(15),
            watches: 200_000,
            user_watches: 20_000,
            rate: None,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(60),
            body: Duration::from_secs(30),
            request: Duration::from_secs(60),
            drain: Duration::from_secs(5),
        }
    }
}

/// Watches never wait for a seat: they are let in, or told to come back.
fn watches(limits: &Limits) -> Shape {
    Shape {
        seats: limits.watches,
        flow_seats: limits.user_watches,
        waiting: 0,
        flow_waiting: 0,
    }
}

/// What every request can reach.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) engine: Engine,
    pub(crate) hub: Hub,
    pub(crate) authority: Authority,
    pub(crate) identities: Identities,
    /// `host:port` clients reach this server at.
    pub(crate) address: String,
    pub(crate) limits: Limits,
    pub(crate) audit: Option<Arc<Audit>>,
    pub(crate) requests: Arc<Turns>,
    pub(crate) watches: Arc<Turns>,
    pub(crate) warden: Warden,
    pub(crate) intake: Intake,
    pub(crate) agents: logs::Client,
    pub(crate) shutdown: CancellationToken,
    documents: Mutex<Option<Arc<Documents>>>,
    servers: tokio::sync::Mutex<Option<(Instant, Vec<String>)>>,
}

/// What is made from the registry, kept until the registry changes.
#[derive(Debug)]
pub(crate) struct Documents {
    hash: u64,
    /// Aggregated discovery of the core group and of all others.
    pub(crate) core: Bytes,
    pub(crate) groups: Bytes,
    /// OpenAPI by path, e.g. `apis/stoa.dev/v1`.
    pub(crate) openapi: BTreeMap<String, Document>,
    pub(crate) openapi_index: Bytes,
}

impl Documents {
    /// For ETags.
    pub(crate) fn tag(&self) -> String {
        format!("\"{:016X}\"", self.hash)
    }
}

impl Context {
    pub(crate) fn new(
        engine: Engine,
        hub: Hub,
        identities: Identities,
        address: String,
        limits: Limits,
        agents: logs::Client,
        audit: Option<Arc<Audit>>,
    ) -> Self {
        Self {
            engine,
            hub,
            authority: identities.authority.clone(),
            identities,
            address,
            audit,
            requests: Turns::new(limits.requests, limits.rate, limits.turn),
            watches: Turns::new(watches(&limits), limits.rate, Duration::ZERO),
            warden: Warden::default(),
            intake: Intake::new(&limits),
            limits,
            agents,
            shutdown: CancellationToken::new(),
            documents: Mutex::new(None),
            servers: tokio::sync::Mutex::new(None),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        self.engine.store()
    }

    /// URLs of the present servers, at most a few seconds old: thousands of agents ask at every
    /// heartbeat, and asking the members costs a round trip to each.
    pub(crate) async fn servers(&self) -> Vec<String> {
        const FRESH: Duration = Duration::from_secs(5);
        let mut kept = self.servers.lock().await;
        if let Some((_, servers)) = kept.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return servers.clone();
        }
        match self.store().members().await {
            Ok(all) => {
                let servers = members::urls(&all);
                *kept = Some((Instant::now(), servers.clone()));
                servers
            }
            // What was known is better than nothing: agents only add to their list.
            Err(_down) => kept
                .as_ref()
                .map(|(_, servers)| servers.clone())
                .unwrap_or_default(),
        }
    }

    /// Discovery and OpenAPI of the resources served now.
    pub(crate) fn documents(&self) -> Arc<Documents> {
        let registry = self.engine.registry();
        let mut kept = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(documents) = kept.as_ref().filter(|kept| kept.hash == registry.hash()) {
            return Arc::clone(documents);
        }
        let openapi = openapi::documents(&registry);
        let made = Arc::new(Documents {
            hash: registry.hash(),
            core: discovery::aggregated(&registry, true).to_string().into(),
            groups: discovery::aggregated(&registry, false).to_string().into(),
            openapi_index: openapi::index(&openapi).to_string().into(),
            openapi: openapi
                .into_iter()
                .map(|one| (one.path.clone(), one))
                .collect(),
        });
        *kept = Some(Arc::clone(&made));
        made
    }
}

/// Answers what other replicas ask of the leader. The table follows the epoch by itself.
pub(crate) fn leader_handler(leadership: watch::Receiver<store::Leadership>) -> LeaderHandler {
    let started = Instant::now();
    let table = Arc::new(Mutex::new(Heartbeats::default()));
    Arc::new(move |payload: Bytes| {
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let epoch = leadership.borrow().epoch;
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        table.enter(epoch, now_ms);
        let answer = match serde_json::from_slice(&payload) {
            Ok(Ask::Beat { agent, boot_id }) => {
                table.beat(&agent, &boot_id, now_ms);
                Bytes::from_static(b"{}")
            }
            // An unknown question comes from a newer replica: nothing is the honest answer.
            Ok(Ask::Ages) => serde_json::to_vec(&table.ages(now_ms))
                .unwrap_or_default()
                .into(),
            Err(_unknown) => Bytes::new(),
        };
        async move { answer }.boxed()
    })
}
