//! Watches: one task follows the store and hands every change to those it concerns.
//!
//! A watcher joins at a known revision (`Joined::at`): everything after it comes through the
//! queue, everything before it is replayed, so there is neither gap nor repetition. Queues are
//! bounded; a watcher whose queue is full is cut and resumes from the last version it saw.

pub mod event;
pub mod index;
pub mod mailbox;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use store::{Compacted, Revision, Store};

use crate::vault::Vault;
pub use event::{Event, Kind};
pub use index::{Index, Interest};
pub use mailbox::Cut;

use mailbox::Mailbox;

/// Events kept for watchers that come back: after a server is lost all its watchers return at
/// once, and share what was decoded here instead of each reading the store's history.
const RECENT: usize = 256;

/// After changes nobody waited for: the next ones will most likely be no different, and are looked at together. Who
/// does wait for one of those gets it so much later.
const REST: Duration = Duration::from_millis(5);

/// Changes handed out under one lock.
const BATCH: usize = 64;

/// The hub. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Hub {
    state: Arc<Mutex<State>>,
    vault: Arc<Vault>,
}

#[derive(Debug)]
struct State {
    index: Index<Arc<Watcher>>,
    /// Everything up to here has been handed out.
    dispatched: Revision,
    recent: VecDeque<Arc<Event>>,
    /// The server stops: nobody is told anything any more.
    closed: bool,
}

#[derive(Debug)]
struct Watcher {
    interest: Interest,
    mailbox: Mailbox,
}

/// A watcher's end. Dropping it leaves the hub.
#[derive(Debug)]
pub struct Joined {
    /// Every later change comes through the queue.
    pub at: Revision,
    /// Changes before `at` that are still at hand, already narrowed to the interest; none if the
    /// store's history has to be read instead.
    pub replay: Option<VecDeque<Arc<Event>>>,
    watcher: Arc<Watcher>,
    id: u64,
    state: Arc<Mutex<State>>,
}

/// Follows the store and feeds the hub.
#[derive(Debug)]
pub struct Feeder {
    state: Arc<Mutex<State>>,
    store: Store,
    vault: Arc<Vault>,
}

/// Readers to be woken once the lock is free and everybody has got what there is: each then finds
/// all of it at once.
type Sleepers = Vec<Waker>;

impl Hub {
    /// A hub that begins at the store's present revision. The feeder has to run.
    #[must_use]
    pub fn new(store: Store, vault: Arc<Vault>) -> (Self, Feeder) {
        let state = State::at(store.view().revision());
        let state = Arc::new(Mutex::new(state));
        let feeder = Feeder {
            state: Arc::clone(&state),
            store,
            vault: Arc::clone(&vault),
        };
        (Self { state, vault }, feeder)
    }

    /// What opens sealed objects, for watches that read the store themselves.
    #[must_use]
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Joins. With `after`, changes since then are added from memory where possible.
    #[must_use]
    pub fn join(&self, interest: Interest, after: Option<Revision>) -> Joined {
        let watcher = Arc::new(Watcher {
            interest,
            mailbox: Mailbox::default(),
        });
        let mut state = lock(&self.state);
        let replay = after.and_then(|after| state.since(after, &watcher.interest));
        let id = state.index.insert(&watcher.interest, Arc::clone(&watcher));
        let (at, closed) = (state.dispatched, state.closed);
        drop(state);
        if closed {
            watcher.mailbox.end(Cut::Resume);
        }
        Joined {
            at,
            replay,
            watcher,
            id,
            state: Arc::clone(&self.state),
        }
    }

    /// Everything up to this revision is in the queues of those it concerns. Read it before a
    /// queue is drained: whatever the queue then held is all there was.
    #[must_use]
    pub fn progress(&self) -> Revision {
        lock(&self.state).dispatched
    }

    /// Number of watchers.
    #[must_use]
    pub fn watchers(&self) -> usize {
        lock(&self.state).index.iter().count()
    }

    /// Ends every watch, those to come included.
    pub fn close(&self) {
        let mut sleepers = Sleepers::new();
        let mut state = lock(&self.state);
        state.closed = true;
        state.cut_all(Cut::Resume, &mut sleepers);
        drop(state);
        wake(sleepers);
    }
}

impl Joined {
    /// Moves the events that wait to the back of `into`, at least one; `Err` when no more will come.
    ///
    /// # Errors
    /// Why the watcher was cut, once its queue is empty.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Arc<Event>>,
    ) -> Poll<Result<(), Cut>> {
        self.watcher.mailbox.poll_take(cx, into)
    }

    /// Moves the events that wait, if any, to the back of `into`.
    pub fn take(&mut self, into: &mut VecDeque<Arc<Event>>) {
        self.watcher.mailbox.take(into);
    }

    /// What this watcher watches.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.watcher.interest
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        lock(&self.state)
            .index
            .remove(&self.watcher.interest, self.id);
    }
}

impl State {
    fn at(dispatched: Revision) -> Self {
        Self {
            index: Index::default(),
            dispatched,
            recent: VecDeque::new(),
            closed: false,
        }
    }

    /// Changes in `(after, dispatched]` that concern the interest; none if some are forgotten.
    fn since(&self, after: Revision, interest: &Interest) -> Option<VecDeque<Arc<Event>>> {
        let missing = usize::try_from(self.dispatched.saturating_sub(after)).ok()?;
        let skip = self.recent.len().checked_sub(missing)?;
        let wanted = self
            .recent
            .iter()
            .skip(skip)
            .filter(|event| interest.covers(event));
        Some(wanted.cloned().collect())
    }

