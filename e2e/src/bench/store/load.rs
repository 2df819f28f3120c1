//! Clients in closed loops: each waits for its answer before it asks again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::task::JoinSet;

use crate::bench::figure::{milliseconds, number, percentile};
use crate::bench::store::wire::{Client, Door};
use crate::bench::usage::{self, Usage};
use crate::grpc::Consistency;
use crate::{Fault, Outcome, wait};

/// Connections that clients share at most, as with etcd's own benchmark.
const CONNECTIONS_MAX: usize = 100;

/// Keys that are written over and over.
const KEYS: u64 = 100_000;

/// Bytes of a value.
pub(super) const VALUE_BYTES: usize = 256;

/// The one key that all reads ask for.
const SHARED_KEY: &[u8] = b"the-key!";

/// Longest one call may take: beyond this a system is not slow but stuck.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Pause of a client whose call failed, so that it does not spin on a member that is gone.
const FAILED_PAUSE: Duration = Duration::from_millis(20);

/// Attempts at a key when a store is filled: a change of leader is lived through, an end is not.
const ATTEMPTS_MAX: usize = 200;

/// Clients that fill a store.
pub(super) const FILLERS: usize = 256;

/// What each client does. No run repeats the values of one before it: a store may find out that a put
/// changes nothing, and then has less to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A random key of many gets a random value.
    Put,
    /// One and the same key is read.
    Get(Consistency),
}

/// How much of it, for how long.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) work: Work,
    pub(super) clients: usize,
    pub(super) warm_up: Duration,
    pub(super) window: Duration,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = match self.work {
            Work::Put => "put",
            Work::Get(Consistency::Linearizable) => "linearizable get",
            Work::Get(Consistency::Serializable) => "serializable get",
        };
        let plural = if self.clients == 1 { "" } else { "s" };
        write!(f, "{work}, {} client{plural}", self.clients)
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    /// Each call that ended well within the window.
    pub(super) samples: Vec<Duration>,
    /// Calls that failed within the window.
    pub(super) errors: usize,
    /// Why the last of them did.
    fault: Option<String>,
    window: Duration,
    usage: Usage,
}

impl Load {
    /// Calls per second.
    pub(super) fn rate(&self) -> f64 {
        number(self.samples.len()) / self.window.as_secs_f64()
    }

    /// The time within which `percent` of the calls were answered.
    pub(super) fn milliseconds(&self, percent: usize) -> f64 {
        milliseconds(percentile(&self.samples, percent))
    }

    /// Processor time that all members together spent on a call.
    pub(super) fn server_us(&self) -> f64 {
        self.per_call_us(self.usage.servers)
    }

    /// Processor time that the client spent on a call.
    pub(super) fn client_us(&self) -> f64 {
        self.per_call_us(self.usage.client)
    }

    /// Memory of the largest member at the end.
    pub(super) fn resident_mb(&self) -> f64 {
        self.usage.resident_mb
    }

    fn per_call_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1_000_000.0 / number(self.samples.len().max(1))
    }

    fn absorb(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.errors += other.errors;
        self.fault = other.fault.or(self.fault.take());
    }

    fn count(&mut self, outcome: Outcome<()>, took: Duration) {
        match outcome {
            Ok(()) => self.samples.push(took),
            Err(fault) => {
                self.errors += 1;
                self.fault = Some(fault.to_string());
            }
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {} errors",
            self.rate(),
            self.milliseconds(50),
            self.milliseconds(99),
            self.errors
        )?;
        match &self.fault {
            Some(fault) => write!(f, " (the last: {fault})"),
            None => Ok(()),
        }
    }
}

/// The connections of each client.
pub(super) struct Lanes(Vec<Lane>);

/// The connections one client uses in turn. A client alone has one to each member: to whichever
/// leads a call is cheaper, and who leads is chance.
#[derive(Clone)]
struct Lane {
    connections: Vec<Client>,
    next: usize,
}

impl Lane {
    fn client(&mut self) -> &mut Client {
        let turn = self.next % self.connections.len();
        self.next += 1;
        &mut self.connections[turn]
    }
}

