//! Watches: one task follows the store and hands every change to those it concerns.
//!
//! A watcher joins at a known revision (`Joined::at`): everything after it comes through the
//! queue, everything before it is replayed, so there is neither gap nor repetition. Queues are
//! bounded; a watcher whose queue is full is cut and resumes from the last version it saw.

pub mod event;
pub mod index;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{Compacted, Revision, Store};
use tokio::sync::{mpsc, watch};

use crate::vault::Vault;
pub use event::{Event, Kind};
pub use index::{Index, Interest};

/// Events a watcher may lag behind before it is cut.
const QUEUE: usize = 1024;

/// Events kept for watchers that come back: after a server is lost all its watchers return at
/// once, and share what was decoded here instead of each reading the store's history.
const RECENT: usize = 256;

/// Changes handed out under one lock.
const BATCH: usize = 64;

/// Why a watcher's queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was too slow, its resource is gone, or the server stops: resume.
    Resume,
    /// The history between is not known here: list again.
    Expired,
}

/// The hub. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Hub {
    state: Arc<Mutex<State>>,
    progress: watch::Receiver<Revision>,
    vault: Arc<Vault>,
}

#[derive(Debug)]
struct State {
    index: Index<Watcher>,
    /// Everything up to here has been handed out.
    dispatched: Revision,
    recent: VecDeque<Arc<Event>>,
}

#[derive(Debug)]
struct Watcher {
    interest: Arc<Interest>,
    queue: mpsc::Sender<Arc<Event>>,
    cut: watch::Sender<Option<Cut>>,
}

/// A watcher's end. Dropping it leaves the hub.
#[derive(Debug)]
pub struct Joined {
    /// Every later change comes through the queue.
    pub at: Revision,
    /// Changes before `at` that are still at hand, already narrowed to the interest; none if the
    /// store's history has to be read instead.
    pub replay: Option<Vec<Arc<Event>>>,
    queue: mpsc::Receiver<Arc<Event>>,
    cut: watch::Receiver<Option<Cut>>,
    interest: Arc<Interest>,
    id: u64,
    state: Arc<Mutex<State>>,
}

/// Follows the store and feeds the hub.
#[derive(Debug)]
pub struct Feeder {
    state: Arc<Mutex<State>>,
    progress: watch::Sender<Revision>,
    store: Store,
    vault: Arc<Vault>,
}

impl Hub {
    /// A hub that begins at the store's present revision. The feeder has to run.
    #[must_use]
    pub fn new(store: Store, vault: Arc<Vault>) -> (Self, Feeder) {
        let dispatched = store.view().revision();
        let state = State {
            index: Index::default(),
            dispatched,
            recent: VecDeque::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let (sender, progress) = watch::channel(dispatched);
        let feeder = Feeder {
            state: Arc::clone(&state),
            progress: sender,
            store,
            vault: Arc::clone(&vault),
        };
        let hub = Self {
            state,
            progress,
            vault,
        };
        (hub, feeder)
    }

    /// What opens sealed objects, for watches that read the store themselves.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Joins. With `after`, changes since then are added from memory where possible.
    #[must_use]
    pub fn join(&self, interest: Interest, after: Option<Revision>) -> Joined {
        let interest = Arc::new(interest);
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (cut, cut_receiver) = watch::channel(None);
        let mut state = lock(&self.state);
        let replay = after.and_then(|after| state.since(after, &interest));
        let watcher = Watcher {
            interest: Arc::clone(&interest),
            queue,
            cut,
        };
        let id = state.index.insert(&interest, watcher);
        let at = state.dispatched;
        drop(state);
        let state = Arc::clone(&self.state);
        Joined {
            at,
            replay,
            queue: receiver,
            cut: cut_receiver,
            interest,
            id,
            state,
        }
    }

    /// Everything up to this revision is in the queues of those it concerns. Read it before a
    /// queue is drained: whatever the queue then held is all there was.
    #[must_use]
    pub fn progress(&self) -> Revision {
        *self.progress.borrow()
    }

    /// Number of watchers.
    #[must_use]
    pub fn watchers(&self) -> usize {
        lock(&self.state).index.iter().count()
    }
}

impl Joined {
    /// The next event; `Err` when no more will come. Cancel-safe.
    ///
    /// # Errors
    /// Why the watcher was cut, once its queue is empty.
    pub async fn next(&mut self) -> Result<Arc<Event>, Cut> {
        match self.queue.recv().await {
            Some(event) => Ok(event),
            None => Err(self.cut.borrow().unwrap_or(Cut::Resume)),
        }
    }

