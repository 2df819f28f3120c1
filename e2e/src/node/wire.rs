//! What a client and a store node say to each other: numbered questions, and answers that carry
//! their question's number, in whatever order they are ready.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Item, NewMember, NodeId, Revision, Status, Txn, TxnError, TxnOutcome};

/// A question or an answer with the number that pairs them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// Chosen by the client, unique on its connection.
    pub id: u64,
    /// What is said.
    pub body: T,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Shows everything acknowledged anywhere before it was asked.
    Linearizable,
    /// Whatever this replica has now.
    Stale,
    /// Exactly the state of this revision.
    AtRevision(Revision),
}

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Apply a transaction; answered by `Outcome`.
    Txn(Txn),
    /// The items under these keys, those that exist; answered by `Read`.
    Get {
        /// The keys.
        keys: Vec<Bytes>,
        /// How fresh.
        mode: Mode,
    },
    /// A page of items in key order; answered by `Read`.
    List {
        /// What their keys begin with.
        prefix: Bytes,
        /// How fresh.
        mode: Mode,
        /// Items at most.
        limit: usize,
        /// Only keys behind this one.
        after: Option<Bytes>,
    },
    /// All changes after the revision, answered by `Changes` without end, or by `Compacted` once.
    Watch {
        /// The revision.
        after: Revision,
    },
    /// Answered by `Members`.
    Members,
    /// Answered by `Status`.
    Status,
    /// Answered by `Added`.
    AddMember(NewMember),
    /// Answered by `Done`.
    Promote(NodeId),
    /// Answered by `Done`.
    Remove(NodeId),
    /// Answered by `Done`.
    Transfer(NodeId),
    /// Arm failpoints, by the text `store::Faults::arm_all` reads; answered by `Done`.
    Arm(String),
    /// Disarm the failpoint of this name; answered by `Done`.
    Disarm(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// What became of a transaction.
    Outcome(TxnOutcome),
    /// What a read saw.
    Read(Read),
    /// The next changes of a watch, in order and without a gap.
    Changes(Vec<Change>),
    /// The revision asked for lies before the history that is kept.
    Compacted {
        /// The oldest revision that can be asked for.
        oldest: Revision,
    },
    /// The revision asked for was not reached in time.
    TooNew {
        /// Where the replica is.
        current: Revision,
    },
    /// The members.
    Members(Vec<Member>),
    /// What the replica says of itself.
    Status(Report),
    /// The id of the new member.
    Added(NodeId),
    /// It was done.
    Done,
    /// The store's own error.
    Failed(TxnError),
    /// The question makes no sense, and why.
    Refused(String),
}

/// Items as of one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The revision of the view they were read from.
    pub revision: Revision,
    /// In key order for a list, in the order of the question for a get.
    pub items: Vec<Item>,
}

/// One object changed, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The revision this change took.
    pub revision: Revision,
    /// The key that changed.
    pub key: Bytes,
    /// The item after the change; none after a deletion.
    pub new: Option<Item>,
    /// The item before the change; none before a creation.
    pub old: Option<Item>,
}

impl From<&store::Change> for Change {
    fn from(change: &store::Change) -> Self {
        Self {
            revision: change.revision,
            key: change.key.clone(),
            new: change.new.clone(),
            old: change.old.clone(),
        }
    }
}

/// One member as the replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Its role, or `Unreachable`.
    pub role: store::Role,
    /// What it applied, if it answered.
    pub applied_index: Option<u64>,
}

impl From<store::Member> for Member {
    fn from(member: store::Member) -> Self {
        Self {
            id: member.id,
            name: member.name,
            role: member.role,
            applied_index: member.applied_index,
        }
    }
}

/// A replica's account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// As the store gives it; the digest is within.
    pub status: Status,
    /// The cluster it belongs to.
    pub cluster_id: u128,
    /// The oldest revision it can read.
    pub oldest: Revision,
    /// Its process.
    pub pid: u32,
}
