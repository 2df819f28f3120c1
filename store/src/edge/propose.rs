//! Proposals on the leader: transactions that arrive together share a log entry.

use std::sync::Arc;

use openraft::errors::{ClientWriteError, RaftError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument;

use crate::command::{Command, Proposal, Response};
use crate::edge::core::{Core, Fault};
use crate::edge::metrics::Metrics;
use crate::error::TxnError;
use crate::raft::{RaftHandle, Types};
use crate::txn::{Txn, TxnOutcome};
use crate::wire::Refusal;

/// Entries proposed and not yet applied. While all are taken, further transactions gather in the
/// next entry: that is what turns load into larger batches instead of longer queues.
const IN_FLIGHT: usize = 4;
const BATCH_TXNS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
pub(crate) const QUEUE: usize = 4096;

/// A transaction waiting to be proposed.
pub(crate) struct Proposed {
    pub(crate) txn: Txn,
    pub(crate) size: usize,
    pub(crate) answer: oneshot::Sender<Result<TxnOutcome, Refusal>>,
}

/// Proposes until the queue is closed.
pub(crate) async fn run(
    raft: RaftHandle,
    fault: Arc<Fault>,
    metrics: Metrics,
    mut queue: mpsc::Receiver<Proposed>,
) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut gathered: Vec<Proposed> = Vec::new();
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        if gathered.is_empty() && queue.recv_many(&mut gathered, BATCH_TXNS).await == 0 {
            return;
        }
        let batch: Vec<Proposed> = gathered.drain(..fitting(&gathered)).collect();
        let span = tracing::debug_span!("propose", txns = batch.len());
        let (raft, fault, metrics) = (raft.clone(), Arc::clone(&fault), metrics.clone());
        tokio::spawn(commit(raft, fault, metrics, batch, slot).instrument(span));
    }
}

/// How many from the front fit one entry; at least one.
fn fitting(gathered: &[Proposed]) -> usize {
    let mut bytes = 0;
    let fits = gathered.iter().take_while(|proposed| {
        bytes += proposed.size;
        bytes <= BATCH_BYTES
    });
    fits.count().max(1).min(gathered.len())
}

async fn commit(
    raft: RaftHandle,
    fault: Arc<Fault>,
    metrics: Metrics,
    batch: Vec<Proposed>,
    _slot: OwnedSemaphorePermit,
) {
    let (txns, answers): (Vec<Txn>, Vec<_>) = batch
        .into_iter()
        .map(|proposed| (proposed.txn, proposed.answer))
        .unzip();
    let started = Instant::now();
    let written = write(&raft, &fault, Command::Txns(txns)).await;
    metrics.committed(answers.len(), started.elapsed());
    let outcomes = match written {
        Ok(Response::Txns(outcomes)) => outcomes.into_iter().map(Ok).collect(),
        Ok(Response::None | Response::Node(_)) => vec![Err(Refusal::Unknown); answers.len()],
        Err(refusal) => vec![Err(refusal); answers.len()],
    };
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        // A proposer that gave up retries with the same id.
        answer.send(outcome).ok();
    }
}

/// Puts one command through the log.
pub(crate) async fn write(
    raft: &RaftHandle,
    fault: &Fault,
    command: Command,
) -> Result<Response, Refusal> {
    let proposal = Proposal::encode(&command)
        .map_err(|error| Refusal::Error(TxnError::Stopped(error.to_string())))?;
    match raft.client_write(proposal).await {
        Ok(written) => Ok(written.data),
        Err(error) => Err(refusal(error, fault)),
    }
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
    /// Proposes a transaction here; refused unless this replica leads.
    pub(crate) async fn propose(&self, txn: Txn, size: usize) -> Result<TxnOutcome, Refusal> {
        let started = Instant::now();
        let (answer, wait) = oneshot::channel();
        let stopped = || Refusal::Error(self.stopped(&"it is shutting down"));
        self.proposals
            .send(Proposed { txn, size, answer })
            .await
            .map_err(|_closed| stopped())?;
        let answer = wait.await.unwrap_or(Err(Refusal::Unknown));
        self.metrics.proposed(label(&answer), started.elapsed());
        answer
    }
}
