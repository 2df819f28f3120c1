//! The cheap handle through which everybody uses the store.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::command;
use crate::edge::backup::Backup;
use crate::edge::core::Core;
use crate::edge::identity;
use crate::edge::link::{Link, LinkError, Pending, received};
use crate::edge::metrics;
use crate::edge::options::Options;
use crate::edge::reads::final_error;
use crate::edge::start::start;
use crate::edge::wal::pool::Space;
use crate::error::{StartError, TooNew, TxnError};
use crate::health::Health;
use crate::history::Compacted;
use crate::item::{NodeId, Revision};
use crate::member::{Leadership, Member, NewMember, Node, Role, Status};
use crate::snapshot::View;
use crate::txn::{Txn, TxnOutcome};
use crate::wire::{Answer, Ask, Forwarded, MemberChange, Refusal};

pub use crate::edge::published::Cursor;
pub use crate::edge::service::Service;

/// Answers opaque calls while this replica leads.
pub type LeaderHandler = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Bytes> + Send + Sync>;

/// One attempt; a leader that neither answers nor breaks the connection is given up then.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
const RETRY_PAUSE: Duration = Duration::from_millis(25);
const STATUS_MAX: Duration = Duration::from_secs(1);

/// A handle to the replicated store. Cloning is cheap.
#[derive(Clone)]
pub struct Store {
    core: Arc<Core>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.core).finish()
    }
}

impl Store {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Starts a replica on the data directory, or bootstraps an empty one. A static bootstrap of several
    /// members returns once all of them have been reached. The service must be spawned: dropping
    /// it stops the replica.
    pub async fn start(options: Options) -> Result<(Store, Service), StartError> {
        Box::pin(start(options)).await
    }

    /// Applies the transaction, on whichever replica leads, and waits until this replica shows the result.
    /// Retried across leader changes under one request id, at most `Limits::request` long.
    pub async fn txn(&self, mut txn: Txn) -> Result<TxnOutcome, TxnError> {
        if txn.request_id == 0 {
            txn.request_id = identity::random();
        }
        let (bytes, id) = (encode(&txn)?, txn.request_id);
        drop(txn);
        let max = self.core.limits.txn_bytes_max;
        if bytes.len() > max {
            return Err(TxnError::TooLarge {
                bytes: bytes.len(),
                max,
            });
        }
        let deadline = self.deadline();
        let attempt = |leader| self.core.try_txn(leader, id, bytes.clone());
        let outcome = self.core.retried(deadline, Repeat::Always, attempt).await?;
        let rest = deadline.saturating_duration_since(Instant::now());
        let published = &self.core.published;
        if published.wait_revision(outcome.revision(), rest).await {
            Ok(outcome)
        } else {
            Err(self.core.fault.get().unwrap_or(TxnError::Timeout))
        }
    }

    /// A linearizable read point: `view()` afterwards shows at least everything acknowledged
    /// anywhere before this call. Returns the view's revision.
    pub async fn barrier(&self) -> Result<Revision, TxnError> {
        let deadline = self.deadline();
        let attempt = |_leader| self.core.read_index();
        let index = self.core.retried(deadline, Repeat::Always, attempt).await?;
        let rest = deadline.saturating_duration_since(Instant::now());
        if self.core.published.wait_applied(index, rest).await {
            Ok(self.view().revision())
        } else {
            Err(self.core.fault.get().unwrap_or(TxnError::Timeout))
        }
    }

    /// The latest state of this replica.
    pub fn view(&self) -> View {
        self.core.published.view()
    }

    /// The state exactly as of the revision. A revision this replica has not reached yet yields the
    /// latest view (see its `revision()`; `wait_revision` waits instead).
    pub fn view_at(&self, revision: Revision) -> Result<View, Compacted> {
        self.core.published.view_at(revision)
    }

    /// The oldest revision `view_at` and `changes` still reach.
    pub fn oldest_revision(&self) -> Revision {
        self.core.published.oldest()
    }

    /// Waits until this replica is at the revision or later.
    pub async fn wait_revision(&self, at_least: Revision, limit: Duration) -> Result<View, TooNew> {
        let reached = self.core.published.wait_revision(at_least, limit).await;
        let view = self.view();
        if reached {
            Ok(view)
        } else {
            Err(TooNew {
                current: view.revision(),
            })
        }
    }

    /// All changes after the revision, as they happen.
    pub fn changes(&self, after: Revision) -> Result<Cursor, Compacted> {
        self.core.published.changes(after)
    }

