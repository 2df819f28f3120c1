//! What the cluster is asked to be: every kind of the group `stoa.dev`, its schema, defaults and
//! validation, exact resource arithmetic, the task lifecycle, and the decoding of manifests.
//!
//! It never does I/O, reads a clock or draws a random number, and knows neither the store nor the
//! network: everything here is a plain function of its arguments.
//!
//! Start reading at `lifecycle.rs`, then `resources.rs`, then `kinds/task.rs`.
//!
//! Tests are tables: the lifecycle over every state × event, arithmetic against a wide-integer
//! model, decoding against annotated documents, and every file of `examples/`.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")
)]

pub mod lifecycle;

pub mod resources;

pub mod kinds;

pub mod condition;

pub mod duration;

pub mod explain;

pub mod bundle;

pub mod wire;

pub mod token;

pub mod decode;

pub mod schema;

pub mod validate;
