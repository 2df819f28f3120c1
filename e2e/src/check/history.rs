//! What is judged: who called what, when, and what he was told. Filled by whoever drives the store.

use std::sync::Arc;

/// A key, opaque.
pub type Key = Arc<[u8]>;

/// A value, opaque. Every attempt to write should write one that nobody else writes.
pub type Value = Arc<[u8]>;

/// A point in the store's history. Every changed object takes the next one.
pub type Revision = u64;

/// A point in time, from one monotonic clock that all clients share.
pub type Nanos = u64;

/// A client, which observes with its own eyes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u32);

/// One life of a replica. A replica that restarts may show an older state at first than it did
/// before: give it another number then, or hold it to its word with the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica(pub u32);

/// What a retry has in common with the first attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The bytes.
    pub value: Value,
    /// Revision of the put that created the key.
    pub create_revision: Revision,
    /// Revision of the last put that changed the value.
    pub mod_revision: Revision,
    /// Number of changes since creation, 1 for a fresh key.
    pub version: u64,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The key exists.
    Exists(Key),
    /// The key does not exist.
    Absent(Key),
    /// The key exists and was last changed at this revision.
    RevisionIs {
        /// The guarded key.
        key: Key,
        /// Its expected `mod_revision`.
        revision: Revision,
    },
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Stores the value; identical bytes change nothing.
    Put {
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Removes the key; an absent one changes nothing.
    Delete {
        /// The key.
        key: Key,
    },
}

/// The only write: all operations in order if all guards hold, else nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// Checked in order.
    pub guards: Vec<Guard>,
    /// Applied in order. Without any, the transaction only asks, and its retry asks anew.
    pub ops: Vec<Op>,
}

/// What a transaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything took effect.
    Applied {
        /// The store's revision afterwards.
        revision: Revision,
        /// Of each operation: of its change, of the value left unchanged, or 0 for the deletion of
        /// an absent key.
        revisions: Vec<Revision>,
    },
    /// Nothing took effect.
    Refused {
        /// Index of the first guard that did not hold.
        guard: usize,
        /// The store's revision then.
        revision: Revision,
    },
}

impl Outcome {
    /// The store's revision this was decided at.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Applied { revision, .. } | Self::Refused { revision, .. } => *revision,
        }
    }
}

/// What the client knows of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was told.
    Known(T),
    /// It did not happen and will not.
    Failed,
    /// It happened at any time after the call began, or may yet, or never: a timeout, a lost
    /// connection, a crash of the client.
    Unknown,
}

/// How fresh a read wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At least as fresh as everything anybody knew before it began.
    Linearizable,
    /// As of exactly this revision. A replica that cannot serve it fails the read.
    Exact(Revision),
    /// Whatever the replica has, but a state that was, and none older than it showed this client.
    Stale,
}

/// What a read reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// These keys, in this order.
    Keys(Vec<Key>),
    /// Every key that starts so, in the order of the keys.
    Prefix(Key),
}

/// The present items of one state of the store, and its revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The state's revision.
    pub revision: Revision,
    /// Keys that exist, with their items; in the order asked for.
    pub items: Vec<(Key, Item)>,
}

/// One call and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A transaction.
    Txn {
        /// Shared by all attempts of the same request.
        request: RequestId,
        /// The same in every attempt.
        txn: Txn,
        /// What this attempt was told.
        answer: Answer<Outcome>,
    },
    /// A read.
    Read {
        /// How fresh.
        mode: Mode,
        /// Of what.
        select: Select,
        /// What was seen.
        answer: Answer<Snapshot>,
    },
}

/// One call of one client to one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who called.
    pub client: Client,
    /// The caller's own count.
    pub number: u32,
    /// Whom.
    pub replica: Replica,
    /// Taken before the call was sent.
    pub began: Nanos,
    /// Taken after the answer arrived; none when nobody waited for it.
    pub ended: Option<Nanos>,
    /// What was called, and answered.
    pub deed: Deed,
}

/// One change as a watcher was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Taken after it arrived.
    pub at: Nanos,
    /// The change's revision.
    pub revision: Revision,
    /// The key that changed.
    pub key: Key,
    /// The value after, none when deleted.
    pub new: Option<Value>,
    /// The value before, none when created.
    pub old: Option<Value>,
}

/// What a watcher was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Something changed.
    Event(Event),
    /// Everything up to this revision has been told.
    Progress(Revision),
}

/// Why a part of a watch told no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client left, the connection broke, or the run was over.
    Cut,
    /// The history before this revision is gone; the watcher lists again and goes on from there.
    Compacted {
        /// The oldest revision after which changes are known.
        oldest: Revision,
    },
}

/// A watch on one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which replica.
    pub replica: Replica,
    /// Changes after this revision were asked for.
    pub after: Revision,
    /// What was told, in the order of arrival.
    pub notes: Vec<Note>,
    /// How it ended.
    pub end: End,
}

/// A watch, resumed from what was seen last as often as it broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Who watches.
    pub client: Client,
    /// The watcher's own count.
    pub number: u32,
    /// Only keys that start so; empty for all.
    pub prefix: Key,
    /// In the order they were opened.
    pub parts: Vec<Part>,
}

/// The end of the story, taken when everything has healed and nothing is under way any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Final {
    /// The whole store, in the order of the keys, from a linearizable read.
    pub snapshot: Snapshot,
    /// Every change from the base to the snapshot, as somebody was told who watched all along.
    pub log: Vec<Event>,
}

/// Everything that was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The whole store before the first call; empty at revision 0 unless filled beforehand.
    pub base: Snapshot,
    /// In any order.
    pub calls: Vec<Call>,
    /// In any order.
    pub watches: Vec<Watch>,
    /// The end.
    pub end: Final,
}
