//! Proposals on the leader: transactions that arrive together share a log entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument;

use crate::command::{Proposal, Response, Txns};
use crate::edge::core::{Core, Fault};
use crate::edge::haste::Haste;
use crate::edge::log::position;
use crate::edge::metrics::Metrics;
use crate::edge::server::Reply;
use crate::edge::wal::pool::Space;
use crate::error::TxnError;
use crate::growth::grows;
use crate::item::NodeId;
use crate::raft::{RaftHandle, Types};
use crate::txn::TxnOutcome;
use crate::wire::{Answer, Refusal};

/// Entries proposed and not yet applied. While all are taken, further transactions gather in the
/// next entry: that is what turns load into larger batches instead of longer queues.
const IN_FLIGHT: usize = 2;
const BATCH_TXNS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
pub(crate) const QUEUE: usize = 4096;

/// An encoded transaction waiting to be proposed.
pub(crate) struct Proposed {
    pub(crate) txn: Bytes,
    pub(crate) asker: Asker,
    pub(crate) came: Instant,
}

impl Proposed {
    /// The member whose replica the asker waits for.
    fn asking_member(&self) -> Option<NodeId> {
        match &self.asker {
            Asker::Here(_) => None,
            Asker::Afar(afar) => Some(afar.member),
        }
    }

    /// The member, if it looks out for the entry itself.
    fn watching_member(&self) -> Option<NodeId> {
        match &self.asker {
            Asker::Afar(afar) if afar.watches => Some(afar.member),
            Asker::Here(_) | Asker::Afar(_) => None,
        }
    }
}

/// Who is told what became of it.
pub(crate) enum Asker {
    /// A caller in this process.
    Here(oneshot::Sender<Result<TxnOutcome, Refusal>>),
    Afar(Afar),
}

/// Another member, which is answered on its connection.
pub(crate) struct Afar {
    pub(crate) member: NodeId,
    pub(crate) answers: mpsc::Sender<Reply>,
    /// The question's number.
    pub(crate) id: u64,
    /// It needs no answer once it has applied the entry.
    pub(crate) watches: bool,
}

impl Asker {
    /// An asker that gave up retries under the same request id, so nobody minds if it is gone. A
    /// connection that cannot take the answer at once must not hold up the others of an entry. One that is not waited
    /// for need not be `in_time`.
    pub(crate) fn answer(self, outcome: Result<TxnOutcome, Refusal>, in_time: bool) {
        match self {
            Self::Here(answer) => drop(answer.send(outcome)),
            Self::Afar(Afar { answers, id, .. }) => {
                let answer = Answer::Outcome(outcome);
                let told = answers.try_send(Reply {
                    id,
                    answer,
                    in_time,
                });
                if let Err(TrySendError::Full(answer)) = told {
                    tokio::spawn(async move { answers.send(answer).await.ok() });
                }
            }
        }
    }
}

/// What an entry's way needs.
#[derive(Clone)]
pub(crate) struct Proposer {
    pub(crate) raft: RaftHandle,
    pub(crate) fault: Arc<Fault>,
    pub(crate) metrics: Metrics,
    pub(crate) haste: Haste,
}

/// Proposes until the queue is closed.
pub(crate) async fn run(proposer: Proposer, mut queue: mpsc::Receiver<Proposed>) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut gathered: Vec<Proposed> = Vec::new();
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        if gathered.is_empty() && queue.recv_many(&mut gathered, BATCH_TXNS).await == 0 {
            return;
        }
        let batch: Vec<Proposed> = gathered.drain(..fitting(&gathered)).collect();
        let span = tracing::debug_span!("propose", txns = batch.len());
        tokio::spawn(commit(proposer.clone(), batch, slot).instrument(span));
    }
}

