//! The one door: the Kubernetes resource API over the store. The only crate in which kinds become
//! bytes; our own kinds and a user's CustomResourceDefinitions go through exactly one engine.
//!
//! It never schedules and never decides what a task does next: it checks, orders and stores what
//! others decide, and tells whoever watches. It holds no state of its own that the store does not have,
//! save heartbeats.
//!
//! Start with `call.rs` (a request free of HTTP), then `engine.rs` (read a view, compute, commit under
//! guards), then `verbs/`, one file each, and `hub.rs` (watches). `edge/` is HTTP and TLS.
//!
//! Names, selectors, patches, tables and policy are tested by tables; the engine over a real
//! single-replica store; the whole by unmodified clients over TLS in `tests/`.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")
)]

pub mod call;

pub mod status;

pub mod user;

pub mod registry;

pub mod keys;

pub mod object;

pub mod vault;

pub mod names;

pub mod selector;

pub mod params;

pub mod jsonpath;

pub mod table;

pub mod render;

pub mod cel;

pub mod engine;

pub mod verbs;

pub mod read;

pub mod world;

pub mod admission;

pub mod conversion;

pub mod metadata;

pub mod body;

pub mod protobuf;

pub mod ids;

pub mod special;

pub mod strategic;

pub mod managed;

pub mod bootstrap;

pub mod pki;

pub mod authn;

pub mod authorize;

pub mod fair;

pub mod rate;

pub mod audit;

pub mod rbac;

pub mod impersonation;

pub mod review;

pub mod discovery;

pub mod openapi;

pub mod http2;

pub mod hub;

pub mod heartbeats;

pub mod members;

pub mod edge;

pub mod service;

pub mod backup;

pub use service::{
    AuditOptions, Bootstrap, EnlistError, Handle, Leadership, Limits, Options, RunError, Service,
    StartError,
};
