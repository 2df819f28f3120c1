//! What readers see: the latest state, the recent history, and a signal when they move.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::edge::awaited::Awaited;
use crate::edge::gate::Gate;
use crate::edge::metrics::Metrics;
use crate::history::{Change, Compacted, History, Step};
use crate::image::Image;
use crate::item::Revision;
use crate::marks::{Mark, Marks};
use crate::snapshot::View;

/// Rebuilt views kept for the next page of the same list.
const REBUILT_MAX: usize = 8;
/// Changes handed out at once, so that one reader does not hold the lock for long.
const CHANGES_MAX: usize = 1024;

/// How far the state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Index of the last applied entry plus one; 0 before the first.
    pub(crate) applied_next: u64,
    pub(crate) revision: Revision,
    pub(crate) digest: u128,
}

/// Shared by the state machine, which writes, and all readers.
#[derive(Debug)]
pub(crate) struct Published {
    latest: RwLock<Latest>,
    rebuilt: Mutex<VecDeque<View>>,
    progress: watch::Sender<Progress>,
    /// Opens at revisions.
    revisions: Gate,
    /// Opens at applied indexes plus one.
    applied: Gate,
    marks: Mutex<Marks>,
    metrics: Metrics,
    /// Outcomes that callers here wait for.
    pub(crate) awaited: Awaited,
}

#[derive(Debug)]
struct Latest {
    view: View,
    history: History,
    /// Changes that a failpoint keeps from watchers; empty but in tests.
    concealed: BTreeSet<Revision>,
}

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistorySize {
    pub(crate) changes: usize,
    pub(crate) bytes: usize,
    pub(crate) oldest: Revision,
}

impl Published {
    pub(crate) fn new(history_bytes: usize, history_age_ms: u64) -> Self {
        let history = History::new(0, history_bytes, history_age_ms);
        Self {
            latest: RwLock::new(Latest {
                view: View::default(),
                history,
                concealed: BTreeSet::new(),
            }),
            rebuilt: Mutex::default(),
            progress: watch::Sender::default(),
            revisions: Gate::default(),
            applied: Gate::default(),
            marks: Mutex::default(),
            metrics: Metrics::default(),
            awaited: Awaited::default(),
        }
    }

    /// Has its figures shared.
    pub(crate) fn counted(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The state jumped to this image; what led there is unknown.
    pub(crate) fn reset(&self, image: &Image) {
        self.write(|latest| {
            latest.view = image.state.view().clone();
            latest.history.reset(latest.view.revision());
        });
        // Marks of another past would accuse a state that was put right.
        *self.marks_mut() = Marks::default();
        self.forget_rebuilt();
        self.signal(image);
    }

    /// The state moved to this image by these changes.
    pub(crate) fn advance(&self, image: &Image, steps: Vec<Step>) {
        self.write(|latest| {
            latest.view = image.state.view().clone();
            steps.into_iter().for_each(|step| latest.history.push(step));
        });
        self.forget_rebuilt();
        self.signal(image);
    }

    /// Remembers the digest right after the image's last entry.
    pub(crate) fn milestone(&self, image: &Image) {
        if let Some(index) = image.applied_index() {
            let digest = image.state.digest();
            self.marks_mut().milestone(Mark { index, digest });
        }
    }

    /// Digests at the indexes this replica still knows.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.marks_mut().all()
    }

    /// Keeps the change from watchers, which is wrong on purpose.
    pub(crate) fn conceal(&self, revision: Revision) {
        self.write(|latest| {
            latest.concealed.insert(revision);
        });
    }

    pub(crate) fn history_size(&self) -> HistorySize {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        HistorySize {
            changes: latest.history.len(),
            bytes: latest.history.bytes(),
            oldest: latest.history.oldest(),
        }
    }

    /// Number of items.
    pub(crate) fn items(&self) -> usize {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.view.len()
    }

    pub(crate) fn view(&self) -> View {
        self.latest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .view
            .clone()
    }

