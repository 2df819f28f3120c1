//! One machine's truth: starts, watches, isolates and reports tasks.
//!
//! The agent never decides what runs where, and never runs the same (uid, attempt) twice. Every
//! step is on disk before it is acted on, every command has a small supervisor that outlives the
//! agent, and every end is kept until the servers have it.
//!
//! Start reading at `task/run.rs` (one run's life), then `task/machine.rs` (all runs), then
//! `edge/supervise.rs` and `edge/service.rs`.
//!
//! Tests: the life of a run is a table over every state × event; supervisors, adoption and kills
//! are tried with real processes in `tests/agent.rs`.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")
)]

pub mod task;

mod detect;
mod edge;
mod options;

pub use edge::join::JoinError;
pub use edge::service::{Handle, RunError, Service, StartError};
pub use edge::supervise::supervise;
pub use options::Options;
