//! When checkpoints are written, and what of the log is forgotten behind them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use crate::edge::core::Core;
use crate::edge::wal::pool::Space;
use crate::values::allowed;

/// After a checkpoint failed, e.g. for lack of space.
const RETRY: Duration = Duration::from_secs(10);
/// How often is looked whether a checkpoint is due. Not at every batch: that would wake a task as often as
/// the state machine.
const LOOK: Duration = Duration::from_millis(100);
/// Between two checkpoints while the log is almost out of space.
const LOW_PAUSE: Duration = Duration::from_secs(1);

/// After this long without a write, memory is made free that checkpoints can make free: of values that are too many, and
/// of keys that only the other generation lacks.
const QUIET: Duration = Duration::from_secs(2);
const OWED_MAX: usize = 20_000;

/// Writes checkpoints by entries and bytes, whenever the log is short of space, and when there is a pause and memory to
/// be won.
pub(crate) async fn run(core: Arc<Core>) {
    take_reserve(&core).await;
    let mut last = None;
    let mut pause = Pause::new(Instant::now());
    loop {
        while !is_due(&core, last, &mut pause) {
            tokio::time::sleep(LOOK).await;
            take_wanted(&core).await;
        }
        last = Some(Instant::now());
        match measured(&core).await {
            Ok(()) => take_reserve(&core).await,
            Err(error) => {
                tracing::error!(%error, "no checkpoint; the log keeps growing until one succeeds");
                retreat(&core).await;
            }
        }
    }
}

/// Until it is worth another attempt: after a while, or when there is space again.
async fn retreat(core: &Core) {
    let wanting = core.checkpointer.wants_reserve();
    let until = Instant::now() + RETRY;
    while Instant::now() < until && core.checkpointer.wants_reserve() == wanting {
        tokio::time::sleep(LOOK).await;
        take_wanted(core).await;
    }
}

/// Since when nothing was written.
struct Pause {
    entries: u64,
    since: Instant,
}

impl Pause {
    fn new(now: Instant) -> Self {
        Self {
            entries: 0,
            since: now,
        }
    }

    /// Whether it lasts for long, where so many entries are in no checkpoint yet.
    fn is_long(&mut self, entries: u64, now: Instant) -> bool {
        if std::mem::replace(&mut self.entries, entries) != entries {
            self.since = now;
        }
        now.duration_since(self.since) >= QUIET
    }
}

fn is_due(core: &Core, last: Option<Instant>, pause: &mut Pause) -> bool {
    let (entries, bytes) = core.checkpointer.pending();
    let allowed = allowed(core.limits.resident_bytes, core.published.items());
    // An eighth more, lest each small write have a checkpoint of its own.
    let too_many = core.checkpointer.resident_bytes() > allowed + allowed / 8;
    let frees = too_many && entries > 0 || core.checkpointer.owed() > OWED_MAX;
    pause.is_long(entries, Instant::now()) && frees
        || entries >= core.limits.checkpoint_entries
        || bytes >= core.limits.checkpoint_bytes
        || is_urgent(*core.space.borrow(), last.map(|last| last.elapsed()))
            && (entries > 0 || core.checkpointer.lags())
}

/// Whether the log is so short of space that whatever lets it forget something is due, so long after the last
/// checkpoint.
fn is_urgent(space: Space, rested: Option<Duration>) -> bool {
    match space {
        Space::Ample | Space::Tight => false,
        // A little at a time would soon be more than the disk has.
        Space::Low => rested.is_none_or(|rested| rested >= LOW_PAUSE),
        Space::Exhausted => true,
    }
}

async fn measured(core: &Core) -> io::Result<()> {
    let started = Instant::now();
    let (entries, bytes) = core.checkpointer.pending();
    let span = tracing::debug_span!("checkpoint", entries, bytes);
    let written = checkpoint(core).instrument(span).await;
    core.metrics
        .checkpointed(written.is_ok(), bytes, started.elapsed());
    written
}

async fn checkpoint(core: &Core) -> io::Result<()> {
    let Some(latest) = core.checkpointer.latest() else {
        return Ok(());
    };
    let written = core.checkpointer.checkpoint(latest).await?;
    core.checkpointer.announce(written);
    let raft = core.raft.trigger();
    raft.snapshot().await.map_err(io::Error::other)?;
    match core.checkpointer.purgeable().and_then(|at| spare(core, at)) {
        Some(upto) => raft.purge_log(upto).await.map_err(io::Error::other),
        None => Ok(()),
    }
}

/// The last entry that the log can do without, where checkpoints have all up to `at`.
fn spare(core: &Core, at: u64) -> Option<u64> {
    // Short of space, followers that lag are better sent the state than kept the log.
    if *core.space.borrow() != Space::Ample {
        return Some(at);
    }
    let many = at.checked_sub(core.limits.keep_entries);
    let large = core.log.behind(at, core.limits.keep_bytes);
    let spare = many.max(large).filter(|upto| *upto > 0)?;
    let too_far = core.log.behind(at, core.limits.hold_bytes);
    Some(unheld(spare, core.holds.free(Instant::now()), too_far))
}

/// The last entry to go of those up to `spare`, where those after `free` are held, but none up to `too_far`.
fn unheld(spare: u64, free: Option<u64>, too_far: Option<u64>) -> u64 {
    free.map_or(spare, |free| spare.min(free.max(too_far.unwrap_or(0))))
}

/// Keeps space back while there is some.
async fn take_reserve(core: &Core) {
    let checkpointer = Arc::clone(&core.checkpointer);
    if let Err(error) = tokio::task::spawn_blocking(move || checkpointer.take_reserve()).await {
        tracing::warn!(%error, "no disk space can be kept in reserve");
    }
}

async fn take_wanted(core: &Core) {
    if core.checkpointer.wants_reserve() {
        take_reserve(core).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_makes_a_checkpoint_urgent() {
        let soon = LOW_PAUSE / 2;
        let table = [
            (Space::Ample, None, false),
            (Space::Tight, None, false),
            (Space::Low, None, true),
            (Space::Low, Some(soon), false),
            (Space::Low, Some(LOW_PAUSE), true),
            (Space::Exhausted, Some(soon), true),
        ];
        for (space, rested, expected) in table {
            assert_eq!(is_urgent(space, rested), expected, "{space:?} {rested:?}");
        }
    }

    #[tokio::test]
    async fn a_pause_is_long_after_a_while_without_writes() {
        let start = Instant::now();
        let mut pause = Pause::new(start);
        let table = [
            (0, 0, false),
            (5, 1, false),
            (5, 2, false),
            (5, 3, true),
            (6, 4, false),
            (6, 6, true),
        ];
        for (entries, second, long) in table {
            let now = start + Duration::from_secs(second);
            assert_eq!(pause.is_long(entries, now), long, "{second}");
        }
    }

    #[test]
    fn what_is_held_stays_unless_it_is_too_much() {
        let table = [
            (50, None, None, 50),
            (50, None, Some(20), 50),
            (50, Some(30), None, 30),
            (50, Some(30), Some(20), 30),
            (50, Some(30), Some(40), 40),
            (50, Some(70), Some(20), 50),
            // More is kept for others than may be held.
            (50, Some(30), Some(60), 50),
        ];
        for (spare, free, too_far, expected) in table {
            assert_eq!(
                unheld(spare, free, too_far),
                expected,
                "{spare} {free:?} {too_far:?}"
            );
        }
    }
}
