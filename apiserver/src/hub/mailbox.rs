//! A watcher's queue: events go in one by one, and come out all at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::event::Event;

/// Events a watcher may lag behind before it is cut.
pub const QUEUE: usize = 1024;

/// An emptied queue keeps room for so many events: thousands of idle watchers each keep it.
const KEPT: usize = 16;

/// Why a watcher's queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was too slow, its resource is gone, or the server stops: resume.
    Resume,
    /// The history between is not known here: list again.
    Expired,
}

/// The queue between the hub and one watcher.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Arc<Event>>,
    ended: Option<Cut>,
    reader: Option<Waker>,
}

/// The queue is full: its watcher is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Mailbox {
    /// Adds an event. A reader that waits is the caller's to wake, once everybody has got theirs.
    pub(super) fn put(&self, event: Arc<Event>) -> Result<Option<Waker>, Full> {
        let mut inner = self.lock();
        if inner.events.len() >= QUEUE {
            return Err(Full);
        }
        inner.events.push_back(event);
        Ok(inner.reader.take())
    }

    /// Nothing more will come; what is here is still delivered. The first reason stands.
    pub(super) fn end(&self, why: Cut) -> Option<Waker> {
        let mut inner = self.lock();
        inner.ended.get_or_insert(why);
        inner.reader.take()
    }

    /// Moves whatever waits to the back of `into`.
    pub(super) fn take(&self, into: &mut VecDeque<Arc<Event>>) {
        self.lock().hand_over(into);
    }

    /// Moves what waits to the back of `into`, at least one event; `Err` when no more will come.
    pub(super) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Arc<Event>>,
    ) -> Poll<Result<(), Cut>> {
        let mut inner = self.lock();
        if !inner.events.is_empty() {
            inner.hand_over(into);
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = inner.ended {
            return Poll::Ready(Err(why));
        }
        inner.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// A panic while the lock was held leaves a queue that is whole: every step is one call.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn hand_over(&mut self, into: &mut VecDeque<Arc<Event>>) {
        into.append(&mut self.events);
        self.events.shrink_to(KEPT);
    }
}
