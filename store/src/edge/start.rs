//! Starting a replica: identity, log, state, consensus, in this order.

use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::edge::alarm::{self, Alarm};
use crate::edge::checkpoint::Checkpointer;
use crate::edge::consensus::{config, ensure_initialized, raft_error};
use crate::edge::core::{Core, Fault};
use crate::edge::engine::Engine;
use crate::edge::formation::{self, Door};
use crate::edge::handle::Store;
use crate::edge::haste::Haste;
use crate::edge::holds::Holds;
use crate::edge::identity::{self, Identity};
use crate::edge::idle_poll::IdlePoll;
use crate::edge::link::{Link, Target};
use crate::edge::log::LogStore;
use crate::edge::machine::Machine;
use crate::edge::metrics::Metrics;
use crate::edge::network::Network;
use crate::edge::options::{Bootstrap, Limits, Options, PeerTls};
use crate::edge::pair::Told;
use crate::edge::peers::Peers;
use crate::edge::published::Published;
use crate::edge::reserve::Reserve;
use crate::edge::server::{Desk, serve};
use crate::edge::service::{Running, Service, Tasks};
use crate::edge::{propose, reads, transfer, wal};
use crate::error::StartError;
use crate::faults::Faults;
use crate::image::Image;
use crate::member::{Leadership, Node};
use crate::raft::RaftHandle;
use crate::wire::{Formed, Founder};

/// Beyond this a recovery from peers is given up; the operator decides then.
const RECOVER_ROUNDS: usize = 20;
const RECOVER_PAUSE: Duration = Duration::from_millis(500);

/// What a log entry has beside its transactions: their number, the kind of entry.
const ENTRY_EXTRA: u64 = 64;
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 16 << 10..=1 << 30;

/// Starts a replica on an engine of its own. See `Store::start`.
pub(crate) async fn start(options: Options) -> Result<(Store, Service), StartError> {
    check(&options)?;
    let dir = options.data_dir.clone();
    let engine = Engine::start().map_err(at(&dir))?;
    // The listener moves from the caller's runtime to the engine's.
    let listener = options.peer_listener.into_std().map_err(at(&dir))?;
    let started = async move {
        let peer_listener = TcpListener::from_std(listener).map_err(at(&options.data_dir))?;
        let options = Options {
            peer_listener,
            ..options
        };
        run(options).await
    };
    let running = engine.run(started).await.map_err(at(&dir))??;
    Ok((
        Store::new(Arc::clone(&running.core)),
        Service::new(running, engine),
    ))
}

async fn run(options: Options) -> Result<Running, StartError> {
    let dir = options.data_dir.clone();
    fs::create_dir_all(&dir).map_err(at(&dir))?;
    alarm::ensure_agreed(&dir)?;
    let me = Node {
        name: options.name.clone(),
        peer_addr: options.peer_addr.clone(),
        api_addr: options.api_addr.clone(),
    };
    let faults = options.faults.clone();
    let nonce = identity::nonce(&dir, &faults).map_err(at(&dir))?;
    let door = Door::new(me.clone(), nonce, faults.clone());
    let desk = Arc::new(Desk {
        door,
        core: OnceLock::new(),
        faults,
    });
    let stop = CancellationToken::new();
    // From here on an early return must end the listener.
    let guard = stop.clone().drop_guard();
    let listening = serve(
        options.peer_listener,
        options.tls.server.clone(),
        Arc::clone(&desk),
        stop.clone(),
    );
    tokio::spawn(listening);

    let identity = ensure_identity(
        &dir,
        &options.bootstrap,
        &options.tls,
        options.limits.segment_bytes,
        &desk.door,
    )
    .await?;
    let founders = formation::read_founders(&dir).map_err(at(&dir))?;
    desk.door.set_formed(Formed {
        cluster_id: identity.cluster_id,
        founders: founders.clone(),
    });

    let fault = Arc::new(Fault::default());
    let metrics = Metrics::default();
    let idle_poll = match options.limits.idle_poll {
        true => IdlePoll::start(&metrics),
        false => IdlePoll::default(),
    };
    let log = open_log(&dir, &options.faults, &fault, &metrics).await?;
    let log = log.polling(idle_poll.clone());
    let closing = log.closing();
    let opened = Opened {
        dir,
        me,
        identity,
        limits: options.limits,
        tls: options.tls,
        faults: options.faults,
        metrics,
        haste: Haste::default(),
        holds: Holds::default(),
        idle_poll,
    };
    let (core, tasks) = opened.run(log, fault, &founders, stop.clone()).await?;
    desk.core.set(Arc::clone(&core)).ok();
    guard.disarm();
    closing.keep_open();
    Ok(Running { core, tasks, stop })
}

