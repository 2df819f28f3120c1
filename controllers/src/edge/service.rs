//! `Service`: runs the core while this replica leads.

use std::time::Duration;

use k8s_openapi::api::core::v1 as k8s;
use kube::{Api, Client};
use manifests::kinds;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fence::{Failed, Fence};
use super::send::Deposed;
use super::{beats, empty, expire, heads, send, watch};
use crate::core::{Core, Settings};
use crate::effect::{Batch, Effect};
use crate::event::Event;
use crate::model::Owner;

/// Events waiting for the core: a burst of tasks; beyond it, watches wait.
const INBOX: usize = 4_096;

/// Events taken in before the core looks at what they add up to.
const EVENTS_PER_STEP: usize = 1_024;

/// Batches of the sweep are numbered from here: far beyond those of the core.
const SWEEPS: u64 = 1 << 40;

/// What the controllers need.
#[derive(Clone)]
pub struct Options {
    /// Speaks to the API server as `stoa:controllers`.
    pub client: Client,
    /// Epoch of the leadership under which this runs; fences every write.
    pub epoch: u64,
    /// Silence after which an agent is unreachable.
    pub agent_timeout_ms: u64,
    /// How long offers stand where the framework does not say.
    pub offer_timeout_ms: u64,
}

impl Options {
    /// The defaults: agents are given 75 seconds as in Mesos, offers stand 30.
    #[must_use]
    pub fn new(client: Client, epoch: u64) -> Self {
        Self {
            client,
            epoch,
            agent_timeout_ms: 75_000,
            offer_timeout_ms: 30_000,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("epoch", &self.epoch)
            .field("agent_timeout_ms", &self.agent_timeout_ms)
            .field("offer_timeout_ms", &self.offer_timeout_ms)
            .finish_non_exhaustive()
    }
}

/// Why the controllers stopped on their own.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Another replica leads.
    #[error("this run of epoch {epoch} is over: another replica leads, or another run has begun")]
    Deposed {
        /// The epoch.
        epoch: u64,
    },
    /// No fence can be put up against earlier runs of the same epoch.
    #[error("the Lease of the controllers cannot be written: {message}")]
    Unfenced {
        /// What the server said.
        message: String,
    },
}

/// The controllers of one term of leadership.
#[derive(Debug)]
pub struct Service {
    options: Options,
}

impl Service {
    /// The controllers for one term of leadership.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Runs until told to stop. Everything it started has stopped when it returns.
    ///
    /// # Errors
    /// When a write is refused because the epoch is over.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let epoch = self.options.epoch;
        // Distinguishes the offers and request ids of this run from those of any other.
        let run_id = clock().as_nanosecond().unsigned_abs();
        let now = crate::ops::micro_time(now_ms());
        let request_id = request_id(run_id, epoch, Batch(0));
        let raised = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            raised = Fence::raise(&self.options.client, epoch, request_id, &now) => raised,
        };
        let fence = raised.map_err(|failed| match failed {
            Failed::Deposed => Error::Deposed { epoch },
            Failed::Refused(message) => Error::Unfenced { message },
        })?;
        let mut runner = Runner::start(self.options, run_id, fence);
        let outcome = runner.run(&shutdown).await;
        // What is still on its way is not waited for: the next run's fence keeps it out.
        runner.tasks.shutdown().await;
        outcome.map_err(|Deposed| Error::Deposed { epoch })
    }
}

/// The loop and what it started.
struct Runner {
    options: Options,
    core: Core,
    events: mpsc::Receiver<Event>,
    inbox: mpsc::Sender<Event>,
    pace: tokio::sync::watch::Sender<Duration>,
    fence: Fence,
    deposed: CancellationToken,
    tasks: JoinSet<()>,
    run_id: u128,
}

impl Runner {
    fn start(options: Options, run_id: u128, fence: Fence) -> Self {
        let (inbox, events) = mpsc::channel(INBOX);
        let (pace, wished) = tokio::sync::watch::channel(Duration::from_secs(1));
        let mut tasks = JoinSet::new();
        follow_all(&mut tasks, &options.client, &inbox);
        tasks.spawn(beats::poll(
            options.client.clone(),
            options.epoch,
            inbox.clone(),
            wished,
        ));
        tasks.spawn(heads::follow(options.client.clone(), inbox.clone()));
        let epoch = options.epoch;
        tasks.spawn(expire::sweep(
            options.client.clone(),
            fence.clone(),
            move |number| request_id(run_id, epoch, Batch(SWEEPS + number)),
        ));
        let core = Core::new(Settings {
            epoch: options.epoch,
            run: u64::try_from(run_id / 1_000_000).unwrap_or(0),
            agent_timeout_ms: options.agent_timeout_ms,
            offer_timeout_ms: options.offer_timeout_ms,
        });
        let deposed = CancellationToken::new();
        Self {
            options,
            core,
            events,
            inbox,
            pace,
            fence,
            deposed,
            tasks,
            run_id,
        }
    }

