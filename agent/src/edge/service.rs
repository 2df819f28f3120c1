//! The agent as one service: recover, connect, and turn events into effects until told to stop.

mod enrol;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use manifests::resources::Resources;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use enrol::Enrolment;

use super::cgroup::{self, Cgroups};
use super::connect::Servers;
use super::home::Home;
use super::join::JoinError;
use super::register::Facts;
use super::runner::Runner;
use super::{clock, connect, follow, heartbeat, machine, report, serve, tls};
use crate::detect;
use crate::options::{Options, advertised};
use crate::task::{Event, Machine, Report, Run, Settings};

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    Home {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Another agent has the data directory.
    #[error("another agent is running with the data directory {}", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The endpoint cannot listen.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
}

/// Why an agent stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is neither a certificate nor a token to get one with.
    #[error("this agent has not joined yet: start it with a join token")]
    NoToken,
    /// The cluster does not take the agent in.
    #[error("cannot join the cluster")]
    Join(#[source] JoinError),
    /// Key or certificate cannot be used.
    #[error("cannot use the key and certificates in {}", path.display())]
    Identity {
        /// Where they are.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The runs on disk cannot be read.
    #[error("cannot take up the runs on disk")]
    Recover(#[source] io::Error),
    /// A part of the agent has ended, which it never should.
    #[error("a part of the agent has ended: {0}")]
    Part(String),
}

/// The agent, ready to run.
#[derive(Debug)]
pub struct Service {
    options: Options,
    home: Arc<Home>,
    listener: TcpListener,
    address: String,
    resources: Resources,
}

/// What others may ask of a running agent.
#[derive(Clone, Debug)]
pub struct Handle {
    bound: SocketAddr,
    address: String,
    resources: Resources,
}

impl Handle {
    /// Where the endpoint listens.
    #[must_use]
    pub const fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// `host:port` that servers reach it at.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the agent offers.
    #[must_use]
    pub const fn resources(&self) -> &Resources {
        &self.resources
    }
}

/// Bound of the event queue. A full queue makes watch and runs wait, and loses nothing.
const EVENTS_MAX: usize = 1_024;

/// Events taken before effects' reports are put together: lets a burst share a transaction.
const BURST_MAX: usize = 256;

/// How long a stopping agent waits for its tasks beyond their grace.
const STOP_MAX: Duration = Duration::from_secs(10);

impl Service {
    /// Takes the data directory and the listening address.
    ///
    /// # Errors
    /// When either is not to be had, or an option makes no sense.
    pub async fn start(options: Options) -> Result<(Self, Handle), StartError> {
        check(&options)?;
        machine::widen_descriptors();
        let path = options.data_dir.clone();
        let home = Home::open(&path).map_err(|source| {
            if source.kind() == io::ErrorKind::WouldBlock {
                StartError::Locked { path: path.clone() }
            } else {
                StartError::Home {
                    path: path.clone(),
                    source,
                }
            }
        })?;
        let bind = |source| StartError::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).await.map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        let address = advertised(options.advertise.as_deref(), bound, &machine::hostname());
        let resources = detect::offered(machine::measure(home.root()), options.resources.as_ref());
        let handle = Handle {
            bound,
            address: address.clone(),
            resources: resources.clone(),
        };
        Ok((
            Self {
                options,
                home: Arc::new(home),
                listener,
                address,
                resources,
            },
            handle,
        ))
    }

    /// Runs until `shutdown`. Tasks go on running then, unless the options say otherwise.
    ///
    /// # Errors
    /// When the cluster refuses the agent, or the runs on disk cannot be read.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        // One batch at a time: the next forms while it is under way.
        let (batches, outbox) = mpsc::channel(1);
        let cgroups = Arc::new(self.cgroups());
        let runner = Runner::new(
            self.home.clone(),
            cgroups.clone(),
            &self.options.supervisor,
            events.clone(),
        );
        let core = self.recover(&runner, cgroups.clone()).await?;
        let kill = self.options.kill_tasks_on_exit;
        let mut parts = JoinSet::new();
        parts.spawn(self.connect(cgroups.not_enforced.clone(), events, outbox));
        let turning = turn(core, inbox, batches, runner, shutdown, kill);
        let outcome = tokio::select! {
            () = turning => Ok(()),
            Some(ended) = parts.join_next() => match ended {
                Ok(Ok(())) => Err(RunError::Part("its connections".to_owned())),
                Ok(Err(error)) => Err(error),
                Err(panic) => Err(RunError::Part(panic.to_string())),
            },
        };
        cgroups.close();
        outcome
    }

    fn cgroups(&self) -> Cgroups {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        // Agents of several clusters may share a machine, and a name.
        let root = self.home.root().as_os_str().as_encoded_bytes();
        let name = format!(
            "{}.{}",
            self.options.name,
            &tls::hex(&Sha256::digest(root))[..8]
        );
        let cgroups = Cgroups::open(&cgroup::mounts(&mounts), &name);
        for line in &cgroups.not_enforced {
            warn!("not enforced on this machine: {line}");
        }
        cgroups
    }

    /// Takes up the runs on disk.
    async fn recover(&self, runner: &Runner, cgroups: Arc<Cgroups>) -> Result<Machine, RunError> {
        let home = self.home.clone();
        let found = spawn_blocking(move || {
            let found = home.recover()?;
            home.sweep(&cgroups).map(|()| found)
        });
        let found = found
            .await
            .map_err(io::Error::other)
            .and_then(|found| found);
        let found = found.map_err(RunError::Recover)?;
        let mut core = Machine::new(Settings {
            agent: self.options.name.clone(),
            sandboxes: self.home.sandboxes(),
            pids_max: self.options.pids_max,
            retention_ms: self.options.retention_ms,
        });
        info!(runs = found.len(), "took up the runs on disk");
        for run in found {
            let effects = core.adopt(&run.id, run.spec, run.evidence, clock::now_ms());
            effects
                .into_iter()
                .for_each(|effect| runner.perform(effect));
            match core.run(&run.id) {
                Some(Run::Launching { .. } | Run::Running { .. } | Run::Killing { .. }) => {
                    runner.attend(run.id);
                }
                Some(
                    Run::Accepted { .. }
                    | Run::Held
                    | Run::Settling
                    | Run::Ended { .. }
                    | Run::Reported { .. },
                )
                | None => {}
            }
        }
        Ok(core)
    }

    /// Everything that needs the servers: joins first, then calls and serves for ever.
    async fn connect(
        self,
        not_enforced: Vec<String>,
        events: mpsc::Sender<Event>,
        outbox: mpsc::Receiver<Vec<Report>>,
    ) -> Result<(), RunError> {
        let servers = Servers::new(&self.options.servers);
        let enrolment = Enrolment {
            home: self.home.clone(),
            token: self.options.token.clone(),
            name: self.options.name.clone(),
            address: self.address.clone(),
            servers: servers.clone(),
        };
        let identity = enrolment.ensure_identity().await?;
        let client = connect::client(&identity, servers.clone())?;
        let tls = Arc::new(tls::serving(&identity)?);
        let facts = Facts {
            name: self.options.name.clone(),
            attributes: self.options.attributes,
            resources: self.resources,
            address: self.address,
            boot_id: clock::uuid().map_err(RunError::Recover)?,
            not_enforced,
        };
        let every_ms = self.options.heartbeat_ms;
        let mut parts = JoinSet::new();
        parts.spawn(enrolment.keep(identity));
        parts.spawn(serve::serve(self.listener, tls, self.home));
        parts.spawn(heartbeat::beat(client.clone(), facts, servers, every_ms));
        parts.spawn(follow::follow(
            client.clone(),
            self.options.name,
            events.clone(),
        ));
        parts.spawn(report::report(client, outbox, events));
        match parts.join_next().await {
            Some(Err(panic)) => Err(RunError::Part(panic.to_string())),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

fn check(options: &Options) -> Result<(), StartError> {
    let wrong = |text: &str| Err(StartError::Option(text.to_owned()));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if options.name.is_empty() || options.name.len() > 253 || !options.name.bytes().all(plain) {
        return wrong("an agent's name is a DNS name: lower-case letters, digits, '-' and '.'");
    }
    if options.supervisor.is_empty() {
        return wrong("no supervisor program is set");
    }
    if options.servers.is_empty() {
        return wrong("no server is named; give at least one as https://host:port");
    }
    Ok(())
}

/// The main loop: events in, effects out, and reports in batches.
async fn turn(
    mut core: Machine,
    mut inbox: mpsc::Receiver<Event>,
    batches: mpsc::Sender<Vec<Report>>,
    runner: Runner,
    shutdown: CancellationToken,
    kill: bool,
) {
    let mut stopping = None;
    loop {
        let mut burst = Vec::new();
        tokio::select! {
            count = inbox.recv_many(&mut burst, BURST_MAX) => if count == 0 { return },
            () = until(core.wake_ms()) => burst.push(Event::Tick),
            () = shutdown.cancelled(), if stopping.is_none() => {
                if !kill {
                    return;
                }
                stopping = Some(clock::now_ms().saturating_add(stop_max_ms()));
                burst.push(Event::KillAll);
            }
            () = until(stopping), if stopping.is_some() => return,
        }
        for event in burst {
            for effect in core.handle(event, clock::now_ms()) {
                runner.perform(effect);
            }
        }
        if let Some(batch) = core.take_reports(clock::now_ms()) {
            // There is room: one batch is under way at a time.
            let _stopping = batches.send(batch).await;
        }
        if stopping.is_some() && !core.is_busy() {
            return;
        }
    }
}

fn stop_max_ms() -> u64 {
    u64::try_from(STOP_MAX.as_millis()).unwrap_or(u64::MAX)
}

/// Sleeps until this time, or for ever.
async fn until(at_ms: Option<u64>) {
    match at_ms {
        Some(at_ms) => {
            let pause = at_ms.saturating_sub(clock::now_ms());
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        None => std::future::pending().await,
    }
}