fn check(options: &Options) -> Result<(), StartError> {
    let words = [&options.name, &options.peer_addr, &options.api_addr];
    if words
        .iter()
        .any(|word| word.is_empty() || word.contains(char::is_whitespace))
    {
        return Err(StartError::Invalid(
            "name, peer address and API address must not be empty or contain blanks".into(),
        ));
    }
    let Limits {
        segment_bytes,
        txn_bytes_max,
        ..
    } = options.limits;
    if !SEGMENT_BYTES.contains(&segment_bytes) || segment_bytes % 4096 != 0 {
        return Err(StartError::Invalid(format!(
            "a log segment cannot have {segment_bytes} bytes: whole pages of 4096 bytes, from {} to {} bytes",
            SEGMENT_BYTES.start(),
            SEGMENT_BYTES.end()
        )));
    }
    let entry_max = crate::wal::writer::entry_max(segment_bytes);
    if txn_bytes_max as u64 + ENTRY_EXTRA > entry_max {
        return Err(StartError::Invalid(format!(
            "a transaction of {txn_bytes_max} bytes does not fit a log segment of {segment_bytes} bytes: \
             allow larger segments or smaller transactions"
        )));
    }
    Ok(())
}

/// The identity on disk, or the one the bootstrap gives. Written last: it commits the bootstrap.
async fn ensure_identity(
    dir: &Path,
    bootstrap: &Bootstrap,
    tls: &PeerTls,
    segment_bytes: u64,
    door: &Door,
) -> Result<Identity, StartError> {
    let name = door.name().to_owned();
    if let Some(identity) = Identity::read(dir).map_err(at(dir))? {
        if identity.name != name {
            return Err(StartError::Invalid(format!(
                "{} belongs to replica `{}`, not to `{name}`: check --name and --data-dir",
                dir.display(),
                identity.name
            )));
        }
        return Ok(identity);
    }
    if identity::is_restoring(dir) {
        return Err(StartError::Invalid(format!(
            "{} holds an unfinished restore: restore again, or empty it to begin without",
            dir.display()
        )));
    }
    let identity = match bootstrap {
        Bootstrap::Static { initial } => {
            let (identity, founders) = formation::form(door, initial, tls).await?;
            formation::write_founders(dir, &founders, door.faults()).map_err(at(dir))?;
            identity
        }
        Bootstrap::Join {
            node_id,
            cluster_id,
            peers,
        } => {
            identity::write_peers(dir, peers, door.faults()).map_err(at(dir))?;
            Identity {
                cluster_id: *cluster_id,
                node_id: *node_id,
                name,
            }
        }
    };
    // The log exists before the identity does: an identity without a log means that the log was
    // deleted, and with it votes this replica must not forget.
    let log = log_dir(dir);
    let made = tokio::task::spawn_blocking(move || wal::ensure(&log, segment_bytes, None));
    made.await
        .map_err(io::Error::other)
        .flatten()
        .map_err(at(dir))?;
    identity.write(dir, door.faults()).map_err(at(dir))?;
    Ok(identity)
}

pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

async fn open_log(
    dir: &Path,
    faults: &Faults,
    fault: &Arc<Fault>,
    metrics: &Metrics,
) -> Result<LogStore, StartError> {
    let dir = log_dir(dir);
    let damaged = |detail: String| StartError::LogDamaged {
        dir: dir.clone(),
        detail,
    };
    if !dir.is_dir() {
        return Err(damaged(
            "the directory is gone, and with it this replica's votes".into(),
        ));
    }
    let (path, faults) = (dir.clone(), faults.clone());
    let opened = tokio::task::spawn_blocking(move || {
        std::panic::catch_unwind(AssertUnwindSafe(|| wal::open(&path, &faults)))
            .unwrap_or_else(|_| Err(io::Error::other("its reader panicked")))
    });
    let opened = opened.await.map_err(|error| damaged(error.to_string()))?;
    let opened = opened.map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            StartError::InUse { dir: dir.clone() }
        } else {
            damaged(error.to_string())
        }
    })?;
    let fault = Arc::clone(fault);
    let on_fault = Arc::new(move |error: &io::Error| {
        tracing::error!(%error, "the log cannot be written; this replica stops");
        fault.set(Fault::of_io(error));
    });
    LogStore::new(opened, on_fault, metrics.clone()).map_err(at(&dir))
}

/// Everything known once identity and log are there.
struct Opened {
    dir: PathBuf,
    me: Node,
    identity: Identity,
    limits: Limits,
    tls: PeerTls,
    faults: Faults,
    metrics: Metrics,
    haste: Haste,
    holds: Holds,
    idle_poll: IdlePoll,
}

impl Opened {
    async fn run(
        self,
        log: LogStore,
        fault: Arc<Fault>,
        founders: &[Founder],
        stop: CancellationToken,
    ) -> Result<(Arc<Core>, Tasks), StartError> {
        let cluster_id = self.identity.cluster_id;
        let reserve = Reserve::new(&self.dir, self.limits.reserve_bytes, log.clone());
        let held = fault.residence(self.limits.resident_bytes);
        let checkpointer = Checkpointer::in_dir(&self.dir, cluster_id, &self.faults, &held);
        let checkpointer = Arc::new(checkpointer.with_reserve(reserve));
        let image = self.image(&checkpointer, &log).await?;
        let published = Published::new(self.limits.history_bytes, self.limits.history_age_ms)
            .counted(self.metrics.clone());
        let published = Arc::new(published);
        let machine = Machine::new(image, Arc::clone(&published), Arc::clone(&checkpointer))
            .under(self.faults.clone(), self.metrics.clone());
        let raft = self.raft(log.clone(), machine).await?;
        ensure_initialized(&raft, founders).await?;
        Ok(self.core(raft, log, published, checkpointer, fault, stop))
    }

