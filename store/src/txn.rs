//! The only write: guards over keys, then operations, applied together in one log entry or not at all.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::item::{Item, Revision};

/// A condition that must hold when the transaction is applied. `B` holds a key: owned bytes for
/// proposers, borrowed ones while an entry of the log is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard<B = Bytes> {
    /// The key exists.
    Exists(B),
    /// The key does not exist.
    Absent(B),
    /// The key exists and was last changed at exactly this revision.
    Revision {
        /// The guarded key.
        key: B,
        /// Its expected `mod_revision`.
        revision: Revision,
    },
    /// The entry was proposed by the leader of this epoch (Raft term): a controller that lost its
    /// leadership cannot write any more, however late its request arrives.
    Epoch(u64),
}

impl<B> Guard<B> {
    /// The key this guard looks at; an epoch looks at none.
    pub fn key(&self) -> Option<&B> {
        match self {
            Self::Exists(key) | Self::Absent(key) | Self::Revision { key, .. } => Some(key),
            Self::Epoch(_) => None,
        }
    }
}

/// One change to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op<B = Bytes> {
    /// Stores the value. Identical bytes change nothing: the old revision stays.
    Put {
        /// The key.
        key: B,
        /// Its new value.
        value: B,
    },
    /// Removes the key. Removing an absent key changes nothing.
    Delete {
        /// The key.
        key: B,
    },
}

/// Guards and operations that apply atomically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn<B = Bytes> {
    /// Chosen at random by the proposer; a retry carries the same one and applies once. The table of
    /// remembered ids is bounded (see `state.rs`). 0 means "no id": every arrival applies.
    pub request_id: u128,
    /// The proposer's wall clock in milliseconds since 1970. Apply never reads a clock.
    pub stamp_ms: u64,
    /// All must hold. They are checked in order; the first that fails is reported.
    pub guards: Vec<Guard<B>>,
    /// Applied in order. A later operation sees the earlier ones.
    pub ops: Vec<Op<B>>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOutcome {
    /// All guards held and every operation took effect.
    Applied {
        /// The store's revision after the last operation.
        revision: Revision,
        /// Per operation its revision: of the put (or of the unchanged value), of the delete, or 0
        /// for the delete of an absent key, which consumes no revision.
        revisions: Vec<Revision>,
    },
    /// A guard failed and nothing changed.
    Refused {
        /// Index of the first guard that failed.
        guard: usize,
        /// What its key holds now.
        current: Option<Item>,
        /// The store's revision at the refusal.
        revision: Revision,
    },
}

impl TxnOutcome {
    /// The store's revision this outcome was decided at.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Applied { revision, .. } | Self::Refused { revision, .. } => *revision,
        }
    }
}
