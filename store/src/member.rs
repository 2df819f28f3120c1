//! Members of the cluster as seen from outside, and what one replica says of itself.

use serde::{Deserialize, Serialize};

use crate::item::{NodeId, Revision};

/// Where a replica is found. It is part of the replicated membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name given by the operator.
    pub name: String,
    /// `host:port` for other replicas.
    pub peer_addr: String,
    /// `host:port` of its API.
    pub api_addr: String,
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.peer_addr)
    }
}

/// What a replica is to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Orders writes.
    Leader,
    /// Votes and follows.
    Follower,
    /// Votes and asks for votes.
    Candidate,
    /// Follows without a vote.
    Learner,
    /// Does not run any more.
    Stopped,
    /// Did not answer.
    Unreachable,
}

/// Who leads. `epoch` is the Raft term: it only grows, and one epoch has at most one leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The Raft term.
    pub epoch: u64,
    /// The leader, when known.
    pub leader: Option<NodeId>,
    /// True when it is this replica.
    pub is_local: bool,
}

/// One replica's account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its role now.
    pub role: Role,
    /// Index of the last applied log entry.
    pub applied_index: Option<u64>,
    /// The store's revision after that entry.
    pub revision: Revision,
    /// Digest of the whole state; equal on all replicas at an equal `applied_index`.
    pub digest: u128,
    /// The Raft term.
    pub epoch: u64,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// Whether its disk leaves room for the log.
    pub has_room: bool,
}

/// One member as the cluster sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its role, or `Unreachable`.
    pub role: Role,
    /// Where other replicas reach it.
    pub peer_addr: String,
    /// Where clients reach it.
    pub api_addr: String,
    /// Whether it answered in time.
    pub reachable: bool,
    /// What it applied, if it answered.
    pub applied_index: Option<u64>,
    /// Its revision, if it answered.
    pub revision: Option<Revision>,
    /// Its state digest in hexadecimal, if it answered.
    pub digest: Option<String>,
    /// Its process id, if it answered.
    pub pid: Option<u32>,
}

/// A replica to be taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMember {
    /// Its name. When a member has this name already it is replaced.
    pub name: String,
    /// Where other replicas will reach it.
    pub peer_addr: String,
    /// Where clients will reach it.
    pub api_addr: String,
}
