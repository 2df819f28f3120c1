//! How openraft is configured, and how a new group comes by its first membership.

use std::collections::BTreeMap;

use openraft::{Config, SnapshotPolicy};

use crate::edge::options::Limits;
use crate::error::StartError;
use crate::item::NodeId;
use crate::member::Node;
use crate::raft::RaftHandle;
use crate::wire::Founder;

/// Proposes the founders as the first membership; whoever does it first, they all propose the same.
pub(crate) async fn ensure_initialized(
    raft: &RaftHandle,
    founders: &[Founder],
) -> Result<(), StartError> {
    let initialized = raft.is_initialized().await.map_err(raft_error)?;
    if initialized || founders.is_empty() {
        return Ok(());
    }
    let members: BTreeMap<NodeId, Node> = founders
        .iter()
        .map(|founder| (founder.id, founder.node.clone()))
        .collect();
    match raft.initialize(members).await {
        Ok(()) => Ok(()),
        // Another founder was faster and its log has arrived.
        Err(openraft::errors::RaftError::APIError(
            openraft::errors::InitializeError::NotAllowed(_),
        )) => Ok(()),
        Err(error) => Err(raft_error(error)),
    }
}

pub(crate) fn config(limits: &Limits) -> Config {
    Config {
        cluster_name: "stoa".into(),
        heartbeat_interval: limits.heartbeat_ms,
        election_timeout_min: limits.election_ms.0,
        election_timeout_max: limits.election_ms.1,
        // Checkpoints have their own policy, by entries and bytes, and purge explicitly.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        broadcast_submitted_on_append: Some(true),
        enable_pre_vote: Some(true),
        // A leader sends entries while it writes them, so after a power failure its followers may
        // hold some that it lost. Leading on in the same epoch it would give their places away again,
        // and nobody would notice: two entries under one log id. After a new election all notice.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

pub(crate) fn raft_error(error: impl std::fmt::Display) -> StartError {
    StartError::Raft(error.to_string())
}
