//! Open-loop writers: so many writes each second, whatever becomes of those before, as clients
//! do who have one spare replica and try it once under the same request id.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use store::{Op, Revision, Txn};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::node::{CallError, Client};
use crate::{Fault, Outcome, wait};

/// How often the writes that are due are sent.
const TICK: Duration = Duration::from_millis(2);
/// Longest a write may be under way once no more are sent.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Longest until a write succeeds again.
const NEXT_MAX: Duration = Duration::from_secs(60);

/// What is written.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Writes each second.
    pub rate: u32,
    /// Different keys; write `n` goes to key `n` modulo this.
    pub keys: u64,
    /// Bytes of each value, at least eight: it begins with the write's number.
    pub value_bytes: usize,
    /// The first write's number. No number may be used twice.
    pub first: u64,
}

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// The write's number.
    pub number: u64,
    /// The revision it was given.
    pub revision: Revision,
    /// When it was sent.
    pub began: Instant,
    /// When the acknowledgement arrived.
    pub ended: Instant,
}

/// What became of all writes.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Those that were acknowledged, in the order of arrival.
    pub acks: Vec<Ack>,
    /// Numbers of those that were not, and why. They may be there all the same.
    pub failed: Vec<(u64, String)>,
    /// The number after the last one used.
    pub next: u64,
}

/// Writers at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    stop: CancellationToken,
    pacer: JoinHandle<u64>,
}

#[derive(Debug)]
struct Shared {
    clients: Vec<Client>,
    shape: Shape,
    /// Sets the request ids of this load apart from those of all others.
    salt: u64,
    log: Mutex<Log>,
    under_way: TaskTracker,
}

impl Load {
    /// Starts writing through these clients in turn.
    #[must_use]
    pub fn start(clients: Vec<Client>, shape: Shape) -> Self {
        let shared = Arc::new(Shared {
            clients,
            shape,
            salt: rand::random(),
            log: Mutex::default(),
            under_way: TaskTracker::new(),
        });
        let stop = CancellationToken::new();
        let pacer = tokio::spawn(pace(Arc::clone(&shared), stop.clone()));
        Self {
            shared,
            stop,
            pacer,
        }
    }

    /// Waits until a write that was sent after this instant is acknowledged; how long after.
    ///
    /// # Errors
    /// When none is, in time.
    pub async fn first_after(&self, instant: Instant) -> Outcome<Duration> {
        wait::until("the next acknowledged write", NEXT_MAX, async || {
            let log = self.shared.log();
            let later = log.acks.iter().rev().take_while(|ack| ack.ended > instant);
            let sent_later = later.filter(|ack| ack.began > instant);
            let first = sent_later.map(|ack| ack.ended).min();
            first
                .map(|ended| ended.duration_since(instant))
                .ok_or_else(|| Fault::new(format!("{:?}", log.failed.last())))
        })
        .await
    }

    /// Stops sending, waits for what is under way, and tells what became of all.
    ///
    /// # Errors
    /// When writes stay without an answer.
    pub async fn stop(self) -> Outcome<Log> {
        self.stop.cancel();
        let next = self.pacer.await?;
        self.shared.under_way.close();
        let drained = self.shared.under_way.wait();
        wait::at_most("the writes under way", DRAIN_MAX, drained).await?;
        let mut log = std::mem::take(&mut *self.shared.log());
        log.next = next;
        Ok(log)
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is due at every tick; the number after the last.
async fn pace(shared: Arc<Shared>, stop: CancellationToken) -> u64 {
    let start = Instant::now();
    let mut sent = 0;
    let mut ticks = tokio::time::interval(TICK);
    while !stop.is_cancelled() {
        ticks.tick().await;
        let due = start.elapsed().as_millis() * u128::from(shared.shape.rate) / 1_000;
        while u128::from(sent) < due {
            let write = write(Arc::clone(&shared), shared.shape.first + sent);
            shared.under_way.spawn(write);
            sent += 1;
        }
    }
    shared.shape.first + sent
}

async fn write(shared: Arc<Shared>, number: u64) {
    let began = Instant::now();
    let result = twice(&shared, number).await;
    let ended = Instant::now();
    let mut log = shared.log();
    match result {
        Ok(revision) => log.acks.push(Ack {
            number,
            revision,
            began,
            ended,
        }),
        Err(why) => log.failed.push((number, why.to_string())),
    }
}

/// Tries one replica, and once another.
async fn twice(shared: &Shared, number: u64) -> Result<Revision, CallError> {
    let txn = txn(&shared.shape, shared.salt, number);
    let client = |turn: u64| {
        let place = (number + turn) % shared.clients.len() as u64;
        &shared.clients[usize::try_from(place).unwrap_or(0)]
    };
    let outcome = match client(0).txn(txn.clone()).await {
        Err(error) if error.is_passing() => client(1).txn(txn).await?,
        other => other?,
    };
    Ok(outcome.revision())
}

fn txn(shape: &Shape, salt: u64, number: u64) -> Txn {
    Txn {
        request_id: (u128::from(salt) << 64) | u128::from(number + 1),
        stamp_ms: now_ms(),
        guards: Vec::new(),
        ops: vec![Op::Put {
            key: key(number % shape.keys),
            value: value(number, shape.value_bytes),
        }],
    }
}

/// Milliseconds since 1970, as proposers stamp their transactions.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// What all keys of a load begin with.
pub(crate) const PREFIX: &[u8] = b"w/";

/// The key of this number.
pub(crate) fn key(number: u64) -> Bytes {
    Bytes::from([PREFIX, format!("{number:010}").as_bytes()].concat())
}

/// The number of a key, if it is one of ours.
pub(crate) fn key_number(key: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?;
    digits.parse().ok()
}

/// A value that says which write it is.
pub(crate) fn value(number: u64, bytes: usize) -> Bytes {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(bytes.max(8), b'.');
    Bytes::from(value)
}

/// The number of the write that left this value.
pub(crate) fn value_number(value: &[u8]) -> Option<u64> {
    value.first_chunk().copied().map(u64::from_le_bytes)
}
