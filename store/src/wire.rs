//! What replicas say to one another. Encoded with postcard; variants are only ever appended.

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use crate::dedupe::Request as Remembered;
use crate::edge::pair::Stored;
use crate::error::TxnError;
use crate::image::Header;
use crate::item::{Item, NodeId};
use crate::marks::Mark;
use crate::member::{NewMember, Node, Status};
use crate::raft::{Types, Vote};
use crate::txn::TxnOutcome;

/// The first message on every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Raised when old and new replicas could not understand each other.
    pub(crate) protocol: u16,
    /// Whom the dialler means to reach. None only while members first look for each other: an
    /// address may since belong to another replica, and Raft must never talk to the wrong one.
    pub(crate) to: Option<(u128, NodeId)>,
}

pub(crate) const PROTOCOL: u16 = 2;

/// A question. On one connection `Append` and the snapshot messages are answered in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Transfer(TransferLeaderRequest<Types>),
    Snapshot(SnapshotAsk),
    Propose(Forwarded),
    ReadIndex(Witness),
    Status,
    Call(Bytes),
    Change(MemberChange),
    Probe(Probe),
    /// Digests of the state at known indexes.
    Marks,
    /// Told by the leader, and not answered.
    Stored(Stored),
}

/// A member that asks for a read index, and its vote after its readers had asked. If it is the leader's own, the
/// member had not helped anybody to replace that leader, which is what a heartbeat would find out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Witness {
    pub(crate) node: NodeId,
    pub(crate) vote: Vote,
}

/// A transaction that a member has the leader propose.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Forwarded {
    pub(crate) member: NodeId,
    /// Encoded.
    pub(crate) txn: Bytes,
    /// The member looks out for the entry itself, and needs no answer once it has applied it.
    pub(crate) watches: bool,
}

/// Snapshots in both directions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SnapshotAsk {
    /// Pushes: a header, then the pieces, then the vote it is sent under.
    Begin(Header),
    Piece(Piece),
    End(Vote),
    /// Pulls, for a replica whose own state is damaged.
    PullBegin,
    PullNext,
}

/// A part of an image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Piece {
    Items(Vec<Item>),
    Requests(Vec<Remembered>),
}

/// An answer. Each fits one question.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(AppendEntriesResponse<Types>),
    Vote(VoteResponse<Types>),
    /// The transfer was accepted, or why not.
    Transfer(Result<(), String>),
    Snapshot(SnapshotResponse<Types>),
    Header(Header),
    /// None when all were sent.
    Piece(Option<Piece>),
    /// A piece was taken.
    Taken,
    Outcome(Result<TxnOutcome, Refusal>),
    Index(Result<u64, Refusal>),
    Status(Status, u32),
    Called(Result<Bytes, Refusal>),
    Changed(Result<NodeId, Refusal>),
    Probed(Probed),
    /// The question could not be answered at all.
    Failed(String),
    Marks(Vec<Mark>),
}

/// Why the leader did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// It does not lead. Nothing happened; ask another.
    NotLeader,
    /// It may or may not have happened.
    Unknown,
    /// It did not happen and asking again will not help.
    Error(TxnError),
}

impl Refusal {
    /// What a leader's refusal means to another replica: that the leader itself has stopped, is wrong, or
    /// its disk is full, is no answer there, since whoever leads next may give one.
    pub(crate) fn heard_afar(self) -> Self {
        match self {
            Self::Error(TxnError::Stopped(_) | TxnError::DiskFull | TxnError::Diverged(_)) => {
                Self::Unknown
            }
            Self::NotLeader | Self::Unknown | Self::Error(_) => self,
        }
    }
}

/// A change of the membership, carried out by the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MemberChange {
    Add(NewMember),
    Promote(NodeId),
    Remove(NodeId),
    Transfer(NodeId),
    /// The member found its addresses changed at start.
    Announce(NodeId, Node),
}

/// "Who are you?", asked while the first members look for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) name: String,
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probed {
    pub(crate) node: Node,
    pub(crate) nonce: u128,
    /// The cluster it belongs to, if it was formed already.
    pub(crate) formed: Option<Formed>,
}

/// One of the first members, with the nonce its directory had then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Founder {
    pub(crate) id: NodeId,
    pub(crate) node: Node,
    pub(crate) nonce: u128,
}

/// What a formed member tells one that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Formed {
    pub(crate) cluster_id: u128,
    /// Empty on members that joined later.
    pub(crate) founders: Vec<Founder>,
}
