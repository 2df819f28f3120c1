//! Changes of the membership, carried out on the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use tokio_util::sync::CancellationToken;

use crate::command::{Proposal, Response};
use crate::edge::core::Core;
use crate::edge::propose::{refusal, write};
use crate::error::TxnError;
use crate::item::NodeId;
use crate::member::{NewMember, Node};
use crate::wire::{MemberChange, Refusal};

/// A learner this close to the end of the log can vote without holding up commits.
const LAG_MAX: u64 = 256;
const TICK: Duration = Duration::from_millis(100);

type Changed = Result<NodeId, Refusal>;

impl Core {
    /// Carries out the change; refused unless this replica leads.
    pub(crate) async fn change(&self, change: MemberChange) -> Changed {
        if !self.leadership.borrow().is_local {
            return Err(Refusal::NotLeader);
        }
        match change {
            MemberChange::Add(member) => self.add(member).await,
            MemberChange::Promote(id) => self.promote(id).await,
            MemberChange::Remove(id) => self.remove(id).await,
            MemberChange::Transfer(id) => self.transfer(id).await,
            MemberChange::Announce(id, node) => self.announce(id, node).await,
        }
    }

    /// A new learner under a fresh id. Learners left over from earlier attempts under this name go at
    /// once; a voter of this name stays until its replacement has caught up (see `steward`).
    async fn add(&self, member: NewMember) -> Changed {
        if member.name == self.me.name {
            return refuse(
                "the leader cannot be replaced while it leads: transfer leadership first",
            );
        }
        let stale = self.learners_named(&member.name);
        if !stale.is_empty() {
            self.change_members(ChangeMembers::RemoveNodes(stale))
                .await?;
        }
        let written = write(&self.raft, &self.fault, Proposal::allocate_node()).await?;
        let id = match written.data {
            Response::Node(id) => id,
            Response::None | Response::Txns(_) => return Err(Refusal::Unknown),
        };
        let node = Node {
            name: member.name,
            peer_addr: member.peer_addr,
            api_addr: member.api_addr,
        };
        self.raft
            .add_learner(id, node, false)
            .await
            .map_err(|error| refusal(error, &self.fault))?;
        Ok(id)
    }

    /// Gives a learner a vote once it has caught up.
    async fn promote(&self, id: NodeId) -> Changed {
        let membership = self.membership();
        if membership.get_node(&id).is_none() {
            return Err(Refusal::Error(TxnError::UnknownMember(id)));
        }
        if membership.voter_ids().any(|voter| voter == id) {
            return Ok(id);
        }
        let deadline = tokio::time::Instant::now() + self.limits.request * 3 / 4;
        while !self.caught_up(id) {
            if tokio::time::Instant::now() > deadline {
                return refuse(
                    "the learner has not caught up yet: retry when its applied index is near the leader's",
                );
            }
            tokio::time::sleep(TICK).await;
        }
        self.change_members(ChangeMembers::AddVoterIds(BTreeSet::from([id])))
            .await
    }

    async fn remove(&self, id: NodeId) -> Changed {
        let membership = self.membership();
        if membership.get_node(&id).is_none() {
            return Err(Refusal::Error(TxnError::UnknownMember(id)));
        }
        if membership.voter_ids().any(|voter| voter == id) {
            if membership.voter_ids().count() == 1 {
                return refuse("the last voter cannot be removed");
            }
            return self
                .change_members(ChangeMembers::RemoveVoters(BTreeSet::from([id])))
                .await;
        }
        self.change_members(ChangeMembers::RemoveNodes(BTreeSet::from([id])))
            .await
    }

    /// Hands leadership over and waits until somebody else leads.
    async fn transfer(&self, id: NodeId) -> Changed {
        if id == self.id {
            return Ok(id);
        }
        if !self.membership().voter_ids().any(|voter| voter == id) {
            return refuse("leadership can only go to a voter: see `stoa member list`");
        }
        let epoch = self.leadership.borrow().epoch;
        let triggered = self.raft.trigger().transfer_leader(id).await;
        triggered.map_err(|fatal| Refusal::Error(self.stopped(&fatal)))?;
        let mut leadership = self.leadership.clone();
        let moved = leadership.wait_for(|now| now.epoch > epoch && now.leader.is_some());
        match tokio::time::timeout(Duration::from_secs(3), moved).await {
            Ok(Ok(_)) => Ok(id),
            Ok(Err(_)) | Err(_) => {
                refuse("the target did not take over in time: is it reachable and caught up?")
            }
        }
    }

    async fn announce(&self, id: NodeId, node: Node) -> Changed {
        match self.membership().get_node(&id) {
            None => Err(Refusal::Error(TxnError::UnknownMember(id))),
            Some(known) if *known == node => Ok(id),
            Some(_) => {
                self.change_members(ChangeMembers::SetNodes(BTreeMap::from([(id, node)])))
                    .await
            }
        }
    }

    /// One membership change; removed voters leave entirely.
    async fn change_members(&self, change: ChangeMembers<NodeId, Node>) -> Changed {
        let id = self.id;
        let changed = self.raft.change_membership(change, false).await;
        changed
            .map(|_| id)
            .map_err(|error| refusal(error, &self.fault))
    }

    fn learners_named(&self, name: &str) -> BTreeSet<NodeId> {
        let membership = self.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let named = membership
            .nodes()
            .filter(|(_, node)| node.name == name)
            .map(|(id, _)| *id);
        named.filter(|id| !voters.contains(id)).collect()
    }

    fn caught_up(&self, id: NodeId) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics
            .replication
            .as_ref()
            .and_then(|all| all.get(&id).copied().flatten());
        matched.is_some_and(|at| at.index + LAG_MAX >= metrics.last_log_index.unwrap_or(0))
    }

    /// Learners that replace a voter of the same name, with that voter, once they have caught up.
    fn replacement(&self) -> Option<(NodeId, NodeId)> {
        let membership = self.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let name = |id: &NodeId| membership.get_node(id).map(|node| node.name.as_str());
        membership
            .nodes()
            .filter(|(id, _)| !voters.contains(id))
            .filter_map(|(id, node)| {
                let old = voters
                    .iter()
                    .find(|voter| name(voter) == Some(node.name.as_str()))?;
                Some((*old, *id))
            })
            .find(|(_, new)| self.caught_up(*new))
    }
}

/// While this replica leads: swaps every caught-up replacement for the voter it replaces, in one joint
/// change, so that the group never has fewer voters than before.
pub(crate) async fn steward(core: Arc<Core>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK * 2);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if !core.leadership.borrow().is_local {
            continue;
        }
        let Some((old, new)) = core.replacement() else {
            continue;
        };
        let swap = ChangeMembers::Batch(vec![
            ChangeMembers::AddVoterIds(BTreeSet::from([new])),
            ChangeMembers::RemoveVoters(BTreeSet::from([old])),
        ]);
        match core.change_members(swap).await {
            Ok(_) => tracing::info!(old, new, "a replaced member votes again under its new id"),
            Err(refusal) => tracing::warn!(old, new, ?refusal, "a replacement is not promoted yet"),
        }
    }
}

fn refuse(reason: &str) -> Changed {
    Err(Refusal::Error(TxnError::Membership(reason.into())))
}