    pub(crate) fn view_at(&self, revision: Revision) -> Result<View, Compacted> {
        let (view, steps) = {
            let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
            if revision >= latest.view.revision() {
                return Ok(latest.view.clone());
            }
            (
                latest.view.clone(),
                latest.history.after(revision, usize::MAX)?,
            )
        };
        if let Some(rebuilt) = self.recall(revision) {
            return Ok(rebuilt);
        }
        let rebuilt = History::rewind(&view, revision, &steps);
        self.remember(rebuilt.clone());
        Ok(rebuilt)
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    pub(crate) fn oldest(&self) -> Revision {
        self.latest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .history
            .oldest()
    }

    pub(crate) fn changes(self: &Arc<Self>, after: Revision) -> Result<Cursor, Compacted> {
        let oldest = self.oldest();
        if after < oldest {
            return Err(Compacted { oldest });
        }
        let progress = self.progress.subscribe();
        Ok(Cursor {
            published: Arc::clone(self),
            position: after,
            progress,
        })
    }

    /// Waits until the revision is reached; false when the time is over.
    pub(crate) async fn wait_revision(&self, at_least: Revision, limit: Duration) -> bool {
        self.revisions.reached(at_least, limit).await
    }

    /// Waits until the entry is applied here; false when the time is over.
    pub(crate) async fn wait_applied(&self, index: u64, limit: Duration) -> bool {
        self.applied.reached(index + 1, limit).await
    }

    fn write(&self, change: impl FnOnce(&mut Latest)) {
        change(&mut self.latest.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn marks_mut(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, image: &Image) {
        let digest = image.state.digest();
        if let Some(index) = image.applied_index() {
            self.marks_mut().batch(Mark { index, digest });
        }
        let progress = Progress {
            applied_next: image.applied_index().map_or(0, |index| index + 1),
            revision: image.state.view().revision(),
            digest,
        };
        self.progress.send_replace(progress);
        self.revisions.raise(progress.revision);
        self.applied.raise(progress.applied_next);
    }

    /// Lets go of rebuilt views nobody can ask for again: each keeps old values alive.
    fn forget_rebuilt(&self) {
        let oldest = self.oldest();
        self.rebuilt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|view| view.revision() >= oldest);
    }

    fn recall(&self, revision: Revision) -> Option<View> {
        let rebuilt = self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner);
        rebuilt
            .iter()
            .find(|view| view.revision() == revision)
            .cloned()
    }

    fn remember(&self, view: View) {
        let mut rebuilt = self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner);
        rebuilt.push_back(view);
        if rebuilt.len() > REBUILT_MAX {
            rebuilt.pop_front();
        }
    }
}

/// Reads changes in order. It holds a position, nothing else: a waiting reader costs no memory.
#[derive(Debug)]
pub struct Cursor {
    published: Arc<Published>,
    position: Revision,
    progress: watch::Receiver<Progress>,
}

impl Cursor {
    /// The revision up to which changes were returned.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// Changes after the position, in order and without a gap, at most about a thousand at once;
    /// waits while there are none. Fails once the history no longer reaches back to the position.
    /// Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Arc<Change>>, Compacted> {
        loop {
            self.progress.borrow_and_update();
            let changes = self.take()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            if self.progress.changed().await.is_err() {
                // The sender lives in `published`, which this cursor holds.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What there is now; the position moves behind it.
    fn take(&mut self) -> Result<Vec<Arc<Change>>, Compacted> {
        let published = Arc::clone(&self.published);
        let latest = published
            .latest
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let found = latest.history.after(self.position, CHANGES_MAX);
        let mut steps = found.inspect_err(|_compacted| published.metrics.cut())?;
        if let Some(last) = steps.last() {
            let behind = latest.view.revision().saturating_sub(self.position);
            published.metrics.watched(behind);
            self.position = last.revision;
        }
        if !latest.concealed.is_empty() {
            steps.retain(|step| !latest.concealed.contains(&step.revision));
        }
        drop(latest);
        Ok(steps.iter().map(|step| Arc::new(step.change())).collect())
    }
}
