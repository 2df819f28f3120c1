//! From a computation to a commit: compute on a view, write under guards, compute again if refused.

use jiff::Timestamp;
use store::{Guard, Txn, TxnOutcome, View};

use super::Engine;
use super::settled::{Settled, preview, recall, settle};
use crate::ids::Ids;
use crate::status::Failure;
use crate::verbs::Answer;
use crate::world::{Commit, World};

/// How often a write is computed anew when somebody was faster, as Kubernetes for patches.
const ATTEMPTS: u32 = 6;

/// What a commit needs beside the computation.
#[derive(Clone, Debug)]
pub struct Request {
    /// The store's request ids.
    pub ids: Ids,
    /// The proposer's stamp.
    pub now: Timestamp,
    /// Compute, and answer, but write nothing.
    pub dry_run: bool,
    /// The client chose the id, so that this may be its second attempt at what was done already.
    pub named: bool,
}

impl Request {
    pub(super) fn stamp_ms(&self) -> u64 {
        u64::try_from(self.now.as_millisecond()).unwrap_or(0)
    }
}

impl Engine {
    /// Computes and commits.
    pub(super) async fn commit<F>(&self, compute: F, request: &Request) -> Result<Settled, Failure>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        // A view is confirmed once it is known to hold everything acknowledged before the request.
        // No guard tells a dry run that its view was stale.
        let mut confirmed = request.dry_run;
        if confirmed {
            self.store.barrier().await?;
        }
        let mut view = self.store.view();
        for attempt in 0..ATTEMPTS {
            let mut world = World::new(view.clone()).with_vault(&self.vault);
            let answers = match compute(&mut world) {
                Ok(answers) => answers,
                Err(failure) if confirmed || !depends_on_state(&failure) => {
                    return self.done_already(&compute, request).await?.ok_or(failure);
                }
                // Perhaps this replica just lags: look again before saying so.
                Err(_) => {
                    self.store.barrier().await?;
                    (view, confirmed) = (self.store.view(), true);
                    continue;
                }
            };
            if request.dry_run {
                return Ok(preview(&world, answers));
            }
            if world.lacks_key() {
                self.ensure_data_key(request).await?;
                view = self.store.view();
                continue;
            }
            let commit = world.commit(request.ids.request(attempt), request.stamp_ms())?;
            if commit.is_empty() && commit.txn.guards.is_empty() {
                return Ok(settle(&commit, &[], &answers, &[], commit.view_revision));
            }
            match self.propose(commit, &answers).await? {
                Proposed::Settled(settled) => return Ok(settled),
                Proposed::Refused(newer) => (view, confirmed) = (*newer, true),
            }
        }
        Err(
            Failure::conflict_text("too many writers at once on the same objects: try again")
                .retry_after(1),
        )
    }

    async fn propose(&self, mut commit: Commit, answers: &[Answer]) -> Result<Proposed, Failure> {
        let ops = commit.txn.ops.clone();
        let txn = std::mem::replace(&mut commit.txn, empty_txn());
        match self.store.txn(txn).await? {
            TxnOutcome::Applied { revision, .. } if revision < commit.view_revision => {
                let view = self
                    .store
                    .view_at(revision)
                    .unwrap_or_else(|_| self.store.view());
                Ok(Proposed::Settled(recall(
                    (&view, &self.vault),
                    answers,
                    revision,
                )))
            }
            TxnOutcome::Applied {
                revision,
                revisions,
            } => Ok(Proposed::Settled(settle(
                &commit, &ops, answers, &revisions, revision,
            ))),
            TxnOutcome::Refused { guard, .. } if commit.is_epoch(guard) => {
                const TEXT: &str = "the leadership epoch of this request has ended";
                Err(Failure::conflict_text(TEXT).within(&format!("guards[{guard}]")))
            }
            TxnOutcome::Refused { revision, .. } => {
                let view = self.reach(revision).await?;
                Ok(Proposed::Refused(Box::new(view)))
            }
        }
    }

    /// A request that fails now may have succeeded before and lost its answer: the store remembers
    /// its id. An impossible guard makes sure that asking writes nothing.
    async fn done_already<F>(
        &self,
        compute: &F,
        request: &Request,
    ) -> Result<Option<Settled>, Failure>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        if !request.named || request.dry_run {
            return Ok(None);
        }
        for attempt in 0..ATTEMPTS {
            let never = Guard::Exists(bytes::Bytes::from_static(b"/never"));
            let txn = Txn {
                request_id: request.ids.request(attempt),
                stamp_ms: request.stamp_ms(),
                guards: vec![never],
                ops: Vec::new(),
            };
            if let TxnOutcome::Applied {
                revision,
                revisions,
            } = self.store.txn(txn).await?
            {
                let answers = self.answers_before(compute, before(revision, &revisions));
                let view = self
                    .store
                    .view_at(revision)
                    .unwrap_or_else(|_| self.store.view());
                return Ok(Some(recall((&view, &self.vault), &answers, revision)));
            }
        }
        Ok(None)
    }

    /// What the first attempt answered: the computation, on the state before its commit.
    fn answers_before<F>(&self, compute: &F, before: u64) -> Vec<Answer>
    where
        F: Fn(&mut World) -> Result<Vec<Answer>, Failure> + Send + Sync,
    {
        let view = self.store.view_at(before).ok();
        view.and_then(|view| compute(&mut World::new(view).with_vault(&self.vault)).ok())
            .unwrap_or_default()
    }
}

/// The revision before a commit that ended at `revision`: its changes took the last ones in a row.
fn before(revision: u64, revisions: &[u64]) -> u64 {
    let mut at = revision;
    while at > 0 && revisions.contains(&at) {
        at -= 1;
    }
    at
}

enum Proposed {
    Settled(Settled),
    Refused(Box<View>),
}

fn empty_txn() -> Txn {
    Txn {
        request_id: 0,
        stamp_ms: 0,
        guards: Vec::new(),
        ops: Vec::new(),
    }
}

/// True for failures that a fresher view might turn into success, or into another failure.
fn depends_on_state(failure: &Failure) -> bool {
    matches!(failure.code(), 403 | 404 | 409 | 422)
}
