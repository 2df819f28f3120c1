//! The proof: real clusters of the real `stoa` binary on this machine, driven over the wire by the
//! same means a user has (kube clients, `kubectl`, `stoa`, plain HTTP), and broken on purpose.
//!
//! It decides nothing and is linked by nobody. It never reaches into a process of a cluster: what it
//! knows it has read through the API, from the files that tasks wrote, or from `/proc`.
//!
//! Start reading at `cluster.rs` (start, kill, wipe, restart), then `campaign.rs` (the central
//! promise: whatever is killed, every task runs exactly once), then `bench.rs` (the figures).
//!
//! The store has a proof of its own, without the API above it: `node.rs` (a bare replica as a process),
//! `rig.rs` (several of them), `nemesis.rs` (networks that are cut, disks that lose power), `ordeal.rs`
//! (what they must stand) and `check.rs` (the judge of recorded histories).
//!
//! `tests/cluster` holds the tests, one file per promise, each with a cluster of its own; `tests/store`
//! runs the ordeals at small size; `tests/referee.rs` checks the tree itself. `cargo run -p stoa-e2e --
//! bench` measures, and `stoa-e2e store` runs the ordeals at length.
#![expect(
    clippy::disallowed_methods,
    reason = "the proof is all edge: real processes and clocks"
)]

pub mod cluster;

pub mod machine;

pub mod process;

pub mod connect;

pub mod forge;

pub mod command;

pub mod members;

pub mod objects;

pub mod wait;

pub mod fault;

pub mod campaign;

pub mod grpc;

pub mod peer;

pub mod bench;

pub mod fuzz;

// The store alone, in reading order.
pub mod node;

pub mod rig;

pub mod nemesis;

pub mod check;

pub mod ordeal;

pub mod cli;

pub use cluster::{Cluster, Plan};
pub use fault::{Fault, Outcome};