    async fn raft(&self, log: LogStore, machine: Machine) -> Result<RaftHandle, StartError> {
        let cluster_id = self.identity.cluster_id;
        let network = Network {
            peers: Arc::new(self.peers()),
            cluster_id,
            faults: self.faults.clone(),
            metrics: self.metrics.clone(),
            haste: self.haste.clone(),
            holds: self.holds.clone(),
        };
        let config = config(&self.limits).validate().map_err(raft_error)?;
        RaftHandle::new(
            self.identity.node_id,
            Arc::new(config),
            network,
            log,
            machine,
        )
        .await
        .map_err(raft_error)
    }

    fn peers(&self) -> Peers {
        let tls = Arc::clone(&self.tls.client);
        Peers::new(self.identity.cluster_id, tls, self.faults.clone())
    }

    fn core(
        self,
        raft: RaftHandle,
        log: LogStore,
        published: Arc<Published>,
        checkpointer: Arc<Checkpointer>,
        fault: Arc<Fault>,
        stop: CancellationToken,
    ) -> (Arc<Core>, Tasks) {
        let peers = self.peers();
        let (proposals, proposed) = mpsc::channel(propose::QUEUE);
        let (reads, asked) = mpsc::channel(reads::QUEUE);
        let (leads, leadership) = watch::channel(Leadership::default());
        let core = Arc::new(Core {
            id: self.identity.node_id,
            me: self.me,
            cluster_id: self.identity.cluster_id,
            peers,
            data_dir: self.dir,
            limits: self.limits,
            raft,
            space: log.space(),
            log,
            published,
            checkpointer,
            proposals,
            reads,
            leadership,
            handler: RwLock::default(),
            fault,
            faults: self.faults,
            alarm: Alarm::default(),
            metrics: self.metrics,
            haste: self.haste,
            holds: self.holds,
            idle_poll: self.idle_poll,
            told: Told::default(),
        });
        let tasks = Tasks::spawn(&core, proposed, asked, leads, stop);
        (core, tasks)
    }

    /// The state as far as it is on disk; from a peer when it is not and the log cannot rebuild it.
    async fn image(
        &self,
        checkpointer: &Arc<Checkpointer>,
        log: &LogStore,
    ) -> Result<Image, StartError> {
        let purged = log.state().purged.map(|(_, index)| index);
        let loader = Arc::clone(checkpointer);
        let loaded = tokio::task::spawn_blocking(move || loader.load(purged));
        let lost = |detail: String| StartError::StateLost {
            dir: self.dir.clone(),
            purged: purged.unwrap_or(0),
            detail,
        };
        match loaded.await.map_err(|error| lost(error.to_string()))? {
            Ok(Some(image)) => return Ok(image),
            Ok(None) if purged.is_none() => return Ok(Image::default()),
            Ok(None) => {}
            Err(doubt) => return Err(lost(doubt.to_string())),
        }
        let image = self.pull(purged).await.map_err(lost)?;
        log.align(image.applied).await.map_err(at(&self.dir))?;
        checkpointer
            .replace(image.clone())
            .await
            .map_err(at(&self.dir))?;
        Ok(image)
    }

    /// A peer's state that reaches this replica's log. Everything in it is committed, so taking it
    /// over is what installing a leader's snapshot would do.
    async fn pull(&self, purged: Option<u64>) -> Result<Image, String> {
        let peers = identity::read_peers(&self.dir).map_err(|error| error.to_string())?;
        let mut reason = "no peer is known".to_owned();
        for _ in 0..RECOVER_ROUNDS {
            for addr in &peers {
                tracing::warn!(addr, "the state is lost here and is fetched from a peer");
                match self.pull_from(addr).await {
                    Ok(image) if image.applied_index() >= purged => return Ok(image),
                    Ok(_) => reason = format!("{addr} is further behind"),
                    Err(error) => reason = format!("{addr}: {error}"),
                }
            }
            tokio::time::sleep(RECOVER_PAUSE).await;
        }
        Err(reason)
    }

    async fn pull_from(&self, addr: &str) -> Result<Image, String> {
        // The peer's id is not known here; its certificate and the header's cluster are checked.
        let tls = Arc::clone(&self.tls.client);
        let link = Link::open(Target {
            addr: addr.to_owned(),
            to: None,
            tls,
            faults: self.faults.clone(),
        });
        transfer::pull(&link, self.identity.cluster_id).await
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> StartError + use<> {
    let path = path.to_owned();
    move |source| StartError::Io {
        path: path.clone(),
        source,
    }
}
