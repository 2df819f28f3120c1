//! What the cores want done, as plain values; the edge does it.

use manifests::bundle::Operation;
use serde_json::Value;

use crate::model::{Key, Name, Owner, Thing};

/// Number of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Batch(pub u64);

/// Which queue a write waits in; each has its own bound on transactions under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// New offers.
    Offer,
    /// Acceptances: what binds tasks.
    Accept,
    /// Everything that may wait a moment.
    Cold,
    /// Events for people.
    Told,
}

/// Whose write it is: tells the core what an answer is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// An offer's creation.
    Create(Key),
    /// Acceptances that stand or fall together.
    Accept(Vec<Key>),
    /// An offer's withdrawal or removal.
    Withdraw(Key),
    /// An explanation; names the task.
    Explain(Key),
    /// A task put back in the queue.
    Retry(Key),
    /// A task's finalizer, kill or garbage.
    Task(Key),
    /// An agent's phase, or a task lost with it.
    Liveness(Name),
    /// A reservation's status.
    Reservation(Key),
    /// Counters and conditions.
    Counts(String),
    /// Members of a group.
    Group(Key),
    /// Something whose owners are gone or going.
    Garbage(Thing),
    /// An event for people: of whom (uid), and its reason.
    Told(String, &'static str),
}

/// A write: all of it or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Whose.
    pub token: Token,
    /// Where it queues.
    pub lane: Lane,
    /// What.
    pub operations: Vec<Operation>,
}

impl Write {
    /// A write that may wait a moment.
    #[must_use]
    pub fn cold(token: Token, operations: Vec<Operation>) -> Self {
        Self {
            token,
            lane: Lane::Cold,
            operations,
        }
    }
}

/// How a transaction was answered. There is no "perhaps": the edge asks again with the same
/// request id until it knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Applied; the objects that resulted, by operation.
    Applied(Vec<Value>),
    /// Refused as a whole, nothing changed.
    Refused(Refusal),
}

/// Why a transaction was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// What the server said.
    pub message: String,
    /// Which operation, where the server named one.
    pub at: Option<usize>,
}

/// Something a person should be able to read later, as a core/v1 Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Kind of the object it is about.
    pub kind: &'static str,
    /// Its namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// For whom it is summed up when there is too much to tell; `None`: it is told in any case that
    /// has room.
    pub framework: Option<Key>,
    /// True: `Warning`.
    pub warning: bool,
    /// One CamelCase word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// One thing for the edge to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send these operations as one transaction, and answer with `Event::Done`.
    Submit(Batch, Vec<Operation>),
    /// See which of these owners still exist, and answer with `Event::Verified`.
    Verify(Vec<Owner>),
    /// Delete everything in a namespace, and answer with `Event::Emptied`.
    Empty(String),
}
