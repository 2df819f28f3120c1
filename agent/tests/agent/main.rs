//! Agents and supervisors for real: processes, files, TLS, and a stand-in for the servers.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test's unwrap is its assertion"
)]

mod cluster;
mod machine;
mod service;
mod supervisor;
mod wait;