    /// The next event if one waits.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        self.queue.try_recv().ok()
    }

    /// What this watcher watches.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        lock(&self.state).index.remove(&self.interest, self.id);
    }
}

impl State {
    /// Changes in `(after, dispatched]` that concern the interest; none if some are forgotten.
    fn since(&self, after: Revision, interest: &Interest) -> Option<Vec<Arc<Event>>> {
        let missing = usize::try_from(self.dispatched.saturating_sub(after)).ok()?;
        let skip = self.recent.len().checked_sub(missing)?;
        let wanted = self
            .recent
            .iter()
            .skip(skip)
            .filter(|event| interest.covers(event));
        Some(wanted.cloned().collect())
    }

    fn dispatch(&mut self, event: Arc<Event>) {
        let mut cut = Vec::new();
        for (id, watcher) in self.index.route(&event) {
            if watcher.queue.try_send(Arc::clone(&event)).is_err() {
                cut.push((id, Arc::clone(&watcher.interest)));
            }
        }
        if let Some((group, plural)) = removed_resource(&event) {
            let orphans = self.index.of_resource(&group, &plural);
            cut.extend(orphans.map(|(id, watcher)| (id, Arc::clone(&watcher.interest))));
        }
        self.cut(cut, Cut::Resume);
        self.dispatched = event.revision();
        self.recent.push_back(event);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Ends queues: what is in them is still delivered, then the watch ends.
    fn cut(&mut self, whom: Vec<(u64, Arc<Interest>)>, why: Cut) {
        for (id, interest) in whom {
            if let Some(watcher) = self.index.remove(&interest, id) {
                watcher.cut.send_replace(Some(why));
            }
        }
    }

    fn cut_all(&mut self, why: Cut) {
        let all = self.index.iter();
        let all = all
            .map(|(id, watcher)| (id, Arc::clone(&watcher.interest)))
            .collect();
        self.cut(all, why);
    }
}

/// The resource that goes with a deleted definition, whose name is `plural.group`.
fn removed_resource(event: &Event) -> Option<(String, String)> {
    let parts = event.parts().filter(|_| event.is_delete())?;
    let definition =
        parts.group == "apiextensions.k8s.io" && parts.plural == "customresourcedefinitions";
    let (plural, group) = parts.name.split_once('.').filter(|_| definition)?;
    Some((group.to_owned(), plural.to_owned()))
}

impl Feeder {
    /// Follows the store for ever.
    pub async fn run(self) {
        loop {
            let from = lock(&self.state).dispatched;
            let Compacted { oldest } = self.follow(from).await;
            // A snapshot was installed: what happened before it is not known on this replica.
            tracing::info!(from, oldest, "watches start over: history was replaced");
            let mut state = lock(&self.state);
            state.cut_all(Cut::Expired);
            state.recent.clear();
            state.dispatched = self.store.view().revision().max(oldest);
            self.progress.send_replace(state.dispatched);
        }
    }

    async fn follow(&self, from: Revision) -> Compacted {
        let mut cursor = match self.store.changes(from) {
            Ok(cursor) => cursor,
            Err(compacted) => return compacted,
        };
        loop {
            match cursor.next().await {
                Ok(changes) => self.dispatch(changes).await,
                Err(compacted) => return compacted,
            }
        }
    }

