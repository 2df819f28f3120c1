//! The body of a watch: polled for its next piece, idle in between. It is all that a watch keeps.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame};
use store::{Item, Revision, Store, View};
use tokio::time::{Instant, Sleep};

use super::begin::{Begun, Start};
use super::lines::{self, Lines};
use crate::edge::ambient;
use crate::edge::turns::Seat;
use crate::hub::{Cut, Event, Hub, Interest, Joined, Kind};
use crate::keys;
use crate::object;
use crate::status::Failure;

/// Pause between bookmarks: well within the history that is kept, so that an idle watcher's
/// revision never expires.
const BOOKMARK: Duration = Duration::from_secs(60);

/// The last bookmark comes this long before the deadline.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// Bytes gathered into one piece.
const PIECE: usize = 64 << 10;

/// Objects looked at before others on this thread go first.
const STRETCH: usize = 256;

/// A queue that was emptied keeps room for so many events.
const KEPT: usize = 16;

pub(super) enum Phase {
    Begin(BoxFuture<'static, Result<Begun, Failure>>),
    State {
        joined: Joined,
        view: View,
        /// Keys of the only objects to look at.
        among: Option<Arc<[Bytes]>>,
        last: Option<Bytes>,
    },
    Live {
        joined: Joined,
        pending: VecDeque<Arc<Event>>,
    },
    End,
}

pub(super) struct Watch {
    pub(super) store: Store,
    pub(super) hub: Hub,
    pub(super) lines: Lines,
    pub(super) bookmarks: bool,
    /// The client waits for the bookmark that ends the initial state.
    pub(super) marks_initial: bool,
    pub(super) phase: Phase,
    /// Lines up to here were sent, or do not concern this watch.
    pub(super) sent: Revision,
    pub(super) next_bookmark: Instant,
    pub(super) deadline: Instant,
    /// Rings at the next bookmark or at the end.
    pub(super) alarm: Option<Pin<Box<Sleep>>>,
    #[expect(dead_code, reason = "held until the watch ends")]
    pub(super) seat: Seat,
}

impl Body for Watch {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut().poll_piece(cx) {
            // Long stretches may not concern this watch: others on this thread go first.
            Poll::Ready(Some(piece)) if piece.is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Watch {
    /// The next piece of the body, possibly empty; none when the watch is over.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match mem::replace(&mut self.phase, Phase::End) {
            Phase::Begin(mut future) => match future.as_mut().poll(cx) {
                Poll::Pending => {
                    self.phase = Phase::Begin(future);
                    Poll::Pending
                }
                Poll::Ready(Ok(begun)) => {
                    self.enter(begun);
                    Poll::Ready(Some(Bytes::new()))
                }
                Poll::Ready(Err(failure)) => Poll::Ready(Some(lines::error(&failure))),
            },
            Phase::State {
                joined,
                view,
                among,
                last,
            } => Poll::Ready(Some(self.state(joined, (view, among), last))),
            Phase::Live { joined, pending } => self.poll_live(joined, pending, cx),
            Phase::End => Poll::Ready(None),
        }
    }

    // Begin → State | Live
    fn enter(&mut self, begun: Begun) {
        let Begun {
            joined,
            sent,
            start,
        } = begun;
        self.sent = sent;
        self.phase = match start {
            Start::State(view, among) => Phase::State {
                joined,
                view,
                among,
                last: None,
            },
            Start::Live(pending) => Phase::Live { joined, pending },
        };
    }

    // State → State | Live
    fn state(
        &mut self,
        joined: Joined,
        (view, among): (View, Option<Arc<[Bytes]>>),
        mut last: Option<Bytes>,
    ) -> Bytes {
        let interest = joined.interest();
        let prefix = keys::list(&self.lines.resource, interest.namespace.as_deref());
        let after = last.clone();
        let mut piece = Vec::new();
        let mut seen = 0;
        for item in rest(&view, (&prefix, among.as_deref()), after.as_ref()) {
            let item = self.hub.vault().open(item);
            seen += 1;
            if selects(interest, &item) {
                piece.extend_from_slice(&self.lines.encode(Kind::Added, &item));
            }
            last = Some(item.key);
            if seen == STRETCH || piece.len() > PIECE {
                self.phase = Phase::State {
                    view: view.clone(),
                    among: among.clone(),
                    joined,
                    last,
                };
                return piece.into();
            }
        }
        if self.marks_initial {
            piece.extend_from_slice(&self.lines.bookmark(self.sent, true));
        }
        let pending = VecDeque::new();
        self.phase = Phase::Live { joined, pending };
        piece.into()
    }