impl Lanes {
    /// Connections spread over all members, and clients over all connections.
    pub(super) async fn connect(doors: &[Door], clients: usize) -> Outcome<Self> {
        let count = clients.clamp(doors.len(), CONNECTIONS_MAX);
        let mut connections = Vec::new();
        for door in doors.iter().cycle().take(count) {
            connections.push(door.connect().await?);
        }
        let lane = |client: usize| Lane {
            connections: connections
                .iter()
                .skip(client % count)
                .step_by(clients)
                .cloned()
                .collect(),
            next: 0,
        };
        Ok(Self((0..clients).map(lane).collect()))
    }

    /// Runs the shape to its end; the processes are those whose use is counted.
    pub(super) async fn drive(&mut self, shape: &Shape, servers: &[u32]) -> Outcome<Load> {
        self.0[0]
            .client()
            .put(SHARED_KEY, &[7; VALUE_BYTES])
            .await?;
        let start = Instant::now() + shape.warm_up;
        let window = start..start + shape.window;
        let mut clients = JoinSet::new();
        for lane in &self.0 {
            let source = StdRng::from_os_rng();
            clients.spawn(run(lane.clone(), shape.work, source, window.clone()));
        }
        tokio::time::sleep_until(window.start.into()).await;
        let before = usage::times(servers)?;
        tokio::time::sleep_until(window.end.into()).await;
        let used = usage::since(&before, servers)?;
        let mut load = Load {
            window: shape.window,
            usage: used,
            ..Load::default()
        };
        for one in clients.join_all().await {
            load.absorb(one);
        }
        Ok(load)
    }

    /// Writes this many different keys, each until it is acknowledged.
    pub(super) async fn fill(&self, keys: usize) -> Outcome<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for lane in &self.0 {
            let source = StdRng::from_os_rng();
            clients.spawn(write(lane.clone(), source, Arc::clone(&next), keys as u64));
        }
        clients.join_all().await.into_iter().collect()
    }
}

/// One client until the window closes.
async fn run(
    mut lane: Lane,
    work: Work,
    mut source: StdRng,
    window: std::ops::Range<Instant>,
) -> Load {
    let mut load = Load::default();
    let mut value = [0; VALUE_BYTES];
    loop {
        let key = source.random_range(0..KEYS).to_be_bytes();
        source.fill_bytes(&mut value);
        let asked = Instant::now();
        if asked >= window.end {
            return load;
        }
        let outcome = call(lane.client(), work, &key, &value).await;
        let answered = Instant::now();
        let failed = outcome.is_err();
        if window.contains(&answered) {
            load.count(outcome, answered - asked);
        }
        if failed {
            tokio::time::sleep(FAILED_PAUSE).await;
        }
    }
}

async fn call(client: &mut Client, work: Work, key: &[u8], value: &[u8]) -> Outcome<()> {
    match work {
        Work::Put => wait::at_most("a put", CALL_MAX, client.put(key, value)).await?,
        Work::Get(consistency) => {
            let found = client.get(SHARED_KEY, consistency);
            let found = wait::at_most("a get", CALL_MAX, found).await??;
            match found {
                Some(VALUE_BYTES) => Ok(()),
                Some(_) | None => Err(Fault::new("the shared key was not found whole")),
            }
        }
    }
}

/// One of those who fill a store; a write that fails is made again.
async fn write(mut lane: Lane, mut source: StdRng, next: Arc<AtomicU64>, keys: u64) -> Outcome<()> {
    let mut value = [0; VALUE_BYTES];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= keys {
            return Ok(());
        }
        source.fill_bytes(&mut value);
        let key = number.to_be_bytes();
        insist(&mut lane, &key, &value).await?;
    }
}

async fn insist(lane: &mut Lane, key: &[u8], value: &[u8]) -> Outcome<()> {
    let mut attempts = 1;
    loop {
        match call(lane.client(), Work::Put, key, value).await {
            Err(fault) if attempts == ATTEMPTS_MAX => return Err(fault),
            Err(_passing) => tokio::time::sleep(FAILED_PAUSE).await,
            Ok(()) => return Ok(()),
        }
        attempts += 1;
    }
}
