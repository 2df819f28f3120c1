//! Checkpoints: the state written behind the apply path into two generations by turns.
//!
//! While one generation is written the other stays whole on disk, and the log is kept back to the
//! older of the two. So a crash, a torn write or rot in one of them costs a longer replay, never
//! state.

mod room;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::archive::Keys;
use crate::edge::files;
use crate::edge::reserve::Reserve;
use crate::edge::state::{Doubt, Materialised, Pace, Residence, StateDir};
use crate::faults::Faults;
use crate::history::Step;
use crate::image::Image;
use crate::raft::LogId;

use room::Written;

/// The directories of the generations, in the data directory.
pub(crate) const GENERATIONS: [&str; 2] = ["state-a", "state-b"];

/// Log bytes not yet in any checkpoint above which the next one is due at once: writing it gently must not
/// let the log grow without end.
const HURRY_BYTES: u64 = 64 << 20;

/// Writes checkpoints and knows the latest durable one.
pub(crate) struct Checkpointer {
    dir: PathBuf,
    generations: [Arc<dyn Materialised>; 2],
    pace: Pace,
    /// Held while a generation is written, by the writing thread itself: it cannot be cancelled.
    writing: Arc<AsyncMutex<()>>,
    tracked: Arc<Mutex<Tracked>>,
    /// Only touched by who holds `writing`, and when nothing is written yet.
    owed: Arc<Mutex<Owed>>,
    reserve: Option<Arc<Reserve>>,
}

/// Per generation: the keys it lacks besides the recent ones, or none when it must be written in full.
#[derive(Default)]
struct Owed([Option<Keys>; 2]);

/// What was applied lately. The state machine notes it in passing, so it must cost little.
#[derive(Default)]
struct Tracked {
    latest: Option<Image>,
    /// What the latest durable checkpoint holds. Only its position is kept: the image would keep every
    /// value alive that was overwritten since.
    durable: Option<LogId>,
    entries: u64,
    bytes: u64,
    /// Keys changed since the last checkpoint began.
    recent: HashSet<Box<[u8]>>,
    /// Per generation: the applied index it holds durably.
    holds: [Option<u64>; 2],
    /// The next build answers with this checkpoint instead of making one.
    announced: Option<Arc<Image>>,
}

/// What one checkpoint takes over.
struct Batch {
    target: usize,
    recent: HashSet<Box<[u8]>>,
    entries: u64,
    bytes: u64,
    /// The other generation can be relied on.
    expendable: bool,
}

impl std::fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpointer").finish_non_exhaustive()
    }
}

impl Checkpointer {
    /// Two directories below `dir`, which values are read from that are not in memory.
    pub(crate) fn in_dir(dir: &Path, cluster_id: u128, faults: &Faults, held: &Residence) -> Self {
        let pace = Pace::default();
        let place = |name: &str| -> Arc<dyn Materialised> {
            let (dir, faults) = (dir.join(name), faults.clone());
            let place = StateDir::new(dir, cluster_id, faults, held.clone());
            Arc::new(place.paced(pace.clone()))
        };
        let generations = GENERATIONS.map(place);
        Self {
            dir: dir.to_owned(),
            generations,
            pace,
            writing: Arc::default(),
            tracked: Arc::default(),
            owed: Arc::default(),
            reserve: None,
        }
    }

    /// May use this space when there is no other.
    pub(crate) fn with_reserve(self, reserve: Reserve) -> Self {
        Self {
            reserve: Some(Arc::new(reserve)),
            ..self
        }
    }

    /// Keeps space back, if there is some and it is not kept yet; what is being written may need it. Blocks.
    pub(crate) fn take_reserve(&self) {
        if let (Some(reserve), Ok(_writing)) = (&self.reserve, self.writing.try_lock()) {
            reserve.take();
        }
    }

    /// Whether there was no space to keep back.
    pub(crate) fn wants_reserve(&self) -> bool {
        self.reserve.as_ref().is_some_and(|it| it.is_wanting())
    }

