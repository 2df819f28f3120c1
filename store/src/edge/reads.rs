//! Linearizable read points: concurrent barriers share one ReadIndex round.
//!
//! A follower's question is a confirmation itself: it tells the follower's vote, taken after its readers asked. In a
//! cluster of three, follower and leader are a quorum, and nobody else needs to be asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::edge::core::Core;
use crate::edge::link::LinkError;
use crate::edge::pair::{is_quorum, leads};
use crate::error::TxnError;
use crate::faults::{Point, Verdict};
use crate::item::NodeId;
use crate::raft::{LogId, Vote};
use crate::wire::{Answer, Ask, Refusal, Witness};

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
                let witness = self.witness().await?;
                match link.ask(Ask::ReadIndex(witness), ROUND_MAX).await {
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
        if let Some(told) = self.read_index_told().await {
            return told;
        }
        let confirmed = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
        match confirmed {
            Ok(linearizer) => {
                // At least the entry with which this leader began.
                let at = linearizer.read_log_id();
                let term = at.committed_leader_id().term;
                Ok(self.haste.read_index(term, at.index()))
            }
            Err(RaftError::APIError(
                LinearizableReadError::ForwardToLeader(_)
                | LinearizableReadError::QuorumNotEnough(_),
            )) => Err(Refusal::NotLeader),
            Err(RaftError::Fatal(fatal)) => Err(Refusal::Error(self.stopped(&fatal))),
        }
    }
}

impl Core {
    /// What a failpoint has to say instead.
    async fn read_index_told(&self) -> Option<Result<u64, Refusal>> {
        match self.faults.meet(Point::ReadIndex).await {
            Ok(Verdict::Honest) => None,
            Ok(Verdict::Lie) => Some(Ok(self.published.progress().applied_next.saturating_sub(1))),
            Err(_told) => Some(Err(Refusal::NotLeader)),
        }
    }

    /// This member's vote, after all that consensus has done so far.
    async fn witness(&self) -> Result<Witness, Refusal> {
        let vote = self.raft.with_raft_state(|state| *state.vote_ref()).await;
        let vote = vote.map_err(|fatal| Refusal::Error(self.stopped(&fatal)))?;
        Ok(Witness {
            node: self.id,
            vote,
        })
    }

    /// A read index for another member, confirmed by its question or else by a round.
    pub(crate) async fn read_index_for(&self, witness: Witness) -> Result<u64, Refusal> {
        if let Some(told) = self.read_index_told().await {
            return told;
        }
        let me = self.id;
        let seconded = self.raft.with_raft_state(move |state| {
            let membership = state.membership_state.effective().membership();
            let configs = membership.get_joint_config();
            let committed = state.cluster_committed();
            seconded(me, state.vote_ref(), configs, committed, &witness)
        });
        match seconded.await {
            Ok(Some(at)) => Ok(self.haste.read_index(at.leader_id.term, at.index)),
            Ok(None) => self.read_index().await,
            Err(fatal) => Err(Refusal::Error(self.stopped(&fatal))),
        }
    }
}

/// The read index of a leader with this vote, membership and commit, if the witness is all the confirmation it needs:
/// both of them had voted for nobody since when the witness asked, and without them there is no quorum.
fn seconded(
    me: NodeId,
    vote: &Vote,
    configs: &[BTreeSet<NodeId>],
    committed: Option<&LogId>,
    witness: &Witness,
) -> Option<LogId> {
    let is_quorum = is_quorum(me, witness.node, configs);
    // Earlier entries may be committed without its knowledge until it has committed one of its own.
    let committed = committed.filter(|at| at.committed_leader_id().term == vote.leader_id.term)?;
    (leads(me, vote) && witness.vote == *vote && is_quorum).then_some(*committed)
}

/// The error a reader sees when a refusal cannot be retried.
pub(crate) fn final_error(refusal: &Refusal) -> Option<TxnError> {
    match refusal {
        Refusal::Error(error) => Some(error.clone()),
        Refusal::NotLeader | Refusal::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::log_id;

    const ME: NodeId = 1;
    const THREE: &[&[NodeId]] = &[&[1, 2, 3]];

    /// The read index with the leader's vote, the members, what is committed, and who asks with which vote.
    fn asked(
        vote: Vote,
        configs: &[&[NodeId]],
        committed: Option<LogId>,
        node: NodeId,
        theirs: Vote,
    ) -> Option<u64> {
        let configs = configs.iter().map(|ids| ids.iter().copied().collect());
        let configs: Vec<BTreeSet<NodeId>> = configs.collect();
        let witness = Witness { node, vote: theirs };
        let read = seconded(ME, &vote, &configs, committed.as_ref(), &witness);
        read.map(|at| at.index)
    }

    #[test]
    fn a_question_confirms_what_a_heartbeat_would() {
        let (led, at) = (Vote::new_committed(5, ME), Some(log_id(5, 40)));
        assert_eq!(asked(led, THREE, at, 2, led), Some(40), "of three");
        assert_eq!(asked(led, &[&[1, 2]], at, 2, led), Some(40), "of two");
        let five: &[NodeId] = &[1, 2, 3, 4, 5];
        assert_eq!(asked(led, &[five], at, 2, led), None, "five need a third");
        assert_eq!(asked(led, THREE, at, 4, led), None, "a learner");
        assert_eq!(asked(led, THREE, at, ME, led), None, "itself");
        assert_eq!(asked(led, &[&[2, 3]], at, 2, led), None, "the leader left");
        let joint: &[&[NodeId]] = &[&[1, 2, 3], &[1, 2, 4]];
        assert_eq!(asked(led, joint, at, 2, led), None, "members change");
        let before = Some(log_id(4, 40));
        assert_eq!(
            asked(led, THREE, before, 2, led),
            None,
            "nothing of its own"
        );
        assert_eq!(asked(led, THREE, None, 2, led), None, "nothing at all");
    }

    #[test]
    fn another_vote_confirms_nothing() {
        let (led, at) = (Vote::new_committed(5, ME), Some(log_id(5, 40)));
        let (voted, other) = (Vote::new(5, ME), Vote::new_committed(6, 3));
        let theirs = |vote| asked(led, THREE, at, 2, vote);
        assert_eq!(theirs(Vote::new(6, 3)), None, "it voted again");
        assert_eq!(theirs(other), None, "it follows another");
        assert_eq!(theirs(Vote::new_committed(4, 3)), None, "it is behind");
        assert_eq!(theirs(voted), None, "it has not heard from the leader");
        assert_eq!(asked(voted, THREE, at, 2, voted), None, "not elected yet");
        assert_eq!(asked(other, THREE, at, 2, led), None, "no longer leader");
        let at = Some(log_id(6, 41));
        assert_eq!(asked(other, THREE, at, 2, other), None, "both follow");
    }
}
