//! As much of etcd's gRPC as a benchmark of puts and gets needs: one client that speaks to etcd and
//! to our store alike, and a door of our store that answers it.
//!
//! gRPC is a POST over HTTP/2 to `/<package>.<Service>/<Method>`; both bodies are a protobuf message
//! behind five bytes (not compressed, length), and the outcome stands in the trailer `grpc-status`.

mod client;
mod message;
mod server;

pub use client::{Client, Consistency, Found};
pub use server::serve;

/// Method that stores a value under a key.
const PUT: &str = "/etcdserverpb.KV/Put";

/// Method that reads a key.
const RANGE: &str = "/etcdserverpb.KV/Range";

const CONTENT_TYPE: &str = "application/grpc";

/// Name of the trailer that says how a call ended; 0 is well.
const STATUS: &str = "grpc-status";

/// Name of the trailer that says why it did not end well.
const MESSAGE: &str = "grpc-message";

/// Calls one connection carries at a time; more clients never share one here.
const STREAMS_MAX: u32 = 4_000;

/// Room for what is under way on a connection, so that no answer ever waits for a window.
const WINDOW_BYTES: u32 = 8 << 20;