    /// Who leads, now and at every change.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.core.leadership.clone()
    }

    /// Whether the log has room to go on.
    #[cfg(test)]
    pub(crate) fn space(&self) -> watch::Receiver<Space> {
        self.core.log.space()
    }

    /// Asks the leader's handler. Only sent again when it certainly did not arrive.
    pub async fn call_leader(&self, payload: Bytes) -> Result<Bytes, TxnError> {
        let attempt = |leader| self.core.try_call(leader, payload.clone());
        self.core
            .retried(self.deadline(), Repeat::Unsent, attempt)
            .await
    }

    /// Sets who answers `call_leader` while this replica leads.
    pub fn set_leader_handler(&self, handler: LeaderHandler) {
        *self
            .core
            .handler
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(handler);
    }

    /// All members, each asked for its status.
    pub async fn members(&self) -> Result<Vec<Member>, TxnError> {
        if let Some(fault) = self.core.fault.get() {
            return Err(fault);
        }
        let membership = self.core.membership();
        Ok(join_all(
            membership
                .nodes()
                .map(|(id, node)| self.core.member(*id, node)),
        )
        .await)
    }

    /// Takes a replica in as a learner under a fresh id, which it must be started with. One that takes over the name
    /// of a voter is promoted in its place by itself; others are promoted by `promote`.
    pub async fn add_member(&self, member: NewMember) -> Result<NodeId, TxnError> {
        self.core.change_anywhere(MemberChange::Add(member)).await
    }

    /// Gives a learner a vote; waits a while for it to catch up.
    pub async fn promote(&self, id: NodeId) -> Result<(), TxnError> {
        self.core
            .change_anywhere(MemberChange::Promote(id))
            .await
            .map(drop)
    }

    /// Removes a member for good; its id is never used again.
    pub async fn remove(&self, id: NodeId) -> Result<(), TxnError> {
        self.core
            .change_anywhere(MemberChange::Remove(id))
            .await
            .map(drop)
    }

    /// Hands leadership to this voter and waits until somebody else leads.
    pub async fn transfer(&self, id: NodeId) -> Result<(), TxnError> {
        self.core
            .change_anywhere(MemberChange::Transfer(id))
            .await
            .map(drop)
    }

    /// What this replica says of itself.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// What this replica is fit for, by named checks.
    pub fn health(&self) -> Health {
        self.core.health()
    }

    /// Enters the store's figures as they are now. For one scrape: a registry that is kept would show
    /// positions of the past.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        metrics::register(&self.core, registry);
    }

    /// The whole state of this replica as one file; see `backup`. For at least everything acknowledged so
    /// far, call `barrier` before.
    pub fn backup(&self) -> Backup {
        let image = self.core.checkpointer.latest().unwrap_or_default();
        Backup::new(image, self.core.cluster_id)
    }

    /// The cluster's id, which a joining replica must know.
    pub fn cluster_id(&self) -> u128 {
        self.core.cluster_id
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.core.limits.request
    }
}

/// When an attempt may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Repeating does no harm.
    Always,
    /// Only if it certainly had no effect.
    Unsent,
}

