//! The store's contact with the world: disk, network, clock and runtime. Decides nothing by itself.

pub mod backup;
pub mod handle;
pub mod options;

pub(crate) mod consensus;
pub(crate) mod core;
pub(crate) mod engine;
pub(crate) mod service;
pub(crate) mod start;

pub(crate) mod gate;
pub(crate) mod idle_poll;
pub(crate) mod membership;
pub(crate) mod propose;
pub(crate) mod published;
pub(crate) mod reads;

pub(crate) mod checkpoint;
pub(crate) mod checkpoints;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod state;
pub(crate) mod wal;

pub(crate) mod formation;
pub(crate) mod frame;
pub(crate) mod haste;
pub(crate) mod holds;
pub(crate) mod link;
pub(crate) mod network;
pub(crate) mod outbox;
pub(crate) mod pair;
mod peers;
pub(crate) mod server;
pub(crate) mod transfer;
pub(crate) mod vigil;

pub(crate) mod alarm;
mod awaited;
pub(crate) mod metrics;

pub(crate) mod files;
pub(crate) mod identity;
pub(crate) mod reserve;
pub(crate) mod room;

#[doc(hidden)]
pub mod bench;

#[cfg(test)]
mod tests;
