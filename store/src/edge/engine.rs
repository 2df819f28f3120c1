//! The threads the replica runs on: its own, so that nothing its callers do can delay a heartbeat.
//!
//! A caller that computes for long, or blocks, on the process's main runtime keeps other tasks there
//! waiting. Raft must not be among them: a leader whose heartbeats are late is replaced.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Consensus is one task; a second thread encrypts and decodes beside it. On two cores, which the API, the
/// clients and the other replicas need as well, handing tasks over costs more than it gains: measured 42
/// against 50 µs of processor time for a write, and a lone writer waits less.
fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 2 { 2 } else { 1 }
}

/// Blocking work is opening the log and writing one checkpoint at a time.
const BLOCKING_THREADS_MAX: usize = 4;

/// A runtime. Dropping it ends its tasks at their next await, without waiting for them.
#[derive(Debug)]
pub(crate) struct Engine(Option<Runtime>);

impl Engine {
    pub(crate) fn start() -> io::Result<Self> {
        Builder::new_multi_thread()
            .worker_threads(threads())
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("stoa-store")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Runs the future on the engine's threads; it ends with the engine.
    pub(crate) async fn run<F>(&self, work: F) -> io::Result<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let handle = self.handle().ok_or_else(|| io::Error::other("stopped"))?;
        handle.spawn(work).await.map_err(io::Error::other)
    }

    fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting is not allowed where async tasks drop it.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
