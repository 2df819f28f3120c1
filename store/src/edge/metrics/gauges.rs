//! What is read off the running replica when somebody asks: positions, sizes, roles.

use std::sync::atomic::AtomicU64;

use openraft::async_runtime::watch::WatchReceiver;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::Label;
use crate::edge::core::Core;
use crate::edge::wal::pool::Space;
use crate::item::NodeId;

/// Everything the store tells of itself goes by this prefix.
const PREFIX: &str = "stoa_store";

type PerPeer = Family<Label<NodeId>, Gauge<u64, AtomicU64>>;

/// Enters all figures as they are now.
pub(crate) fn register(core: &Core, registry: &mut Registry) {
    let to = registry.sub_registry_with_prefix(PREFIX);
    core.metrics.register(to);
    state(core, to);
    consensus(core, to);
    let stopped = core.fault.get().is_some();
    gauge(
        to,
        "stopped",
        "1 when this replica has stopped",
        u64::from(stopped),
    );
    let alarmed = core.alarm.get().is_some();
    let of = "1 while replicas are known to hold different states";
    gauge(to, "diverged", of, u64::from(alarmed));
}

fn gauge(to: &mut Registry, name: &str, of: &str, value: u64) {
    to.register(name, of, ConstGauge::new(value));
}

fn state(core: &Core, to: &mut Registry) {
    let view = core.published.view();
    let history = core.published.history_size();
    gauge(to, "items", "Objects in the store", view.len() as u64);
    gauge(to, "revision", "The store's revision", view.revision());
    let of = "Changes kept for watchers";
    gauge(to, "history_changes", of, history.changes as u64);
    let of = "Memory of the changes kept, at most";
    gauge(to, "history_bytes", of, history.bytes as u64);
    let of = "The oldest revision that can still be read or watched from";
    gauge(to, "history_oldest_revision", of, history.oldest);
    let of = "Values in memory, in bytes; the others are read from the files of checkpoints";
    gauge(to, "resident_bytes", of, core.checkpointer.resident_bytes());
}

fn consensus(core: &Core, to: &mut Registry) {
    let metrics = core.raft.metrics();
    let now = metrics.borrow_watched();
    let index = |at: Option<crate::raft::LogId>| at.map_or(0, |at| at.index);
    let applied = core.published.progress().applied_next.saturating_sub(1);
    gauge(to, "applied_index", "The last log entry applied", applied);
    let committed = index(now.cluster_committed.max(now.local_committed));
    let of = "The last log entry known to be committed";
    gauge(to, "committed_index", of, committed);
    let purged = index(now.purged);
    let first = now.purged.map_or(0, |at| at.index + 1);
    gauge(to, "log_first_index", "The first entry in the log", first);
    let last = now.last_log_index.unwrap_or(0);
    gauge(to, "log_last_index", "The last entry in the log", last);
    let of = "The last entry removed from the log";
    gauge(to, "log_purged_index", of, purged);
    let of = "The last entry in the latest checkpoint";
    gauge(to, "checkpoint_index", of, index(now.snapshot));
    gauge(to, "term", "The Raft term", now.vote.leader_id.term);
    let leads = core.leadership.borrow().is_local;
    gauge(
        to,
        "is_leader",
        "1 while this replica leads",
        u64::from(leads),
    );
    let of = "Room for the log: 0 ample, 1 low, 2 exhausted";
    let level = match *core.space.borrow() {
        Space::Ample => 0,
        Space::Tight | Space::Low => 1,
        Space::Exhausted => 2,
    };
    gauge(to, "log_space_level", of, level);
    let behind = PerPeer::default();
    for (peer, matched) in now
        .replication
        .iter()
        .flatten()
        .filter(|(id, _)| **id != core.id)
    {
        let lag = last.saturating_sub(index(*matched));
        behind.get_or_create(&[("peer", *peer)]).set(lag);
    }
    let of = "Log entries a follower has not confirmed yet; shown by the leader";
    to.register("peer_behind_entries", of, behind);
}