    // Live → Live | End
    fn poll_live(
        &mut self,
        mut joined: Joined,
        mut pending: VecDeque<Arc<Event>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        if self.poll_alarm(cx).is_ready() {
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(None);
            }
            self.schedule_bookmark(now);
            self.alarm = None;
            let piece = self.progress(&mut joined, &mut pending);
            self.phase = Phase::Live { joined, pending };
            return Poll::Ready(Some(piece));
        }
        if pending.is_empty() {
            match joined.poll_take(cx, &mut pending) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Cut::Resume)) => return Poll::Ready(None),
                Poll::Ready(Err(Cut::Expired)) => {
                    let current = self.store.view().revision();
                    let failure = Failure::expired(self.sent, current);
                    return Poll::Ready(Some(lines::error(&failure)));
                }
                Poll::Pending => {
                    self.phase = Phase::Live { joined, pending };
                    return Poll::Pending;
                }
            }
        }
        let piece = self.piece(joined.interest(), &mut pending);
        self.phase = Phase::Live { joined, pending };
        Poll::Ready(Some(piece))
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wake = if self.bookmarks {
            self.deadline.min(self.next_bookmark)
        } else {
            self.deadline
        };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wake)));
        alarm.as_mut().poll(cx)
    }

    /// The lines of the events that wait, as many as fit; the line of a single one is shared by all
    /// watchers.
    fn piece(&mut self, interest: &Interest, pending: &mut VecDeque<Arc<Event>>) -> Bytes {
        let mut first = Bytes::new();
        let mut more = Vec::new();
        while more.len() < PIECE
            && let Some(event) = pending.pop_front()
        {
            let line = self.line(interest, &event);
            if first.is_empty() {
                first = line;
                continue;
            }
            if more.is_empty() && !line.is_empty() {
                let all = (line.len() + 64) * (pending.len() + 1) + first.len();
                more.reserve(all.min(PIECE + first.len() + line.len()));
                more.extend_from_slice(&first);
            }
            more.extend_from_slice(&line);
        }
        if pending.is_empty() {
            pending.shrink_to(KEPT);
        }
        if more.is_empty() { first } else { more.into() }
    }

    /// Whatever waits, then a bookmark that covers it.
    fn progress(&mut self, joined: &mut Joined, pending: &mut VecDeque<Arc<Event>>) -> Bytes {
        // Read first: everything up to here is in the queue by now, or does not concern us.
        let reached = self.hub.progress();
        joined.take(pending);
        let mut piece = Vec::new();
        while !pending.is_empty() {
            piece.extend_from_slice(&self.piece(joined.interest(), pending));
        }
        self.sent = self.sent.max(reached);
        piece.extend_from_slice(&self.lines.bookmark(self.sent, false));
        piece.into()
    }

    /// Spread a little, so that a thousand watches do not all wake in the same moment.
    pub(super) fn schedule_bookmark(&mut self, now: Instant) {
        let spread = Duration::from_millis(u64::try_from(ambient::seed() % 5_000).unwrap_or(0));
        let usual = now + BOOKMARK - spread;
        let last = self
            .deadline
            .checked_sub(LAST_BOOKMARK)
            .filter(|&last| last > now);
        self.next_bookmark = last.map_or(usual, |last| usual.min(last));
    }

    /// The line that tells an event; empty if it does not concern this watch.
    fn line(&mut self, interest: &Interest, event: &Event) -> Bytes {
        if event.revision() <= self.sent {
            return Bytes::new();
        }
        self.sent = event.revision();
        let Some(kind) = event.kind_for(&interest.selector) else {
            return Bytes::new();
        };
        self.lines.event(event, kind)
    }
}

/// The objects of a view after a key: all below a prefix, or only those under some keys.
fn rest<'a>(
    view: &'a View,
    (prefix, among): (&'a Bytes, Option<&'a [Bytes]>),
    after: Option<&'a Bytes>,
) -> impl Iterator<Item = Item> + use<'a> {
    let start = match after {
        Some(key) => Bound::Excluded(&key[..]),
        None => Bound::Included(&prefix[..]),
    };
    let all = among.is_none().then(|| {
        let items = view.range(start, Bound::Unbounded);
        items.take_while(|item| item.key.starts_with(prefix))
    });
    let some = among.map(|keys| {
        let first = after.map_or(0, |after| keys.partition_point(|key| key <= after));
        keys[first..].iter().filter_map(|key| view.get(key))
    });
    let (all, some) = (all.into_iter().flatten(), some.into_iter().flatten());
    all.chain(some)
}

fn selects(interest: &Interest, item: &Item) -> bool {
    let selector = &interest.selector;
    selector.is_everything()
        || selector.may_match(object::text(item)) && selector.matches(&object::decode(item))
}
