//! What a log entry says, and what applying it answers.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::item::NodeId;
use crate::txn::{Txn, TxnOutcome};

/// A command of the replicated log. Variants are only ever appended: old logs must replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Transactions, each atomic by itself, batched into one entry to share its cost.
    Txns(Vec<Txn>),
    /// Hands out a node id that was never used.
    AllocateNode,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Response {
    /// To blank and membership entries.
    None,
    /// One outcome per transaction, in order.
    Txns(Vec<TxnOutcome>),
    /// The allocated id.
    Node(NodeId),
}

/// A command in its encoded form. It is encoded once by the leader and then logged and sent as is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl Proposal {
    pub(crate) fn encode(command: &Command) -> Result<Self, postcard::Error> {
        postcard::to_stdvec(command).map(|bytes| Self(Bytes::from(bytes)))
    }

    pub(crate) fn decode(&self) -> Result<Command, postcard::Error> {
        postcard::from_bytes(&self.0)
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
