//! Agreed bytes: a replicated, ordered map with revisions, history and consistent views. One Raft
//! group orders all writes; every acknowledged write is on disk on a quorum first. Keys and the recent
//! past are resident in memory, values up to a budget; the others are read from the files of checkpoints.
//!
//! The store never hears of a task, a kind or a schema: keys and values are bytes, preconditions are
//! revisions, and an old log replays after any change above. `apply` depends on nothing but the log: no
//! clock, no randomness. Checkpoints are for fast restarts and for values that memory has no room for,
//! never the only copy.
//!
//! Start with `txn.rs` (the only write), then `slot.rs` and `state.rs` (what a log entry does), `history.rs`
//! and `snapshot.rs` (what readers see). `edge/` holds everything that touches disk, network, time or
//! the runtime; `edge/handle.rs` is what the rest of Stoa uses.
//!
//! The cores are tested by tables; the log by openraft's storage conformance suite; state files by damage;
//! the whole by `tests/cluster.rs`: replicas over real TLS that are killed, wiped and rejoined.

// The tests within share their cluster with those outside, which knows this crate by its name.
#[cfg(test)]
extern crate self as store;

// In reading order.
pub mod item;

pub mod txn;

mod command;
mod dedupe;
mod digest;
mod growth;
mod slot;
mod state;
mod values;

pub mod history;
pub mod snapshot;

mod image;
mod marks;

mod archive;
mod wal;

mod raft;
mod wire;

pub mod error;
pub mod faults;
pub mod health;
pub mod member;

pub mod edge;

pub use edge::backup;
#[doc(hidden)]
pub use edge::bench;
pub use edge::handle::{Cursor, LeaderHandler, Service, Store};
pub use edge::options::{Bootstrap, Limits, Options, PEER_SERVER_NAME, PeerTls};
pub use error::{StartError, TooNew, TxnError};
pub use faults::Faults;
pub use health::{Check, Health};
pub use history::{Change, Compacted};
pub use item::{Item, NodeId, Revision};
pub use member::{Leadership, Member, NewMember, Node, Role, Status};
pub use snapshot::View;
pub use txn::{Guard, Op, Txn, TxnOutcome};
