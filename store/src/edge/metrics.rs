//! Figures of every stage a write or read passes through. Cheap to clone; counted where things happen.
//!
//! What can be read off at any time (positions, sizes) is not counted here but read when somebody
//! asks: see `metrics/gauges.rs`.

mod gauges;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::history::Step;
use crate::item::NodeId;
use crate::snapshot::View;

pub(crate) use gauges::register;

/// From a fast disk's sync to an operator's patience.
const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
];
/// Things that share a batch.
const COUNTS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];
/// Revisions a watcher is behind; the last bound is about what the history holds.
const BEHIND: [f64; 7] = [0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

type Label<T> = [(&'static str, T); 1];
type Outcomes = Family<Label<&'static str>, Counter>;
type PerPeer = Family<Label<NodeId>, Histogram, fn() -> Histogram>;

/// One replica's figures. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Arc<Figures>);

#[derive(Debug)]
struct Figures {
    proposals: Outcomes,
    batch_txns: Histogram,
    propose: Histogram,
    commit: Histogram,
    log_bytes: Counter,
    log_batches: Counter,
    log_waiters: Histogram,
    log_sync: Histogram,
    idle_poll: Counter<f64, AtomicU64>,
    replicate: PerPeer,
    apply: Histogram,
    apply_entries: Histogram,
    value_bytes: Gauge,
    read_round: Histogram,
    read_readers: Histogram,
    watch_behind: Histogram,
    watch_cut: Counter,
    leader_changes: Counter,
    checkpoints: Outcomes,
    checkpoint: Histogram,
    checkpoint_bytes: Counter,
    snapshots_sent: Outcomes,
    snapshots_installed: Outcomes,
    alarms: Counter,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            proposals: Family::default(),
            batch_txns: Histogram::new(COUNTS),
            propose: seconds(),
            commit: seconds(),
            log_bytes: Counter::default(),
            log_batches: Counter::default(),
            log_waiters: Histogram::new(COUNTS),
            log_sync: seconds(),
            idle_poll: Counter::default(),
            replicate: Family::new_with_constructor(seconds),
            apply: seconds(),
            apply_entries: Histogram::new(COUNTS),
            value_bytes: Gauge::default(),
            read_round: seconds(),
            read_readers: Histogram::new(COUNTS),
            watch_behind: Histogram::new(BEHIND),
            watch_cut: Counter::default(),
            leader_changes: Counter::default(),
            checkpoints: Family::default(),
            checkpoint: seconds(),
            checkpoint_bytes: Counter::default(),
            snapshots_sent: Family::default(),
            snapshots_installed: Family::default(),
            alarms: Counter::default(),
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn outcome(ok: bool) -> Label<&'static str> {
    [("outcome", if ok { "ok" } else { "failed" })]
}

/// What is counted, in the order in which a write passes.
impl Metrics {
    /// So many transactions of an entry had this outcome.
    pub(crate) fn proposed(&self, outcome: &'static str, txns: u64) {
        let outcomes = self.0.proposals.get_or_create(&[("outcome", outcome)]);
        outcomes.inc_by(txns);
    }

    /// A transaction was answered so long after it came in.
    pub(crate) fn answered(&self, took: Duration) {
        self.0.propose.observe(took.as_secs_f64());
    }

    /// An entry of so many transactions was handed to consensus and answered.
    pub(crate) fn committed(&self, txns: usize, took: Duration) {
        self.0.batch_txns.observe(txns as f64);
        self.0.commit.observe(took.as_secs_f64());
    }

    /// Records of so many bytes, on which so many callers waited, became durable.
    pub(crate) fn log_synced(&self, took: Duration, bytes: u64, waiters: usize) {
        self.0.log_sync.observe(took.as_secs_f64());
        self.0.log_bytes.inc_by(bytes);
        self.0.log_batches.inc();
        self.0.log_waiters.observe(waiters as f64);
    }

    /// A processor with nothing else to do was kept awake so long.
    pub(crate) fn idle_polled(&self, took: Duration) {
        self.0.idle_poll.inc_by(took.as_secs_f64());
    }

    #[cfg(test)]
    pub(crate) fn idle_poll_seconds(&self) -> f64 {
        self.0.idle_poll.get()
    }

    /// A follower answered an append.
    pub(crate) fn replicated(&self, peer: NodeId, took: Duration) {
        let histogram = self.0.replicate.get_or_create(&[("peer", peer)]);
        histogram.observe(took.as_secs_f64());
    }

    /// A batch of committed entries was applied and published.
    pub(crate) fn applied(&self, entries: u64, took: Duration) {
        self.0.apply.observe(took.as_secs_f64());
        self.0.apply_entries.observe(entries as f64);
    }

    /// The values that changes brought and took.
    pub(crate) fn changed(&self, steps: &[Step]) {
        let grown = steps.iter();
        let grown = grown.map(|it| i64::from(it.new_len) - i64::from(it.old_len));
        let grown = grown.sum();
        self.0.value_bytes.inc_by(grown);
    }

    /// The state jumped to this one.
    pub(crate) fn replaced(&self, view: &View) {
        let bytes = view.iter().map(|slot| slot.value_len() as i64);
        self.0.value_bytes.set(bytes.sum());
    }

    /// A round confirmed so many reads.
    pub(crate) fn read(&self, readers: usize, took: Duration) {
        self.0.read_round.observe(took.as_secs_f64());
        self.0.read_readers.observe(readers as f64);
    }

    /// A watcher came for changes, this many revisions behind.
    pub(crate) fn watched(&self, behind: u64) {
        self.0.watch_behind.observe(behind as f64);
    }

    /// A watcher was too slow for the history.
    pub(crate) fn cut(&self) {
        self.0.watch_cut.inc();
    }

    pub(crate) fn leader_changed(&self) {
        self.0.leader_changes.inc();
    }

    /// A checkpoint of what so many bytes of log had changed was written, or could not be.
    pub(crate) fn checkpointed(&self, ok: bool, bytes: u64, took: Duration) {
        self.0.checkpoints.get_or_create(&outcome(ok)).inc();
        if ok {
            self.0.checkpoint.observe(took.as_secs_f64());
            self.0.checkpoint_bytes.inc_by(bytes);
        }
    }

    pub(crate) fn snapshot_sent(&self, ok: bool) {
        self.0.snapshots_sent.get_or_create(&outcome(ok)).inc();
    }

    pub(crate) fn snapshot_installed(&self, ok: bool) {
        self.0.snapshots_installed.get_or_create(&outcome(ok)).inc();
    }

    /// Replicas were seen to differ.
    pub(crate) fn alarmed(&self) {
        self.0.alarms.inc();
    }
}

/// Under which name each figure is known.
impl Metrics {
    fn register(&self, to: &mut Registry) {
        self.register_writes(to);
        self.register_log(to);
        self.register_reads(to);
        self.register_wholes(to);
    }

    fn register_writes(&self, to: &mut Registry) {
        let Figures {
            proposals,
            batch_txns,
            propose,
            commit,
            replicate,
            apply,
            apply_entries,
            ..
        } = &*self.0;
        let of = "Transactions proposed on this replica, by outcome";
        to.register("proposals", of, proposals.clone());
        let of = "Transactions that shared a log entry";
        to.register("batch_transactions", of, batch_txns.clone());
        let of = "From a transaction's arrival at the leader until it was applied there";
        to.register("propose_seconds", of, propose.clone());
        let of = "From an entry's hand-over to consensus until it was applied";
        to.register("commit_seconds", of, commit.clone());
        let of = "From an append sent to a follower until its answer";
        to.register("replicate_seconds", of, replicate.clone());
        let of = "Applying and publishing a batch of committed entries";
        to.register("apply_seconds", of, apply.clone());
        let of = "Entries applied together";
        to.register("apply_entries", of, apply_entries.clone());
    }

    fn register_log(&self, to: &mut Registry) {
        let Figures {
            log_bytes,
            log_batches,
            log_waiters,
            log_sync,
            idle_poll,
            ..
        } = &*self.0;
        to.register(
            "log_append_bytes",
            "Bytes appended to the log",
            log_bytes.clone(),
        );
        let of = "Batches of records made durable together";
        to.register("log_batches", of, log_batches.clone());
        let of = "Appends that waited for the same sync";
        to.register("log_batch_waiters", of, log_waiters.clone());
        to.register(
            "log_sync_seconds",
            "Making a batch durable",
            log_sync.clone(),
        );
        let of = "Keeping a processor awake between lone writes or reads";
        to.register("idle_poll_seconds", of, idle_poll.clone());
    }

    fn register_reads(&self, to: &mut Registry) {
        let Figures {
            read_round,
            read_readers,
            watch_behind,
            watch_cut,
            ..
        } = &*self.0;
        let of = "Confirming a linearizable read point";
        to.register("read_index_seconds", of, read_round.clone());
        let of = "Reads that shared a confirmation";
        to.register("read_index_readers", of, read_readers.clone());
        let of = "Revisions a watcher was behind when it came for changes";
        to.register("watch_behind_revisions", of, watch_behind.clone());
        let of = "Watchers cut because the history no longer reached back to them";
        to.register("watch_compacted", of, watch_cut.clone());
    }

    fn register_wholes(&self, to: &mut Registry) {
        let Figures {
            value_bytes,
            leader_changes,
            checkpoints,
            checkpoint,
            checkpoint_bytes,
            snapshots_sent,
            snapshots_installed,
            alarms,
            ..
        } = &*self.0;
        to.register("value_bytes", "Bytes of all values", value_bytes.clone());
        let of = "Changes of leader this replica saw";
        to.register("leader_changes", of, leader_changes.clone());
        to.register(
            "checkpoints",
            "Checkpoints, by outcome",
            checkpoints.clone(),
        );
        to.register(
            "checkpoint_seconds",
            "Writing a checkpoint",
            checkpoint.clone(),
        );
        let of = "Log bytes that checkpoints made dispensable";
        to.register("checkpoint_log_bytes", of, checkpoint_bytes.clone());
        let of = "Snapshots sent to followers, by outcome";
        to.register("snapshots_sent", of, snapshots_sent.clone());
        let of = "Snapshots of a leader installed, by outcome";
        to.register("snapshots_installed", of, snapshots_installed.clone());
        let of = "Rounds in which replicas were seen to hold different states";
        to.register("divergence_alarms", of, alarms.clone());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn what_is_counted_shows() {
        let metrics = Metrics::default();
        metrics.proposed("applied", 1);
        metrics.answered(Duration::from_micros(40));
        metrics.log_synced(Duration::from_millis(3), 700, 5);
        metrics.idle_polled(Duration::from_millis(250));
        metrics.replicated(2, Duration::from_secs(20));
        let mut registry = Registry::with_prefix("stoa_store");
        metrics.register(&mut registry);
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        for line in [
            "stoa_store_proposals_total{outcome=\"applied\"} 1",
            "stoa_store_propose_seconds_bucket{le=\"0.00005\"} 1",
            "stoa_store_log_append_bytes_total 700",
            "stoa_store_log_sync_seconds_bucket{le=\"0.002\"} 0",
            "stoa_store_log_sync_seconds_bucket{le=\"0.005\"} 1",
            "stoa_store_log_batch_waiters_sum 5.0",
            "stoa_store_idle_poll_seconds_total 0.25",
            "stoa_store_replicate_seconds_bucket{le=\"10.0\",peer=\"2\"} 0",
            "stoa_store_replicate_seconds_count{peer=\"2\"} 1",
        ] {
            assert!(shown.lines().any(|it| it == line), "{line}\n{shown}");
        }
    }
}
