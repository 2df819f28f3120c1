//! Linearizable read points: concurrent barriers share one ReadIndex round.

use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::edge::core::Core;
use crate::edge::link::LinkError;
use crate::error::TxnError;
use crate::faults::{Point, Verdict};
use crate::wire::{Answer, Ask, Refusal};

const ROUND_READERS: usize = 1024;
const ROUND_MAX: Duration = Duration::from_secs(2);
pub(crate) const QUEUE: usize = 4096;

/// Somebody waiting for an index that everything acknowledged before it asked is at or below.
pub(crate) type ReadIndex = oneshot::Sender<Result<u64, Refusal>>;

/// Answers in rounds until the queue is closed. A round begins after its readers have asked.
pub(crate) async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<ReadIndex>) {
    let mut readers = Vec::new();
    while queue.recv_many(&mut readers, ROUND_READERS).await > 0 {
        let started = Instant::now();
        match readers.len() {
            1 => core.idle_poll.lone(),
            _ => core.idle_poll.crowd(),
        }
        let index = core.read_index_round().await;
        core.metrics.read(readers.len(), started.elapsed());
        for reader in readers.drain(..) {
            reader.send(index.clone()).ok();
        }
    }
}

impl Core {
    /// A read index of the leader, from here or over the network.
    pub(crate) async fn read_index(&self) -> Result<u64, Refusal> {
        let (answer, wait) = oneshot::channel();
        let stopped = || Refusal::Error(self.stopped(&"it is shutting down"));
        self.reads.send(answer).await.map_err(|_closed| stopped())?;
        wait.await.unwrap_or(Err(Refusal::Unknown))
    }

    async fn read_index_round(&self) -> Result<u64, Refusal> {
        let leadership = *self.leadership.borrow();
        match leadership.leader {
            Some(_) if leadership.is_local => self.read_index_here().await,
            Some(leader) => {
                let link = self.control(leader).ok_or(Refusal::NotLeader)?;
                match link.ask(Ask::ReadIndex, ROUND_MAX).await {
                    Ok(Answer::Index(index)) => index.map_err(Refusal::heard_afar),
                    Ok(_)
                    | Err(LinkError::Unreachable | LinkError::Broken | LinkError::Timeout) => {
                        Err(Refusal::NotLeader)
                    }
                }
            }
            None => Err(Refusal::NotLeader),
        }
    }

    /// Confirms with a quorum that this replica still leads. Reading twice does no harm, so
    /// everything but a stopped replica is worth a retry.
    async fn read_index_here(&self) -> Result<u64, Refusal> {
        match self.faults.meet(Point::ReadIndex).await {
            Ok(Verdict::Honest) => {}
            Ok(Verdict::Lie) => {
                return Ok(self.published.progress().applied_next.saturating_sub(1));
            }
            Err(_told) => return Err(Refusal::NotLeader),
        }
        let confirmed = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        match confirmed {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(
                LinearizableReadError::ForwardToLeader(_)
                | LinearizableReadError::QuorumNotEnough(_),
            )) => Err(Refusal::NotLeader),
            Err(RaftError::Fatal(fatal)) => Err(Refusal::Error(self.stopped(&fatal))),
        }
    }
}

/// The error a reader sees when a refusal cannot be retried.
pub(crate) fn final_error(refusal: &Refusal) -> Option<TxnError> {
    match refusal {
        Refusal::Error(error) => Some(error.clone()),
        Refusal::NotLeader | Refusal::Unknown => None,
    }
}
