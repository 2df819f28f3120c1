//! The edge: watches in, transactions out, a clock and a timer. It decides nothing.

mod beats;
mod empty;
mod expire;
mod fence;
mod heads;
mod send;
mod service;
mod watch;

pub use service::{Error, Options, Service};
