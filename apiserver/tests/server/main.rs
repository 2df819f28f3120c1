//! The whole server over real TLS on loopback, judged by clients that know nothing of it: kube-rs,
//! kubectl, and a crowd that sends garbage.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

mod admission;
mod audit;
mod certificates;
mod clients;
mod conversions;
mod crowds;
mod dead;
mod definitions;
mod events;
mod frames;
mod hostile;
mod joins;
mod kubectl;
mod logs;
mod policies;
mod reviews;
mod revocations;
mod rig;
mod rights;
mod snapshots;
mod socket;
mod sockets;
mod strangers;
mod tokens;
mod tricks;
mod vault;
mod warrants;
mod watches;
mod wire;