    /// The newest image that can be verified and reaches the log, i.e. has everything up to
    /// `purged`. Doubtful generations are set aside. Blocks.
    pub(crate) fn load(&self, purged: Option<u64>) -> Result<Option<Image>, Doubt> {
        let mut found = Vec::new();
        for (n, generation) in self.generations.iter().enumerate() {
            match generation.peek() {
                Ok(header) => found.extend(header.map(|header| (header.applied, n))),
                Err(doubt) => self.discard(n, &doubt)?,
            }
        }
        found.sort_unstable();
        for (applied, n) in found.into_iter().rev() {
            if applied.map(|id| id.index) < purged {
                continue;
            }
            match self.generations[n].load() {
                Ok(Some(image)) => {
                    self.loaded(n, &image);
                    return Ok(Some(image));
                }
                Ok(None) => {}
                Err(doubt) => self.discard(n, &doubt)?,
            }
        }
        Ok(None)
    }

    /// Records what `apply` did.
    pub(crate) fn note(&self, image: &Image, steps: &[Step], entries: u64, bytes: u64) {
        let mut tracked = self.tracked();
        tracked.latest = Some(image.clone());
        tracked.entries += entries;
        tracked.bytes += bytes;
        self.pace.hurry(tracked.bytes > HURRY_BYTES);
        for step in steps {
            if !tracked.recent.contains(step.key()) {
                tracked.recent.insert(step.key().into());
            }
        }
    }

    /// Entries and bytes applied since the last checkpoint.
    pub(crate) fn pending(&self) -> (u64, u64) {
        let tracked = self.tracked();
        (tracked.entries, tracked.bytes)
    }

    /// What a follower that lags is sent, once there is a checkpoint: the latest image rather than the
    /// one written, since what is applied is committed, and is the least to catch up from.
    pub(crate) fn current(&self) -> Option<Arc<Image>> {
        let tracked = self.tracked();
        tracked.durable?;
        tracked.latest.clone().map(Arc::new)
    }

    /// The latest image applied, durable or not; for replicas that lost theirs.
    pub(crate) fn latest(&self) -> Option<Image> {
        self.tracked().latest.clone()
    }

    /// Keys that one generation or the other lacks, besides those of what is pending.
    pub(crate) fn owed(&self) -> usize {
        let owed = lock(&self.owed);
        owed.0.iter().flatten().map(Keys::len).sum()
    }

