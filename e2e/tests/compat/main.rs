//! Compatibility: real clients, unmodified, against three replicas over TLS; `docs/api.md` says what
//! they may rely on. A client that is not installed here is skipped, and standard error says so.
#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a test's unwrap is its assertion; futures of whole proofs are made once"
)]

mod curl;
mod kubectl;
mod kuberust;
mod python;
mod session;
mod skip;
