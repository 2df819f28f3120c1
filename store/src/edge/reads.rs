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
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
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
            Ok(Some(index)) => Ok(index),
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
) -> Option<u64> {
    let leads = vote.committed && vote.leader_id.voted_for == me;
    // While the members change there are two, which both need a quorum.
    let [voters] = configs else { return None };
    let both = BTreeSet::from([me, witness.node]);
    let is_quorum = both.is_subset(voters) && both.len() * 2 > voters.len();
    // Earlier entries may be committed without its knowledge until it has committed one of its own.
    let committed = committed.filter(|at| at.committed_leader_id().term == vote.leader_id.term)?;
    (leads && witness.vote == *vote && is_quorum).then_some(committed.index)
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

    #[test]
    fn a_question_confirms_what_a_heartbeat_would() {
        let (led, voted) = (Vote::new_committed(5, ME), Vote::new(5, ME));
        let three = || vec![BTreeSet::from([1, 2, 3])];
        let committed = Some(log_id(5, 40));
        // The leader's vote, the members, what is committed, who asks with which vote, and the read index.
        let table = [
            (
                "a voter of three",
                led,
                three(),
                committed,
                (2, led),
                Some(40),
            ),
            (
                "one of two",
                led,
                vec![BTreeSet::from([1, 2])],
                committed,
                (2, led),
                Some(40),
            ),
            (
                "five need a third",
                led,
                vec![(1..=5).collect()],
                committed,
                (2, led),
                None,
            ),
            ("a learner", led, three(), committed, (4, led), None),
            ("itself", led, three(), committed, (ME, led), None),
            (
                "the leader left",
                led,
                vec![BTreeSet::from([2, 3])],
                committed,
                (2, led),
                None,
            ),
            (
                "members change",
                led,
                [three(), three()].concat(),
                committed,
                (2, led),
                None,
            ),
            (
                "it voted again",
                led,
                three(),
                committed,
                (2, Vote::new(6, 3)),
                None,
            ),
            (
                "it heard of another",
                led,
                three(),
                committed,
                (2, Vote::new_committed(6, 3)),
                None,
            ),
            (
                "it is behind",
                led,
                three(),
                committed,
                (2, Vote::new_committed(4, 3)),
                None,
            ),
            (
                "it only voted so far",
                led,
                three(),
                committed,
                (2, voted),
                None,
            ),
            (
                "not elected yet",
                voted,
                three(),
                committed,
                (2, voted),
                None,
            ),
            (
                "no longer leader",
                Vote::new_committed(6, 3),
                three(),
                committed,
                (2, led),
                None,
            ),
            (
                "both follow another",
                Vote::new_committed(6, 3),
                three(),
                Some(log_id(6, 41)),
                (2, Vote::new_committed(6, 3)),
                None,
            ),
            (
                "nothing of its own yet",
                led,
                three(),
                Some(log_id(4, 40)),
                (2, led),
                None,
            ),
            ("nothing at all", led, three(), None, (2, led), None),
        ];
        for (case, vote, configs, committed, (node, theirs), expected) in table {
            let witness = Witness { node, vote: theirs };
            let index = seconded(ME, &vote, &configs, committed.as_ref(), &witness);
            assert_eq!(index, expected, "{case}");
        }
    }
}
