//! HTTP and TLS: everything between a socket and the engine. It decides nothing about objects.
//!
//! A request meets `listener.rs` (TLS, bounds; `crowd.rs` beside it), `http2.rs` (or hyper's HTTP/1.1 over
//! `gather.rs`), `front.rs` (id, audit, panics, identity), then
//! `info.rs` (what the URL names) and one of: `documents.rs`, `health.rs`, `metrics.rs`, `extras.rs` (verbs of
//! our own), `resources.rs` (the engine), `reviews.rs` or `watch.rs`. `warden.rs` ends what outlives its right.

pub(crate) mod ambient;

pub(crate) mod listener;

pub(crate) mod gather;

pub(crate) mod crowd;

pub(crate) mod http2;

pub(crate) mod head;

pub(crate) mod turns;

pub(crate) mod audit;

pub(crate) mod front;

pub(crate) mod identity;

pub(crate) mod warrant;

pub(crate) mod warden;

pub(crate) mod tokenfile;

pub(crate) mod info;

pub(crate) mod negotiate;

pub(crate) mod documents;

pub(crate) mod health;

pub(crate) mod metrics;

pub(crate) mod process;

pub(crate) mod snapshot;

pub(crate) mod resources;

pub(crate) mod watch;

pub(crate) mod socket;

pub(crate) mod extras;

pub(crate) mod reviews;

pub(crate) mod webhooks;

pub(crate) mod join;

pub(crate) mod token;

pub(crate) mod logs;

pub(crate) mod body;

pub(crate) mod answer;

pub(crate) mod compress;

pub(crate) mod timely;

pub(crate) mod context;

pub(crate) mod local;

pub(crate) mod enlist;