/// How many from the front fit one entry; at least one.
fn fitting(gathered: &[Proposed]) -> usize {
    let mut bytes = 0;
    let fits = gathered.iter().take_while(|proposed| {
        bytes += proposed.txn.len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1).min(gathered.len())
}

async fn commit(proposer: Proposer, batch: Vec<Proposed>, slot: OwnedSemaphorePermit) {
    let entry = Proposal::txns(batch.iter().map(|proposed| &proposed.txn));
    let started = Instant::now();
    let Proposer {
        raft,
        fault,
        metrics,
        haste,
    } = proposer;
    let afar = batch.iter().find_map(Proposed::asking_member);
    let (asks, watches) = match &batch[..] {
        [proposed] => (proposed.asking_member(), proposed.watching_member()),
        _ => (None, None),
    };
    asks.inspect(|member| haste.prefer(*member));
    haste.ask(watches);
    let written = write(&raft, &fault, entry).await;
    let mut in_time = true;
    if let (Ok(written), Some(_)) = (&written, afar) {
        let entry = position(written.log_id);
        in_time = watches.is_none_or(|member| !haste.knows(member, entry));
        if in_time {
            haste.upto(written.log_id.index);
        }
    }
    metrics.committed(batch.len(), started.elapsed());
    // The next entry need not wait until everybody has been told about this one.
    drop(slot);
    let mut outcomes = match written.map(|written| written.data) {
        Ok(Response::Txns(outcomes)) => Ok(outcomes.into_iter()),
        Ok(Response::None | Response::Node(_)) => Err(Refusal::Unknown),
        Err(refusal) => Err(refusal),
    };
    let now = Instant::now();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for proposed in batch {
        let outcome = match &mut outcomes {
            Ok(outcomes) => outcomes.next().ok_or(Refusal::Unknown),
            Err(refusal) => Err(refusal.clone()),
        };
        *counts.entry(label(&outcome)).or_default() += 1;
        metrics.answered(now - proposed.came);
        proposed.asker.answer(outcome, in_time);
    }
    for (outcome, txns) in counts {
        metrics.proposed(outcome, txns);
    }
}

/// Puts one command through the log.
pub(crate) async fn write(
    raft: &RaftHandle,
    fault: &Fault,
    proposal: Proposal,
) -> Result<ClientWriteResponse<Types>, Refusal> {
    let written = raft.client_write(proposal).await;
    written.map_err(|error| refusal(error, fault))
}

/// Translates why openraft did not write.
pub(crate) fn refusal(error: RaftError<Types, ClientWriteError<Types>>, fault: &Fault) -> Refusal {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Refusal::NotLeader,
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Refusal::Unknown,
        RaftError::APIError(
            error @ (ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_)),
        ) => Refusal::Error(TxnError::Membership(error.to_string())),
        RaftError::Fatal(fatal) => Refusal::Error(
            fault
                .get()
                .unwrap_or_else(|| TxnError::Stopped(fatal.to_string())),
        ),
    }
}

fn label(answer: &Result<TxnOutcome, Refusal>) -> &'static str {
    match answer {
        Ok(TxnOutcome::Applied { .. }) => "applied",
        Ok(TxnOutcome::Refused { .. }) => "refused",
        Err(Refusal::NotLeader) => "not-leader",
        Err(Refusal::Unknown) => "unknown",
        Err(Refusal::Error(_)) => "failed",
    }
}

impl Core {
    /// Proposes an encoded transaction here; refused unless this replica leads.
    pub(crate) async fn propose(&self, txn: Bytes) -> Result<TxnOutcome, Refusal> {
        let (answer, wait) = oneshot::channel();
        self.enqueue(txn, Asker::Here(answer)).await;
        wait.await.unwrap_or(Err(Refusal::Unknown))
    }

    /// Queues an encoded transaction; whoever asked is answered, now or later.
    pub(crate) async fn enqueue(&self, txn: Bytes, asker: Asker) {
        if self.lacks_room_for(&txn) {
            return asker.answer(Err(Refusal::Error(TxnError::LowSpace)), true);
        }
        let came = Instant::now();
        let proposed = Proposed { txn, asker, came };
        if let Err(mpsc::error::SendError(unsent)) = self.proposals.send(proposed).await {
            let stopped = Refusal::Error(self.stopped(&"it is shutting down"));
            unsent.asker.answer(Err(stopped), true);
        }
    }

    /// With the last segments of the log ahead, only what makes room is taken: it must still fit when
    /// everything else does not.
    fn lacks_room_for(&self, encoded: &Bytes) -> bool {
        if *self.space.borrow() == Space::Ample {
            return false;
        }
        match Txns::one(encoded) {
            Some(txn) => grows(&self.published.view(), &txn),
            None => false,
        }
    }
}
