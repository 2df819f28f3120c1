//! The tasks of a running replica and their orderly end.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::edge::alarm;
use crate::edge::checkpoints;
use crate::edge::core::Core;
use crate::edge::engine::Engine;
use crate::edge::identity;
use crate::edge::membership;
use crate::edge::pair;
use crate::edge::propose::{self, Proposed, Proposer};
use crate::edge::reads::{self, ReadIndex};
use crate::edge::room;
use crate::edge::vigil;
use crate::error::TxnError;
use crate::item::NodeId;
use crate::member::Leadership;
use crate::wire::MemberChange;

/// Leadership is handed over before a planned stop, if that is quick.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
const ANNOUNCE_RETRY: Duration = Duration::from_millis(500);

/// Drives a replica. Dropping it without running it ends the replica as a crash would.
#[derive(Debug)]
pub struct Service {
    core: Arc<Core>,
    tasks: Tasks,
    stop: CancellationToken,
    /// Last, so that it ends after everything that runs on it was told to.
    _engine: Engine,
}

/// What `start` leaves behind on the engine.
pub(crate) struct Running {
    pub(crate) core: Arc<Core>,
    pub(crate) tasks: Tasks,
    pub(crate) stop: CancellationToken,
}

/// The replica's own tasks.
#[derive(Debug)]
pub(crate) struct Tasks(JoinSet<()>);

impl Service {
    pub(crate) fn new(running: Running, engine: Engine) -> Self {
        let Running { core, tasks, stop } = running;
        Self {
            core,
            tasks,
            stop,
            _engine: engine,
        }
    }

    /// Runs until `shutdown` is cancelled, then hands leadership over and stops in order. Returns an
    /// error when the replica had to stop by itself, e.g. because its log cannot be written.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), TxnError> {
        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            reason = self.core.failed() => Some(reason),
        };
        if failed.is_none() {
            self.core.hand_over().await;
        }
        let reason = failed
            .clone()
            .unwrap_or_else(|| TxnError::Stopped("it was shut down".into()));
        self.core.fault.set(reason);
        self.stop.cancel();
        if tokio::time::timeout(SHUTDOWN_MAX, self.core.raft.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("consensus did not stop in time");
        }
        self.core.log.close();
        // On return the data directory is free for the next start.
        if tokio::time::timeout(SHUTDOWN_MAX, self.core.log.closed())
            .await
            .is_err()
        {
            tracing::warn!("the log was not released in time");
        }
        self.tasks.0.shutdown().await;
        self.core.checkpointer.idle().await;
        failed.map_or(Ok(()), Err)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
        self.core.log.close();
    }
}

impl Tasks {
    pub(crate) fn spawn(
        core: &Arc<Core>,
        proposed: mpsc::Receiver<Proposed>,
        asked: mpsc::Receiver<ReadIndex>,
        leads: watch::Sender<Leadership>,
        stop: CancellationToken,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let proposer = Proposer {
            raft: core.raft.clone(),
            fault: Arc::clone(&core.fault),
            metrics: core.metrics.clone(),
            haste: core.haste.clone(),
        };
        tasks.spawn(propose::run(proposer, proposed));
        tasks.spawn(reads::run(Arc::clone(core), asked));
        tasks.spawn(watch_server(Arc::clone(core), leads));
        tasks.spawn(vigil::run(Arc::clone(core)));
        tasks.spawn(alarm::run(Arc::clone(core)));
        tasks.spawn(checkpoints::run(Arc::clone(core)));
        tasks.spawn(announce(Arc::clone(core)));
        tasks.spawn(room::run(Arc::clone(core)));
        tasks.spawn(pair::run(Arc::clone(core)));
        tasks.spawn(membership::steward(Arc::clone(core), stop));
        Self(tasks)
    }
}

impl Core {
    /// Resolves when consensus has stopped by itself, or this replica was told to halt.
    async fn failed(&self) -> TxnError {
        tokio::select! {
            () = self.fault.halted() => self.stopped(&"it was halted"),
            reason = self.consensus_failed() => reason,
        }
    }