    /// Bytes of values in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let tracked = self.tracked();
        let latest = tracked.latest.as_ref();
        latest.map_or(0, |image| image.state.resident().bytes())
    }

    /// The log up to this index is behind both generations.
    pub(crate) fn purgeable(&self) -> Option<u64> {
        let holds = self.tracked().holds;
        Some(holds[0]?.min(holds[1]?))
    }

    /// Whether the log could forget more if the older generation were written again.
    pub(crate) fn lags(&self) -> bool {
        self.tracked().lags()
    }

    /// Lets the next `build` answer with this checkpoint.
    pub(crate) fn announce(&self, written: Arc<Image>) {
        self.tracked().announced = Some(written);
    }

    /// A checkpoint for openraft: the announced one, else a fresh one, else at least the last one.
    pub(crate) async fn build(&self, image: Image) -> io::Result<Arc<Image>> {
        let announced = self.tracked().announced.take();
        if let Some(announced) = announced {
            return Ok(announced);
        }
        match self.checkpoint(image).await {
            Ok(fresh) => Ok(fresh),
            Err(error) => self.current().ok_or(error),
        }
    }

    /// Writes the latest noted image (or this one, when none was noted) durably into the older
    /// generation.
    pub(crate) async fn checkpoint(&self, fallback: Image) -> io::Result<Arc<Image>> {
        let writing = Arc::clone(&self.writing).lock_owned().await;
        let (image, batch) = {
            let mut tracked = self.tracked();
            let image = tracked.latest.clone().unwrap_or(fallback);
            if tracked.durable.is_some() && tracked.durable == image.applied && !tracked.lags() {
                return Ok(Arc::new(image));
            }
            (image, tracked.begin())
        };
        self.write(writing, image, batch, None).await
    }

    /// Waits until nothing is being written, and has what is being written finished soon.
    pub(crate) async fn idle(&self) {
        self.pace.hurry(true);
        drop(self.writing.lock().await);
    }

    /// Makes this image, which did not come from the log, the state. Durable on return.
    pub(crate) async fn replace(&self, image: Image) -> io::Result<()> {
        let writing = Arc::clone(&self.writing).lock_owned().await;
        let (batch, before) = {
            let mut tracked = self.tracked();
            let batch = tracked.begin();
            let before = tracked.latest.replace(image.clone());
            tracked.holds = [None, None];
            (batch, before)
        };
        *lock(&self.owed) = Owed::default();
        self.write(writing, image, batch, before).await.map(drop)
    }

    /// Fails when the disk has no room for this image, whatever is given up for it. Blocks.
    pub(crate) fn require_room(&self, image: &Image) -> io::Result<()> {
        let needed = image.bytes();
        let target = self.tracked().older();
        let given_up = self.generations[target].bytes();
        let reserved = self.reserve.as_ref().map_or(0, |reserve| reserve.bytes());
        files::require(&self.dir, needed.saturating_sub(given_up + reserved))
    }

    async fn write(
        &self,
        writing: OwnedMutexGuard<()>,
        image: Image,
        batch: Batch,
        before: Option<Image>,
    ) -> io::Result<Arc<Image>> {
        let image = Arc::new(image);
        let generation = Arc::clone(&self.generations[batch.target]);
        let other = Arc::clone(&self.generations[1 - batch.target]);
        let tracked = Arc::clone(&self.tracked);
        let owed = Arc::clone(&self.owed);
        let reserve = self.reserve.clone();
        let written = tokio::task::spawn_blocking(move || {
            let changed = lock(&owed).take(batch.target, &batch.recent);
            let Written { result, cleared } = room::write(
                &*generation,
                &image,
                changed.as_ref(),
                reserve.as_deref(),
                batch.expendable.then_some(&*other),
                before.as_ref(),
            );
            // Recorded before the next write may begin, and also when nobody waits any more.
            match &result {
                Ok(()) => lock(&tracked).written(batch.target, &image),
                Err(_) => lock(&tracked).failed(&batch, cleared),
            }
            // A generation that could not be written still holds what it held, unless that gave way.
            let held = if result.is_ok() {
                Some(Keys::new())
            } else {
                changed.filter(|_| !cleared)
            };
            lock(&owed).0[batch.target] = held;
            drop(writing);
            result.map(|()| image)
        });
        written.await.map_err(io::Error::other)?
    }

    fn loaded(&self, n: usize, image: &Image) {
        lock(&self.owed).0[n] = Some(Keys::new());
        let mut tracked = self.tracked();
        tracked.holds[n] = image.applied_index();
        tracked.latest = Some(image.clone());
        tracked.durable = image.applied;
    }

    fn discard(&self, n: usize, doubt: &Doubt) -> Result<(), Doubt> {
        tracing::warn!(generation = n, %doubt, "a state directory is set aside and will be rebuilt");
        self.generations[n].set_aside()
    }

    fn tracked(&self) -> MutexGuard<'_, Tracked> {
        lock(&self.tracked)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Owed {
    /// All that this generation lacks; the other one is owed the recent keys too.
    fn take(&mut self, target: usize, recent: &HashSet<Box<[u8]>>) -> Option<Keys> {
        if let Some(other) = &mut self.0[1 - target] {
            other.extend(recent.iter().cloned());
        }
        let mut changed = self.0[target].take();
        if let Some(changed) = &mut changed {
            changed.extend(recent.iter().cloned());
        }
        changed
    }
}

impl Tracked {
    /// Takes what the next write must bring to the generation that is due.
    fn begin(&mut self) -> Batch {
        let target = self.older();
        Batch {
            target,
            recent: std::mem::take(&mut self.recent),
            entries: std::mem::take(&mut self.entries),
            bytes: std::mem::take(&mut self.bytes),
            expendable: self.holds[1 - target].is_some(),
        }
    }

    fn written(&mut self, target: usize, image: &Image) {
        self.holds[target] = image.applied_index();
        self.durable = image.applied;
    }

    fn failed(&mut self, batch: &Batch, cleared: bool) {
        self.entries += batch.entries;
        self.bytes += batch.bytes;
        if cleared {
            self.holds[batch.target] = None;
        }
    }

    /// One generation is behind the other.
    fn lags(&self) -> bool {
        self.holds[0] != self.holds[1]
    }

    /// The generation to write next: never the one the current checkpoint is in.
    fn older(&self) -> usize {
        usize::from(self.holds[1] < self.holds[0])
    }
}

#[cfg(test)]
mod tests;
