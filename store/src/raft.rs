//! The types openraft is instantiated with.

use openraft::impls::leader_id_std;
use openraft::type_config::alias;

use crate::command::{Proposal, Response};
use crate::item::NodeId;
use crate::member::Node;

openraft::declare_raft_types!(
    /// Standard Raft leader ids: one leader per term, which is what makes the term a fencing epoch.
    pub(crate) Types:
        D = Proposal,
        R = Response,
        NodeId = NodeId,
        Node = Node,
        LeaderId = leader_id_std::LeaderId<u64, NodeId>,
);

pub(crate) type Entry = alias::EntryOf<Types>;
pub(crate) type EntryPayload = alias::PayloadOf<Types>;
pub(crate) type LogId = alias::LogIdOf<Types>;
pub(crate) type Membership = alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Types>;
pub(crate) type Vote = alias::VoteOf<Types>;
pub(crate) type RaftHandle = openraft::Raft<Types, crate::edge::machine::Machine>;

/// A log id from its two numbers.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(term.into(), index)
}
