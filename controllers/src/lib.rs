//! Closes the gap between what is declared and what is: who is offered which resources, which task
//! runs where, what is reserved, which agents are alive, what is retried, and what is garbage.
//!
//! It never links the store or the API server: it speaks the wire API through `kube::Client`, every
//! write it makes is fenced by the epoch of the leadership it runs under, and it holds nothing that
//! the next leader could not rebuild from lists.
//!
//! Start reading at `core.rs`, then `allocator/round.rs`, `allocator/book.rs`, `scheduler/place.rs`.
//! Everything outside `edge/` is pure: events and `now` in, effects out.
//!
//! Tests are scenarios in a small language (`scenario.rs`) against a model of the server, with the
//! books audited from scratch after every step, and random orders of events over them.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")
)]

pub mod core;

pub mod event;

pub mod effect;

pub mod world;

pub mod model;

pub mod allocator;

pub mod scheduler;

pub mod liveness;

pub mod retry;

pub mod finalize;

pub mod groups;

pub mod reservations;

pub mod garbage;

pub mod counts;

pub mod story;

pub mod recorder;

pub mod expiry;

pub mod outbox;

pub mod edge;

mod ops;

#[cfg(test)]
mod scenario;

pub use edge::{Error, Options, Service};
