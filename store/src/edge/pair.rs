//! A commit that a follower finds out by itself.
//!
//! An entry of the leader's own term that a quorum has on disk is committed, whoever knows. Of three members two are a
//! quorum. So for a lone write that a follower forwarded, the leader tells that follower once the entry is on its own
//! disk; when the follower has it on disk as well, it applies it and answers. The way to the leader and back, which
//! would tell it nothing more, happens meanwhile.
//!
//! So a write may be acknowledged before the leader knows that it is committed. Reads stay linearizable because the read
//! index covers whatever the leader has told.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::raft::AppendEntriesRequest;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::edge::core::Core;
use crate::edge::log::{log_id_at, position};
use crate::item::NodeId;
use crate::raft::{LogId, Types, Vote};
use crate::wal::Position;
use crate::wire::Ask;

/// "Under this vote I lead, this entry is on my disk, and you and I are a quorum."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    vote: Vote,
    last: LogId,
}

/// What the leader told last, if anything.
#[derive(Debug, Default)]
pub(crate) struct Told(watch::Sender<Option<Stored>>);

impl Told {
    /// Unless something later was heard already.
    pub(crate) fn hear(&self, stored: Stored) {
        self.0.send_if_modified(|known| {
            let later = known.is_none_or(|known| position(known.last) < position(stored.last));
            if later {
                *known = Some(stored);
            }
            later
        });
    }
}

/// Tells, while this replica leads, and listens, while it follows, whenever more is on its disk.
pub(crate) async fn run(core: Arc<Core>) {
    let mut durable = core.log.durable();
    let mut told = core.told.0.subscribe();
    let mut known = 0;
    loop {
        tokio::select! {
            changed = durable.changed() => if changed.is_err() {
                return;
            },
            // Its sender is the core's own.
            _ = told.changed() => {}
        }
        let here = *durable.borrow_and_update();
        let asker = core.haste.asker();
        if let Some(asker) = asker.filter(|_| core.leadership.borrow().is_local) {
            tell(&core, asker, here).await;
        }
        let heard = *told.borrow_and_update();
        if let Some((vote, commit)) = heard.and_then(|stored| committed(&stored, here, known)) {
            known = commit.index;
            // As the leader would say it, who knows by now or will soon.
            let news = AppendEntriesRequest::<Types> {
                vote,
                prev_log_id: Some(commit),
                entries: Vec::new(),
                leader_commit: Some(commit),
            };
            if core.raft.append_entries(news).await.is_err() {
                return;
            }
        }
    }
}

/// Tells the member that waits for an entry that it is on disk here, if the two of them make it committed.
async fn tell(core: &Core, asker: NodeId, here: Position) {
    let (me, last) = (core.id, log_id_at(here));
    let leads = core.raft.with_raft_state(move |state| {
        let membership = state.membership_state.effective().membership();
        let vote = *state.vote_ref();
        commits(me, asker, &vote, membership.get_joint_config(), &last).then_some(vote)
    });
    let (Ok(Some(vote)), Some(link)) = (leads.await, core.control(asker)) else {
        return;
    };
    core.haste.tells(here);
    if link.tell(Ask::Stored(Stored { vote, last })) {
        core.haste.told(asker, here);
    }
}

/// Whether an entry is committed that is on the disks of this leader and of the other member.
fn commits(
    me: NodeId,
    other: NodeId,
    vote: &Vote,
    configs: &[BTreeSet<NodeId>],
    last: &LogId,
) -> bool {
    leads(me, vote) && is_quorum(me, other, configs) && last.leader_id.term == vote.leader_id.term
}

/// Whether a member with this vote is the leader.
pub(crate) fn leads(me: NodeId, vote: &Vote) -> bool {
    vote.committed && vote.leader_id.voted_for == me
}

/// Whether the two are more than half of the voters. While the members change there are two sets, which both need a
/// quorum.
pub(crate) fn is_quorum(one: NodeId, other: NodeId, configs: &[BTreeSet<NodeId>]) -> bool {
    let [voters] = configs else { return false };
    let both = BTreeSet::from([one, other]);
    both.is_subset(voters) && both.len() * 2 > voters.len()
}

/// What is committed once this is on disk here and the leader has told that, if it is more than is known. Nobody checks
/// this again: consensus takes what a leader's message says of commits whatever else it makes of the message.
fn committed(told: &Stored, here: Position, known: u64) -> Option<(Vote, LogId)> {
    let (term, index) = here;
    // An entry of the leader's term here means that all before it are the leader's.
    let same_term = told.last.leader_id.term == term && told.vote.leader_id.term == term;
    let index = index.min(told.last.index);
    (same_term && index > known).then(|| (told.vote, log_id_at((term, index))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::log_id;

    const ME: NodeId = 1;

    fn ids(ids: &[NodeId]) -> BTreeSet<NodeId> {
        ids.iter().copied().collect()
    }

    #[test]
    fn two_of_three_commit_what_the_leader_wrote_itself() {
        let (led, last) = (Vote::new_committed(5, ME), log_id(5, 40));
        let three = [ids(&[1, 2, 3])];
        let table = [
            ("of three", led, &three[..], 2, last, true),
            ("of two", led, &[ids(&[1, 2])], 2, last, true),
            (
                "five need a third",
                led,
                &[ids(&[1, 2, 3, 4, 5])],
                2,
                last,
                false,
            ),
            ("a learner", led, &three, 4, last, false),
            ("itself", led, &three, ME, last, false),
            ("the leader left", led, &[ids(&[2, 3])], 2, last, false),
            (
                "members change",
                led,
                &[ids(&[1, 2, 3]), ids(&[1, 2, 4])],
                2,
                last,
                false,
            ),
            ("an earlier term's", led, &three, 2, log_id(4, 40), false),
            ("not elected yet", Vote::new(5, ME), &three, 2, last, false),
            (
                "another leads",
                Vote::new_committed(5, 3),
                &three,
                2,
                last,
                false,
            ),
        ];
        for (name, vote, configs, other, last, expected) in table {
            assert_eq!(
                commits(ME, other, &vote, configs, &last),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn what_both_have_is_committed_once() {
        let told = Stored {
            vote: Vote::new_committed(5, ME),
            last: log_id(5, 40),
        };
        let index = |here, known| {
            committed(&told, here, known).map(|(_, at)| (at.leader_id.term, at.index))
        };
        assert_eq!(index((5, 40), 39), Some((5, 40)));
        assert_eq!(index((5, 38), 37), Some((5, 38)), "not all is here yet");
        assert_eq!(
            index((5, 42), 39),
            Some((5, 40)),
            "the leader has told less"
        );
        assert_eq!(index((5, 40), 40), None, "known already");
        assert_eq!(index((4, 40), 30), None, "nothing of this term is here");
        assert_eq!(index((6, 40), 30), None, "another leads by now");
    }
}