    /// Hands out changes, a few at a time: those who join wait for the lock, and everything else
    /// on this thread waits for the end.
    async fn dispatch(&self, changes: Vec<Arc<store::Change>>) {
        for some in changes.chunks(BATCH) {
            {
                let mut state = lock(&self.state);
                for change in some {
                    state.dispatch(Arc::new(Event::new(self.vault.opened(Arc::clone(change)))));
                }
                self.progress.send_replace(state.dispatched);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A panic while the lock was held cannot leave the index half-changed in a way that matters: the
/// worst is a watcher that is filed and gone.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;
    use store::{Change, Item};

    use super::*;
    use crate::object;
    use crate::registry::Descriptor;
    use crate::selector::Selector;

    fn hub() -> Hub {
        let state = State {
            index: Index::default(),
            dispatched: 0,
            recent: VecDeque::new(),
        };
        // The sender may go: the last value stays readable.
        let (_, progress) = watch::channel(0);
        Hub {
            state: Arc::new(Mutex::new(state)),
            progress,
            vault: Arc::default(),
        }
    }

    fn agent(name: &str) -> Interest {
        let resource = Descriptor {
            selectable: vec!["spec.agent".into()],
            ..Descriptor::default()
        };
        Interest {
            group: "stoa.dev".into(),
            plural: "tasks".into(),
            namespace: None,
            selector: Selector::parse("", &format!("spec.agent={name}"), &resource).unwrap(),
        }
    }

    fn dispatch(hub: &Hub, key: &str, revisions: std::ops::RangeInclusive<u64>, new: bool) {
        let key = Bytes::from(key.to_owned());
        let value = object::encode(&json!({
            "kind": "Task", "apiVersion": "stoa.dev/v1", "metadata": {"name": "x"}, "spec": {"agent": "a1"},
        }));
        for revision in revisions {
            let item = Item {
                key: key.clone(),
                value: value.clone(),
                create_revision: 1,
                mod_revision: revision,
                version: 1,
            };
            let (old, new) = if new {
                (None, Some(item))
            } else {
                (Some(item), None)
            };
            let change = Change {
                revision,
                key: key.clone(),
                new,
                old,
                stamp_ms: 0,
            };
            lock(&hub.state).dispatch(Arc::new(Event::new(Arc::new(change))));
        }
    }

    const TASK: &str = "/stoa.dev/tasks/default/x";

    #[tokio::test]
    async fn a_slow_watcher_is_cut_and_its_neighbour_hears_nothing() {
        let hub = hub();
        let (mut slow, mut idle) = (hub.join(agent("a1"), None), hub.join(agent("a2"), None));
        let queue = QUEUE as u64;
        dispatch(&hub, TASK, 1..=queue + 1, true);
        assert_eq!(hub.watchers(), 1, "the slow one is out");
        for revision in 1..=queue {
            assert_eq!(
                slow.next().await.unwrap().revision(),
                revision,
                "in order, without a gap"
            );
        }
        assert_eq!(slow.next().await.unwrap_err(), Cut::Resume);
        assert!(idle.try_next().is_none());
        lock(&hub.state).cut_all(Cut::Expired);
        assert_eq!(idle.next().await.unwrap_err(), Cut::Expired);
    }

    #[test]
    fn replay_reaches_as_far_as_memory() {
        let hub = hub();
        let recent = RECENT as u64;
        dispatch(&hub, TASK, 1..=recent + 10, true);
        for (after, expected) in [
            (recent + 10, Some(0)),
            (recent + 99, Some(0)),
            (recent, Some(10)),
            (10, Some(RECENT)),
            (9, None),
        ] {
            let joined = hub.join(agent("a1"), Some(after));
            assert_eq!(joined.at, recent + 10);
            assert_eq!(
                joined.replay.as_ref().map(Vec::len),
                expected,
                "after {after}"
            );
        }
        assert_eq!(hub.watchers(), 0, "dropping leaves the hub");
    }

    #[tokio::test]
    async fn watches_end_with_their_definition() {
        let hub = hub();
        let mut joined = hub.join(agent("a1"), None);
        let key = "/apiextensions.k8s.io/customresourcedefinitions/-/tasks.stoa.dev";
        dispatch(&hub, key, 1..=1, true);
        assert_eq!(hub.watchers(), 1);
        dispatch(&hub, key, 2..=2, false);
        assert_eq!(joined.next().await.unwrap_err(), Cut::Resume);
    }
}
