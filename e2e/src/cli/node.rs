//! `stoa-e2e node`: one bare store replica. Campaigns start it; nobody types it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::Outcome;
use crate::node::{self, options};

/// Flags of a node.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Its data directory.
    #[arg(long)]
    dir: PathBuf,
    /// HOST:PORT for other replicas.
    #[arg(long)]
    peer_addr: String,
    /// HOST:PORT for clients.
    #[arg(long)]
    client_addr: String,
    /// HOST:PORT for clients that speak etcd's gRPC; without it nobody listens for them.
    #[arg(long)]
    grpc_addr: Option<String>,
    /// All first members, `a=HOST:PORT,b=HOST:PORT`.
    #[arg(long, required_unless_present = "join")]
    initial: Option<String>,
    /// The id under which it was announced as a member.
    #[arg(long, requires = "cluster_id", requires = "peers")]
    join: Option<u64>,
    /// The cluster it joins, in hexadecimal.
    #[arg(long)]
    cluster_id: Option<String>,
    /// Peer addresses of running members.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Where the certificates are.
    #[arg(long)]
    pki: PathBuf,
    /// Failpoints, `wal-sync=lie,apply=panic*1`.
    #[arg(long, default_value = "")]
    faults: String,
    /// Limits that differ from the default, `keep-entries=100`.
    #[arg(long)]
    limit: Vec<String>,
}

/// Runs the node until SIGTERM.
///
/// # Errors
/// When it cannot start, or the store stops by itself.
pub fn run(args: Args) -> Outcome<ExitCode> {
    tracing_subscriber::fmt().with_ansi(false).init();
    let bootstrap = match (args.join, args.initial) {
        (Some(id), _) => options::joining(id, &args.cluster_id.unwrap_or_default(), &args.peers)?,
        (None, list) => options::founding(&list.unwrap_or_default())?,
    };
    node::run(&node::Options {
        name: args.name,
        dir: args.dir,
        peer_addr: args.peer_addr,
        client_addr: args.client_addr,
        grpc_addr: args.grpc_addr,
        bootstrap,
        pki: args.pki,
        faults: args.faults,
        limits: args.limit,
    })?;
    Ok(ExitCode::SUCCESS)
}