    async fn consensus_failed(&self) -> TxnError {
        // Its full metrics change with every message, and this task waits on the caller's runtime, which
        // a write must not wake for nothing. What is waited on here changes with leaders and members, and
        // ends when consensus does.
        let mut server = self.raft.server_metrics();
        while server.changed().await.is_ok() {}
        let running = self.raft.metrics().borrow_watched().running_state.clone();
        match running {
            Err(fatal) => self.stopped(&fatal),
            Ok(()) => self.stopped(&"consensus ended"),
        }
    }

    async fn hand_over(&self) {
        if !self.leadership.borrow().is_local {
            return;
        }
        let Some(heir) = self.heir() else { return };
        let transfer = self.change(MemberChange::Transfer(heir));
        if !matches!(
            tokio::time::timeout(HAND_OVER_MAX, transfer).await,
            Ok(Ok(_))
        ) {
            tracing::warn!(heir, "leadership could not be handed over before the stop");
        }
    }

    /// The voter that has come furthest.
    fn heir(&self) -> Option<NodeId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics
            .membership_config
            .voter_ids()
            .filter(|id| *id != self.id);
        let matched = |id: &NodeId| metrics.replication.as_ref()?.get(id).copied().flatten();
        voters
            .filter(|id| matched(id).is_some())
            .max_by_key(matched)
    }
}

impl Core {
    fn note_leadership(&self, now: Leadership, led_by: &mut Option<NodeId>) {
        let Leadership {
            epoch,
            leader,
            is_local,
        } = now;
        tracing::debug!(epoch, leader, is_local, "leadership");
        // While nobody leads the last leader is remembered: it may only have been re-elected.
        if leader.is_some() && *led_by != leader {
            *led_by = leader;
            self.metrics.leader_changed();
            tracing::info!(epoch, leader, is_local, "a replica leads");
        }
    }
}

/// Publishes who leads, and keeps the peers' addresses on disk.
async fn watch_server(core: Arc<Core>, leads: watch::Sender<Leadership>) {
    let mut metrics = core.raft.server_metrics();
    let mut peers = Vec::new();
    let mut led_by = None;
    loop {
        let (now, members) = {
            let server = metrics.borrow_watched();
            let is_local =
                server.state == ServerState::Leader && server.current_leader == Some(core.id);
            let epoch = server.vote.leader_id.term;
            let leader = server.current_leader;
            (
                Leadership {
                    epoch,
                    leader,
                    is_local,
                },
                server.committed_membership_config.clone(),
            )
        };
        if leads.send_if_modified(|known| std::mem::replace(known, now) != now) {
            core.log.lead(now.is_local);
            core.note_leadership(now, &mut led_by);
        }
        let is_joint = members.membership().get_joint_config().len() > 1;
        let voters = members.voter_ids().filter(|id| *id != core.id).collect();
        core.haste.elect((!is_joint).then_some(voters));
        let others = members.nodes().filter(|(id, _)| **id != core.id);
        let others: Vec<String> = others.map(|(_, node)| node.peer_addr.clone()).collect();
        if !others.is_empty() && others != peers {
            if let Err(error) = identity::write_peers(&core.data_dir, &others, &core.faults) {
                tracing::warn!(%error, "the peers' addresses cannot be saved");
            }
            peers = others;
        }
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the leader when this replica came back under other addresses.
async fn announce(core: Arc<Core>) {
    loop {
        let membership = core.membership();
        match membership.get_node(&core.id) {
            Some(known) if *known == core.me => return,
            Some(_) => {
                let change = MemberChange::Announce(core.id, core.me.clone());
                if core.change_anywhere(change).await.is_ok() {
                    return;
                }
            }
            None => {}
        }
        tokio::time::sleep(ANNOUNCE_RETRY).await;
    }
}
