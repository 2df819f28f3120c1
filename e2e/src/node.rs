//! One bare store replica as a process of its own, and the client that speaks to it: what the
//! campaigns against the store alone kill, pause and starve of power.
//!
//! It adds nothing to the store but a door: the store's public calls, framed on a plain connection.

mod connection;
mod frame;
mod serve;

pub mod client;
pub mod options;
pub mod pki;
pub mod wire;

use rustix::process::{Signal, set_parent_process_death_signal};
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Fault, Outcome, grpc};

pub use client::{CallError, Client, Watch};
pub use options::Options;

/// Threads of a node beside the store's own; the machine's processors are shared by three nodes and their
/// clients.
const THREADS: usize = 2;

/// Runs a node until SIGTERM, which stops it in order.
///
/// # Errors
/// When it cannot start, or the store stops by itself.
pub fn run(options: &Options) -> Outcome<()> {
    // A campaign that is killed leaves no nodes behind.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()?;
    runtime.block_on(Box::pin(replica(options)))
}

async fn replica(options: &Options) -> Outcome<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let for_store = options.for_store().await?;
    let faults = for_store.faults.clone();
    let (store, service) = tokio::select! {
        started = Box::pin(Store::start(for_store)) => started?,
        _ = terminate.recv() => return Ok(()),
    };
    // Only now: a client that is refused knows that nothing was sent.
    let listener = listen(&options.client_addr).await?;
    if let Some(addr) = &options.grpc_addr {
        let door = grpc::serve(listen(addr).await?, store.clone(), std::future::pending());
        tokio::spawn(door);
    }
    tokio::spawn(serve::run(listener, serve::Door { store, faults }));
    let stop = CancellationToken::new();
    let running = tokio::spawn(service.run(stop.clone()));
    tokio::spawn(async move {
        terminate.recv().await;
        stop.cancel();
    });
    Ok(running.await??)
}

async fn listen(addr: &str) -> Outcome<TcpListener> {
    TcpListener::bind(addr)
        .await
        .map_err(|e| Fault::new(format!("cannot listen on {addr}: {e}")))
}