    async fn run(&mut self, running: &CancellationToken) -> Result<(), Deposed> {
        let mut wake_ms: Option<u64> = None;
        let mut batch = Vec::with_capacity(EVENTS_PER_STEP);
        loop {
            let timer = sleep_until(wake_ms);
            tokio::select! {
                biased;
                () = running.cancelled() => return Ok(()),
                () = self.deposed.cancelled() => return Err(Deposed),
                count = self.events.recv_many(&mut batch, EVENTS_PER_STEP) => {
                    debug_assert!(count > 0, "the loop holds a sender itself");
                }
                () = timer => batch.push(Event::Tick),
            }
            let now_ms = now_ms();
            for event in batch.drain(..) {
                self.core.handle(event, now_ms);
            }
            let step = self.core.step(now_ms);
            let pace = Duration::from_millis(self.core.listen_every_ms(now_ms));
            self.pace
                .send_if_modified(|present| std::mem::replace(present, pace) != pace);
            wake_ms = step.wake_ms;
            for effect in step.effects {
                self.perform(effect);
            }
            // Finished senders are let go of as we pass.
            while self.tasks.try_join_next().is_some() {}
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Submit(batch, operations) => self.submit(batch, operations),
            Effect::Verify(owners) => self.verify(owners),
            Effect::Empty(namespace) => self.empty(namespace),
        }
    }

    fn submit(&mut self, batch: Batch, operations: Vec<manifests::bundle::Operation>) {
        let (client, epoch) = (self.options.client.clone(), self.options.epoch);
        let fence = self.fence.clone();
        let (inbox, deposed) = (self.inbox.clone(), self.deposed.clone());
        let request_id = request_id(self.run_id, epoch, batch);
        self.tasks.spawn(async move {
            match send::submit(&client, fence.guards(), request_id, operations).await {
                Ok(answer) => {
                    // Closed: the loop has ended, and nobody needs the answer.
                    inbox.send(Event::Done(batch, answer)).await.ok();
                }
                Err(Deposed) => deposed.cancel(),
            }
        });
    }

    fn verify(&mut self, owners: Vec<Owner>) {
        let (client, inbox) = (self.options.client.clone(), self.inbox.clone());
        self.tasks.spawn(async move {
            let seen = heads::verify(&client, owners).await;
            inbox.send(Event::Verified(seen)).await.ok();
        });
    }

    fn empty(&mut self, namespace: String) {
        let (client, inbox) = (self.options.client.clone(), self.inbox.clone());
        self.tasks.spawn(async move {
            let done = empty::empty(&client, &namespace)
                .await
                .unwrap_or_else(|error| {
                    tracing::debug!(%namespace, %error, "namespace not emptied yet");
                    false
                });
            inbox.send(Event::Emptied(namespace, done)).await.ok();
        });
    }
}

fn follow_all(tasks: &mut JoinSet<()>, client: &Client, inbox: &mpsc::Sender<Event>) {
    tasks.spawn(watch::follow(
        all::<kinds::ResourcePool>(client),
        Event::Pool,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<kinds::Framework>(client),
        Event::Framework,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<kinds::Task>(client),
        Event::Task,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<kinds::TaskGroup>(client),
        Event::Group,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<kinds::Reservation>(client),
        Event::Reservation,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<kinds::Offer>(client),
        Event::Offer,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<kinds::Agent>(client),
        Event::Agent,
        inbox.clone(),
    ));
    tasks.spawn(watch::follow(
        all::<k8s::Namespace>(client),
        Event::Namespace,
        inbox.clone(),
    ));
}

fn all<K: kube::Resource<DynamicType = ()>>(client: &Client) -> Api<K> {
    Api::all(client.clone())
}

/// A UUID that names this batch of this run, and no other.
fn request_id(run: u128, epoch: u64, batch: Batch) -> String {
    let time = u64::try_from(run & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    format!(
        "{:08x}-{:04x}-8{:03x}-8{:03x}-{:04x}{:08x}",
        time >> 32,
        (time >> 16) & 0xffff,
        time & 0xfff,
        epoch & 0xfff,
        (batch.0 >> 32) & 0xffff,
        batch.0 & 0xffff_ffff,
    )
}

/// The wall clock: the only place where the controllers read it.
#[expect(clippy::disallowed_methods, reason = "the edge is where time is read")]
pub(super) fn clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

pub(super) fn now_ms() -> u64 {
    u64::try_from(clock().as_millisecond()).unwrap_or(0)
}

async fn sleep_until(wake_ms: Option<u64>) {
    match wake_ms {
        // At least a millisecond, so that a timer that is late for its own step cannot spin.
        Some(at) => {
            let pause = at.saturating_sub(now_ms()).max(1);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        None => std::future::pending().await,
    }
}
