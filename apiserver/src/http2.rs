//! HTTP/2 as a server speaks it, RFC 9113: bytes in, events and bytes out. Pure.
//!
//! Our own because thousands of agents each hold a connection on which nothing happens for most of the time: here
//! such a connection keeps a few hundred bytes, and no buffer (decision 020). `edge/http2.rs` connects it to sockets
//! and to the requests' answers.

pub mod block;

pub mod frame;

pub mod flow;

pub mod hpack;

pub mod request;

pub mod streams;

pub mod session;