impl Core {
    /// Repeats an attempt at the present leader until it is answered, fails for good, or time is up.
    async fn retried<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        deadline: Instant,
        repeat: Repeat,
        attempt: impl Fn(Leadership) -> F,
    ) -> Result<T, TxnError> {
        let mut unknown = false;
        loop {
            if let Some(fault) = self.fault.get() {
                return Err(fault);
            }
            let limit = deadline.min(Instant::now() + ATTEMPT_MAX);
            let refusal = match self.leader_by(limit).await {
                // Who leads cannot be recorded, so it is not known.
                None if *self.space.borrow() == Space::Exhausted => {
                    Refusal::Error(TxnError::LowSpace)
                }
                None => Refusal::NotLeader,
                Some(leader) => match tokio::time::timeout_at(limit, attempt(leader)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(refusal)) => refusal,
                    Err(_elapsed) => Refusal::Unknown,
                },
            };
            if let Some(error) = final_error(&refusal) {
                return Err(error);
            }
            unknown |= refusal == Refusal::Unknown;
            if unknown && repeat == Repeat::Unsent {
                return Err(TxnError::Timeout);
            }
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(if unknown {
                    TxnError::Timeout
                } else {
                    TxnError::NoLeader
                });
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn leader_by(&self, limit: Instant) -> Option<Leadership> {
        let mut leadership = self.leadership.clone();
        let known = leadership.wait_for(|now| now.leader.is_some());
        tokio::time::timeout_at(limit, known)
            .await
            .ok()?
            .ok()
            .map(|now| *now)
    }

    async fn try_txn(&self, at: Leadership, id: u128, txn: Bytes) -> Result<TxnOutcome, Refusal> {
        if at.is_local {
            return self.propose(txn).await;
        }
        let (link, awaited) = (self.leader(at)?, &self.published.awaited);
        let watches = awaited.is_empty();
        let ask = Ask::Propose(Forwarded {
            member: self.id,
            txn,
            watches,
        });
        let answer = if watches {
            let asked = async { heard(link.send_at_once(ask).await).await };
            // Whichever comes first: that it is applied here, or the leader's answer.
            tokio::select! {
                biased;
                outcome = awaited.expect(id) => return Ok(outcome),
                answer = asked => answer?,
            }
        } else {
            // Many at once are written together, by a thread that is awake.
            heard(link.send(ask).await).await?
        };
        if let Answer::Outcome(outcome) = answer {
            outcome.map_err(Refusal::heard_afar)
        } else {
            Err(unfit(&answer))
        }
    }

    async fn try_call(&self, at: Leadership, payload: Bytes) -> Result<Bytes, Refusal> {
        if at.is_local {
            return self.call_here(payload).await;
        }
        let answer = self.ask_leader(at, Ask::Call(payload)).await?;
        if let Answer::Called(called) = answer {
            called.map_err(Refusal::heard_afar)
        } else {
            Err(unfit(&answer))
        }
    }

    /// Answers a call here; refused unless this replica leads.
    pub(crate) async fn call_here(&self, payload: Bytes) -> Result<Bytes, Refusal> {
        if !self.leadership.borrow().is_local {
            return Err(Refusal::NotLeader);
        }
        let handler = self
            .handler
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match handler {
            Some(handler) => Ok(handler(payload).await),
            // It has just been elected and is not ready to answer yet.
            None => Err(Refusal::NotLeader),
        }
    }

    /// Has the leader change the membership.
    pub(crate) async fn change_anywhere(&self, change: MemberChange) -> Result<NodeId, TxnError> {
        let deadline = Instant::now() + self.limits.request;
        let attempt = |leader| self.try_change(leader, change.clone());
        self.retried(deadline, Repeat::Unsent, attempt).await
    }

    async fn try_change(&self, at: Leadership, change: MemberChange) -> Result<NodeId, Refusal> {
        if at.is_local {
            return self.change(change).await;
        }
        let answer = self.ask_leader(at, Ask::Change(change)).await?;
        if let Answer::Changed(changed) = answer {
            changed.map_err(Refusal::heard_afar)
        } else {
            Err(unfit(&answer))
        }
    }

    /// Every attempt has a time limit of its own (see `retried`), so there is none here.
    async fn ask_leader(&self, at: Leadership, ask: Ask) -> Result<Answer, Refusal> {
        heard(self.leader(at)?.send(ask).await).await
    }

    fn leader(&self, at: Leadership) -> Result<Link, Refusal> {
        let link = at.leader.and_then(|leader| self.control(leader));
        link.ok_or(Refusal::NotLeader)
    }

    async fn member(&self, id: NodeId, node: &Node) -> Member {
        let answer = if id == self.id {
            Some((self.status(), std::process::id()))
        } else {
            self.ask_status(id).await
        };
        let status = answer.as_ref().map(|(status, _)| status);
        Member {
            id,
            name: node.name.clone(),
            role: status.map_or(Role::Unreachable, |status| status.role),
            peer_addr: node.peer_addr.clone(),
            api_addr: node.api_addr.clone(),
            reachable: status.is_some(),
            applied_index: status.and_then(|status| status.applied_index),
            revision: status.map(|status| status.revision),
            digest: status.map(|status| format!("{:032x}", status.digest)),
            pid: answer.as_ref().map(|(_, pid)| *pid),
        }
    }

    pub(crate) async fn ask_status(&self, id: NodeId) -> Option<(Status, u32)> {
        match self.control(id)?.ask(Ask::Status, STATUS_MAX).await {
            Ok(Answer::Status(status, pid)) => Some((status, pid)),
            Ok(_) | Err(_) => None,
        }
    }
}

/// What the leader answers to what was sent, or was not.
async fn heard(sent: Result<Pending, LinkError>) -> Result<Answer, Refusal> {
    let answered = match sent {
        Ok(pending) => received(pending.await),
        Err(unsent) => Err(unsent),
    };
    answered.map_err(|error| match error {
        LinkError::Unreachable => Refusal::NotLeader,
        LinkError::Broken | LinkError::Timeout => Refusal::Unknown,
    })
}

fn encode(txn: &Txn) -> Result<Bytes, TxnError> {
    command::encode(txn).map_err(|error| TxnError::Stopped(error.to_string()))
}

/// The leader's replica could not even process the question, e.g. while it starts.
fn unfit(answer: &Answer) -> Refusal {
    tracing::debug!(?answer, "an answer that does not fit");
    Refusal::Unknown
}