    fn dispatch(&mut self, event: Arc<Event>, sleepers: &mut Sleepers) {
        let mut cut = Vec::new();
        for (id, watcher) in self.index.route(&event) {
            match watcher.mailbox.put(Arc::clone(&event)) {
                Ok(sleeper) => sleepers.extend(sleeper),
                Err(_full) => cut.push((id, Arc::clone(watcher))),
            }
        }
        if let Some((group, plural)) = removed_resource(&event) {
            let orphans = self.index.of_resource(&group, &plural);
            cut.extend(orphans.map(|(id, watcher)| (id, Arc::clone(watcher))));
        }
        self.cut(cut, Cut::Resume, sleepers);
        self.dispatched = event.revision();
        self.recent.push_back(event);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Ends queues: what is in them is still delivered, then the watch ends.
    fn cut(&mut self, whom: Vec<(u64, Arc<Watcher>)>, why: Cut, sleepers: &mut Sleepers) {
        for (id, watcher) in whom {
            self.index.remove(&watcher.interest, id);
            sleepers.extend(watcher.mailbox.end(why));
        }
    }

    fn cut_all(&mut self, why: Cut, sleepers: &mut Sleepers) {
        let all = self.index.iter();
        let all = all.map(|(id, watcher)| (id, Arc::clone(watcher))).collect();
        self.cut(all, why, sleepers);
    }
}

fn wake(sleepers: Sleepers) {
    sleepers.into_iter().for_each(Waker::wake);
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
            let mut sleepers = Sleepers::new();
            {
                let mut state = lock(&self.state);
                state.cut_all(Cut::Expired, &mut sleepers);
                state.recent.clear();
                state.dispatched = self.store.view().revision().max(oldest);
            }
            wake(sleepers);
        }
    }

    async fn follow(&self, from: Revision) -> Compacted {
        let mut cursor = match self.store.changes(from) {
            Ok(cursor) => cursor,
            Err(compacted) => return compacted,
        };
        loop {
            match cursor.next().await {
                Ok(changes) => {
                    if !self.dispatch(changes).await {
                        tokio::time::sleep(REST).await;
                    }
                }
                Err(compacted) => return compacted,
            }
        }
    }

    /// Hands out changes, a few at a time: those who join wait for the lock, and everything else
    /// on this thread waits for the end. Says whether somebody waited for one of them.
    async fn dispatch(&self, changes: Vec<Arc<store::Change>>) -> bool {
        let mut waited = false;
        for some in changes.chunks(BATCH) {
            let mut sleepers = Sleepers::new();
            {
                let mut state = lock(&self.state);
                for change in some {
                    let change = self.vault.opened(Arc::clone(change));
                    state.dispatch(Arc::new(Event::new(change)), &mut sleepers);
                }
            }
            waited |= !sleepers.is_empty();
            wake(sleepers);
            tokio::task::yield_now().await;
        }
        waited
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
        Hub {
            state: Arc::new(Mutex::new(State::at(0))),
            vault: Arc::default(),
        }
    }

    /// The revisions of what comes next; or why nothing will.
    async fn next(joined: &mut Joined) -> Result<Vec<u64>, Cut> {
        let mut events = VecDeque::new();
        std::future::poll_fn(|cx| joined.poll_take(cx, &mut events)).await?;
        Ok(events.iter().map(|event| event.revision()).collect())
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
            let mut sleepers = Sleepers::new();
            let event = Arc::new(Event::new(Arc::new(change)));
            lock(&hub.state).dispatch(event, &mut sleepers);
            wake(sleepers);
        }
    }

    const TASK: &str = "/stoa.dev/tasks/default/x";

    #[tokio::test]
    async fn a_slow_watcher_is_cut_and_its_neighbour_hears_nothing() {
        let hub = hub();
        let (mut slow, mut idle) = (hub.join(agent("a1"), None), hub.join(agent("a2"), None));
        let queue = mailbox::QUEUE as u64;
        dispatch(&hub, TASK, 1..=queue + 1, true);
        assert_eq!(hub.watchers(), 1, "the slow one is out");
        let all: Vec<u64> = (1..=queue).collect();
        assert_eq!(next(&mut slow).await, Ok(all), "in order, without a gap");
        assert_eq!(next(&mut slow).await, Err(Cut::Resume));
        let mut nothing = VecDeque::new();
        idle.take(&mut nothing);
        assert!(nothing.is_empty());
        lock(&hub.state).cut_all(Cut::Expired, &mut Sleepers::new());
        assert_eq!(next(&mut idle).await, Err(Cut::Expired));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_events_and_by_the_end() {
        let hub = hub();
        let mut joined = hub.join(agent("a1"), None);
        let reader = tokio::spawn(async move {
            let first = next(&mut joined).await;
            (first, next(&mut joined).await)
        });
        tokio::task::yield_now().await;
        dispatch(&hub, TASK, 1..=1, true);
        tokio::task::yield_now().await;
        hub.close();
        assert_eq!(reader.await.unwrap(), (Ok(vec![1]), Err(Cut::Resume)));
        let mut late = hub.join(agent("a1"), None);
        assert_eq!(next(&mut late).await, Err(Cut::Resume));
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
                joined.replay.as_ref().map(VecDeque::len),
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
        assert_eq!(next(&mut joined).await, Err(Cut::Resume));
    }
}
