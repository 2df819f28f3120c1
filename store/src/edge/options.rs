//! How a replica is started: its name, directory, addresses, certificates and limits.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::faults::Faults;
use crate::item::NodeId;

/// The TLS name every replica's certificate carries.
pub const PEER_SERVER_NAME: &str = "stoa-peer";

/// Everything `Store::start` needs.
#[derive(Debug)]
pub struct Options {
    /// This replica's name.
    pub name: String,
    /// Where it keeps log and state.
    pub data_dir: PathBuf,
    /// Bound by the caller, so that port 0 works.
    pub peer_listener: TcpListener,
    /// `host:port` other replicas use for that listener.
    pub peer_addr: String,
    /// `host:port` of this replica's API, told to the others.
    pub api_addr: String,
    /// What to do with an empty data directory. Data found there always wins.
    pub bootstrap: Bootstrap,
    /// Mutual TLS between replicas.
    pub tls: PeerTls,
    /// Sizes and times.
    pub limits: Limits,
    /// Failpoints; `Default` arms none.
    pub faults: Faults,
}

/// How an empty replica becomes a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// Form a new cluster of exactly these members; ids are 1..=n in this order.
    Static {
        /// Names and peer addresses of all first members, this one among them.
        initial: Vec<(String, String)>,
    },
    /// Become a member that `Store::add_member` announced.
    Join {
        /// The id `add_member` returned.
        node_id: NodeId,
        /// The cluster's id (`Store::cluster_id`).
        cluster_id: u128,
        /// Peer addresses of running members.
        peers: Vec<String>,
    },
}

/// Certificates for both directions. The server side must demand client certificates.
#[derive(Clone)]
pub struct PeerTls {
    /// For accepted connections.
    pub server: Arc<rustls::ServerConfig>,
    /// For dialled connections; the server name checked is [`PEER_SERVER_NAME`].
    pub client: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTls").finish_non_exhaustive()
    }
}

/// Sizes and times. `Default` suits three replicas on one busy two-core machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory for the history of changes, at most; 48 MiB by default. With objects of 1 KiB that is
    /// 20,000 changes, some seconds of the fastest burst, which is what a watch takes to resume elsewhere.
    pub history_bytes: usize,
    /// Memory for objects; 64 MiB by default. Their keys and numbers are always in memory, about 100 bytes each. Values
    /// have what those leave, and a fifth at least; others are read from the files of checkpoints, which the page cache
    /// holds as far as there is memory to spare. Values that no checkpoint has yet are in memory whatever it takes.
    pub resident_bytes: u64,
    /// Age after which a change may be forgotten, by the proposers' stamps.
    pub history_age_ms: u64,
    /// Leader's heartbeat.
    pub heartbeat_ms: u64,
    /// Election timeout, lower and upper bound. A follower waits for the upper bound (the leader's lease)
    /// plus a random time between the two before it asks for votes: 1.5 to 2 s by default, so that a
    /// leader short of processor time keeps its office. It is the wait for a host or network that
    /// vanished; a leader whose process died is replaced within about 0.1 s, see `edge/vigil.rs`.
    pub election_ms: (u64, u64),
    /// How long `txn`, `barrier` and membership calls try before they give up.
    pub request: Duration,
    /// Largest encoded transaction.
    pub txn_bytes_max: usize,
    /// Log entries between two checkpoints.
    pub checkpoint_entries: u64,
    /// Log bytes between two checkpoints.
    pub checkpoint_bytes: u64,
    /// Length of a segment of the log, in whole pages of 4 KiB. It decides when a log is made; later it is as it
    /// is on disk. A segment must hold the largest entry, and two more are kept ready.
    pub segment_bytes: u64,
    /// Entries kept in the log behind a checkpoint, for followers that lag a little, unless that is more than
    /// `keep_bytes`. One that lags more is sent a snapshot.
    pub keep_entries: u64,
    /// Bytes of the log kept behind a checkpoint at most.
    pub keep_bytes: u64,
    /// Bytes of the log kept behind a checkpoint at most while a follower is sent a snapshot. One that takes longer
    /// than to write so much is sent another.
    pub hold_bytes: u64,
    /// Disk space kept back, so that a full disk does not prevent the checkpoint that makes room: what two may bring. Files
    /// in the data directory otherwise take about three times the state, the log that is not yet in both checkpoints,
    /// what is kept or held of it behind them, and five segments.
    pub reserve_bytes: u64,
    /// Whether threads of the idle class keep the processors from halting while lone writes or reads follow one another
    /// within 2 ms, on up to 4 processors and without a quota.
    pub idle_poll: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_bytes: 48 << 20,
            resident_bytes: 64 << 20,
            history_age_ms: 5 * 60 * 1000,
            heartbeat_ms: 100,
            election_ms: (500, 1000),
            request: Duration::from_secs(10),
            // A JSON object may have 1.5 MB; a bundle holds several.
            txn_bytes_max: 8 << 20,
            checkpoint_entries: 20_000,
            checkpoint_bytes: 32 << 20,
            segment_bytes: 16 << 20,
            keep_entries: 2_000,
            keep_bytes: 64 << 20,
            hold_bytes: 1 << 30,
            reserve_bytes: 64 << 20,
            idle_poll: true,
        }
    }
}
