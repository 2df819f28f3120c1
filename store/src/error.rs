//! Errors of the store, one enum per family. Every message says what to do next.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::item::{NodeId, Revision};

/// Why a transaction, barrier, call or membership change has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TxnError {
    /// No leader was known for the whole time allowed; nothing was written.
    #[error(
        "no leader: a majority of the replicas must be running and reachable; check `stoa member list` and retry"
    )]
    NoLeader,
    /// No answer in time. The write may still be applied; retry with the same request id.
    #[error(
        "no answer in time, the outcome is unknown: read before writing again, or retry with the same request id"
    )]
    Timeout,
    /// This replica stopped; the reason says why. Another replica may serve.
    #[error(
        "this replica has stopped ({0}): use another replica, and see this one's log before restarting it"
    )]
    Stopped(String),
    /// The transaction is larger than one log entry may be.
    #[error(
        "the transaction has {bytes} bytes, at most {max} are allowed: split it or store smaller values"
    )]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The disk under the data directory was full in the middle of a write, and the replica stopped.
    #[error("the disk of the data directory is full: free space and restart the replica")]
    DiskFull,
    /// No member has this id.
    #[error("no member has id {0}: see `stoa member list`")]
    UnknownMember(NodeId),
    /// A membership change was refused.
    #[error("the membership change was refused: {0}")]
    Membership(String),
    /// The disk of the leader is almost full, or of the replica that was asked. Nothing was written.
    #[error(
        "the disk of a replica is full, of the leader or of the one asked: what needs room is refused until there is some, deleting still works; free space, then \
         writes go on by themselves"
    )]
    LowSpace,
    /// This replica's state is not what a majority of the voters made of the same log.
    #[error(
        "this replica has stopped: {0}. Keep its data directory for analysis under another name, and start the \
         replica on an empty one with --join and --token: it takes the place of its old self"
    )]
    Diverged(String),
}

/// Why a replica cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is empty but the cluster already exists.
    #[error(
        "{peer} already belongs to cluster {cluster_id:032x}, and this replica's data directory is empty: \
         it must not come back under its old identity. Start `{name}` with --join URL --token T instead (a token \
         is in tokens/server of a running member): it takes the place of its old self"
    )]
    ClusterExists {
        /// The peer that said so.
        peer: String,
        /// Its cluster.
        cluster_id: u128,
        /// This replica's name.
        name: String,
    },
    /// The options contradict themselves or the data directory.
    #[error("{0}")]
    Invalid(String),
    /// Another process has the data directory open.
    #[error("{dir} is in use by another process: stop it first, or use another --data-dir")]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The log cannot be opened.
    #[error(
        "the log in {dir} cannot be read: {detail}. The replica must not continue on it. Move its whole data directory \
         away and start it on an empty one with --join and --token, or restore the only replica from a snapshot"
    )]
    LogDamaged {
        /// Directory of the log.
        dir: PathBuf,
        /// What the log's reader says.
        detail: String,
    },
    /// The state is lost here and no peer could supply it.
    #[error(
        "the state in {dir} is damaged or missing and the log before entry {purged} is gone; no peer supplied it: {detail}. \
         Start it when another replica runs, or restore the only replica from a snapshot"
    )]
    StateLost {
        /// The data directory.
        dir: PathBuf,
        /// Index of the last entry removed from the log.
        purged: u64,
        /// What was tried.
        detail: String,
    },
    /// This replica stopped because its state differed from the majority's.
    #[error(
        "the state in {dir} is wrong: {detail}. The replica must not continue on it. Move {dir} away, keep it for \
         analysis, and start this replica on an empty directory with --join and --token"
    )]
    Diverged {
        /// The data directory.
        dir: PathBuf,
        /// What differed.
        detail: String,
    },
    /// Reading or writing the data directory failed.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Consensus could not be started.
    #[error("cannot start consensus: {0}")]
    Raft(String),
}

/// The asked revision was not reached in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is at revision {current}, the asked revision was not reached in time")]
pub struct TooNew {
    /// The revision this replica is at.
    pub current: Revision,
}
