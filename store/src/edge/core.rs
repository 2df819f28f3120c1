//! What the parts of a running replica share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::edge::alarm::Alarm;
use crate::edge::checkpoint::Checkpointer;
use crate::edge::handle::LeaderHandler;
use crate::edge::haste::Haste;
use crate::edge::holds::Holds;
use crate::edge::idle_poll::IdlePoll;
use crate::edge::link::Link;
use crate::edge::log::LogStore;
use crate::edge::metrics::Metrics;
use crate::edge::options::Limits;
use crate::edge::pair::Told;
use crate::edge::peers::{Lane, Peers};
use crate::edge::propose::Proposed;
use crate::edge::published::Published;
use crate::edge::reads::ReadIndex;
use crate::edge::state::Residence;
use crate::edge::wal::pool::Space;
use crate::error::TxnError;
use crate::faults::Faults;
use crate::health::{Condition, Health};
use crate::item::NodeId;
use crate::member::{Leadership, Node, Role, Status};
use crate::raft::{Membership, RaftHandle};
use crate::slot::Resident;

/// One running replica.
pub(crate) struct Core {
    pub(crate) id: NodeId,
    pub(crate) me: Node,
    pub(crate) cluster_id: u128,
    pub(crate) data_dir: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) raft: RaftHandle,
    pub(crate) log: LogStore,
    /// The room for the log.
    pub(crate) space: watch::Receiver<Space>,
    pub(crate) peers: Peers,
    pub(crate) published: Arc<Published>,
    pub(crate) checkpointer: Arc<Checkpointer>,
    pub(crate) proposals: mpsc::Sender<Proposed>,
    pub(crate) reads: mpsc::Sender<ReadIndex>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) handler: RwLock<Option<LeaderHandler>>,
    pub(crate) fault: Arc<Fault>,
    pub(crate) faults: Faults,
    pub(crate) alarm: Alarm,
    pub(crate) metrics: Metrics,
    pub(crate) haste: Haste,
    pub(crate) holds: Holds,
    pub(crate) idle_poll: IdlePoll,
    pub(crate) told: Told,
}

/// Values dropped without giving others a turn.
const DROPPED_AT_ONCE: usize = 64;

async fn drop_by_turns(mut freed: Vec<Resident>) {
    while !freed.is_empty() {
        freed.truncate(freed.len().saturating_sub(DROPPED_AT_ONCE));
        tokio::task::yield_now().await;
    }
}

/// Why the replica stopped, once it has.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    cause: Mutex<Option<TxnError>>,
    halted: CancellationToken,
}

impl Fault {
    pub(crate) fn set(&self, error: TxnError) {
        let mut fault = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        // The first cause stands, except that the log's writer may only learn that its other half
        // has failed, and a moment later, why.
        if fault.is_none() || error == TxnError::DiskFull {
            *fault = Some(error);
        }
    }

    /// Stops the replica, for a cause that consensus itself would not stop for.
    pub(crate) fn halt(&self, error: TxnError) {
        self.set(error);
        self.halted.cancel();
    }

    /// Resolves once the replica was told to halt.
    pub(crate) async fn halted(&self) {
        self.halted.cancelled().await;
    }

    pub(crate) fn get(&self) -> Option<TxnError> {
        self.cause
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// So much memory for values; one that cannot be read from disk stops the replica. To be called on the engine, which
    /// makes the values: an allocator gives memory back where it was taken.
    pub(crate) fn residence(self: &Arc<Self>, bytes_max: u64) -> Residence {
        let (fault, engine) = (Arc::clone(self), Handle::current());
        Residence {
            bytes_max,
            drop_freed: Arc::new(move |freed| drop(engine.spawn(drop_by_turns(freed)))),
            on_unread: Arc::new(move |unread| {
                tracing::error!(%unread, "this replica stops");
                fault.halt(TxnError::Stopped(unread.to_string()));
            }),
        }
    }

    pub(crate) fn of_io(error: &std::io::Error) -> TxnError {
        if error.kind() == std::io::ErrorKind::StorageFull {
            TxnError::DiskFull
        } else {
            TxnError::Stopped(error.to_string())
        }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("id", &self.id)
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// The membership in effect, committed or not.
    pub(crate) fn membership(&self) -> Arc<Membership> {
        self.raft
            .metrics()
            .borrow_watched()
            .membership_config
            .clone()
    }

    /// A link for questions to another member, when its address is known.
    pub(crate) fn control(&self, id: NodeId) -> Option<Link> {
        let membership = self.membership();
        let node = membership.get_node(&id)?;
        Some(self.peers.link(Lane::Control, id, &node.peer_addr))
    }

    /// What this replica says of itself.
    pub(crate) fn status(&self) -> Status {
        let progress = self.published.progress();
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        Status {
            id: self.id,
            name: self.me.name.clone(),
            role: match self.fault.get() {
                Some(_) => Role::Stopped,
                None => role(metrics.state),
            },
            applied_index: progress.applied_next.checked_sub(1),
            revision: progress.revision,
            digest: progress.digest,
            epoch: metrics.vote.leader_id.term,
            leader: metrics.current_leader,
            has_room: *self.space.borrow() == Space::Ample,
        }
    }

    /// What this replica is fit for.
    pub(crate) fn health(&self) -> Health {
        let metrics = self.raft.metrics();
        let committed = {
            let now = metrics.borrow_watched();
            now.cluster_committed.max(now.local_committed)
        };
        Health::of(&Condition {
            stopped: self.fault.get().map(|fault| fault.to_string()),
            has_leader: self.leadership.borrow().leader.is_some(),
            applied: self.published.progress().applied_next.saturating_sub(1),
            committed: committed.map_or(0, |at| at.index),
            differs: self.alarm.get().map(|difference| difference.to_string()),
            log_space_exhausted: *self.space.borrow() == Space::Exhausted,
        })
    }

    /// What to answer when consensus itself has failed.
    pub(crate) fn stopped(&self, reason: &impl std::fmt::Display) -> TxnError {
        self.fault
            .get()
            .unwrap_or_else(|| TxnError::Stopped(reason.to_string()))
    }
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Stopped,
    }
}
