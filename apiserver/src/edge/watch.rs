//! One watch: its beginning, its lines and its end.
//!
//! Lines come in four phases: what is there now (if asked for), what happened since the asked
//! revision, what happens, and the end. Whatever goes wrong after the request was understood is
//! told as an ERROR line of a 200 answer: clients list again only on that.

mod lines;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use store::{Item, Revision, Store, View};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use lines::Lines;

use super::negotiate::Shape;
use super::turns::Seat;
use super::{ambient, answer};
use crate::hub::{Cut, Event, Hub, Interest, Joined, Kind};
use crate::keys;
use crate::object;
use crate::params::{Match, Params};
use crate::registry::Descriptor;
use crate::selector::Selector;
use crate::status::Failure;
use crate::table::Include;

/// How long a watch that asks for a revision of the future waits for it, as Kubernetes does.
const TOO_NEW: Duration = Duration::from_secs(3);

/// Pause between bookmarks: well within the history that is kept, so that an idle watcher's
/// revision never expires.
const BOOKMARK: Duration = Duration::from_secs(60);

/// The last bookmark comes this long before the deadline.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// Shortest watch when the client names no time; up to twice as long, spread at random so that
/// not all come back at once.
const LIFE_S: u64 = 1800;

/// Bytes of the initial state gathered into one piece.
const PIECE: usize = 64 << 10;

/// A watch as asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) resource: Arc<Descriptor>,
    pub(crate) namespace: Option<String>,
    pub(crate) params: Params,
    pub(crate) shape: Shape,
    pub(crate) seat: Seat,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// With the state, at least as new as the revision; none: as new as any acknowledged write.
    State(Option<Revision>),
    /// After the revision.
    After(Revision),
    /// With what happens next.
    Now,
}

enum Phase {
    Begin(From),
    State {
        joined: Joined,
        view: View,
        last: Option<Bytes>,
    },
    Live {
        joined: Joined,
        replay: VecDeque<Arc<Event>>,
    },
    End,
}

struct Watch {
    store: Store,
    hub: Hub,
    lines: Lines,
    interest: Interest,
    bookmarks: bool,
    /// The client waits for the bookmark that ends the initial state.
    marks_initial: bool,
    phase: Phase,
    /// Lines up to here were sent, or do not concern this watch.
    sent: Revision,
    next_bookmark: Instant,
    deadline: Instant,
    shutdown: CancellationToken,
    _seat: Seat,
}

/// Starts a watch; the answer's body never ends before the watch does.
///
/// # Errors
/// 400 or 422 if the request contradicts itself.
pub(crate) fn start(
    ask: Ask,
    store: Store,
    hub: Hub,
    shutdown: CancellationToken,
) -> Result<Response, Failure> {
    let Ask {
        resource,
        namespace,
        params,
        shape,
        seat,
    } = ask;
    let from = beginning(&params)?;
    let selector = Selector::parse(&params.label_selector, &params.field_selector, &resource)?;
    let interest = Interest {
        group: resource.group.clone(),
        plural: resource.plural.clone(),
        namespace: namespace.filter(|_| resource.namespaced),
        selector,
    };
    let spread = || LIFE_S + u64::try_from(ambient::seed() % u128::from(LIFE_S)).unwrap_or(0);
    let life = params
        .timeout_seconds
        .filter(|&seconds| seconds > 0)
        .unwrap_or_else(spread);
    let now = Instant::now();
    // Longer than a day is longer than any connection; it also keeps the clock from overflowing.
    let deadline = now + Duration::from_secs(life.min(24 * 60 * 60));
    let mut watch = Watch {
        store,
        hub,
        lines: Lines::new(resource, shape, Include::of(&params.include_object)),
        interest,
        bookmarks: params.allow_bookmarks,
        marks_initial: params.send_initial_events == Some(true),
        phase: Phase::Begin(from),
        sent: 0,
        next_bookmark: now,
        deadline,
        shutdown,
        _seat: seat,
    };
    watch.schedule_bookmark(now);
    let lines = futures::stream::unfold(Box::new(watch), |mut watch| async move {
        let piece = watch.next().await?;
        Some((Ok::<_, Infallible>(piece), watch))
    });
    Ok(answer::bytes(200, answer::JSON, Body::from_stream(lines)))
}

/// Reads the parameters that say where to begin.
fn beginning(params: &Params) -> Result<From, Failure> {
    const FIELD: &str = "resourceVersionMatch";
    let forbidden = |text: &str| Err(Failure::invalid_options("ListOptions", FIELD, text));
    match (params.send_initial_events, params.resource_version_match) {
        (None, Some(_)) => {
            return forbidden(
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        (Some(_), None | Some(Match::Exact)) => {
            return forbidden(
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        (None, None) | (Some(_), Some(Match::NotOlderThan)) => {}
    }
    let asked = match params.resource_version.as_str() {
        "" => None,
        text => Some(text.parse::<Revision>().map_err(|_digits| {
            Failure::bad_request(format!(
                "Invalid value: \"{text}\": resourceVersion must be a number"
            ))
        })?),
    };
    Ok(match (asked, params.send_initial_events) {
        (None | Some(0), None) | (_, Some(true)) => From::State(asked),
        (None | Some(0), Some(false)) => From::Now,
        (Some(revision), None | Some(false)) => From::After(revision),
    })
}

impl Watch {
    /// The next piece of the body; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let piece = match std::mem::replace(&mut self.phase, Phase::End) {
                Phase::Begin(from) => self.begin(from).await,
                Phase::State { joined, view, last } => Ok(self.state(joined, view, last)),
                Phase::Live { joined, replay } => self.live(joined, replay).await,
                Phase::End => return None,
            };
            match piece {
                // Long stretches may not concern this watch: others on this thread go first.
                Ok(piece) if piece.is_empty() => tokio::task::yield_now().await,
                Ok(piece) => return Some(piece),
                Err(failure) => return Some(lines::error(&failure)),
            }
        }
    }

    // Begin → State | Live
    async fn begin(&mut self, from: From) -> Result<Bytes, Failure> {
        match from {
            From::State(asked) => {
                match asked {
                    None => _ = self.store.barrier().await?,
                    Some(at_least) => self.reach(at_least).await?,
                }
                let joined = self.hub.join(self.interest.clone(), None);
                // Taken after joining: nothing can fall between the view and the queue.
                let view = self.store.view();
                self.sent = view.revision();
                self.phase = Phase::State {
                    joined,
                    view,
                    last: None,
                };
            }
            From::Now => {
                self.store.barrier().await?;
                let joined = self.hub.join(self.interest.clone(), None);
                self.sent = joined.at.max(self.store.view().revision());
                self.phase = Phase::Live {
                    joined,
                    replay: VecDeque::new(),
                };
            }
            From::After(revision) => {
                self.check_known(revision).await?;
                let mut joined = self.hub.join(self.interest.clone(), Some(revision));
                let replay = match joined.replay.take() {
                    Some(replay) => replay,
                    None => self.history(revision, joined.at).await?,
                };
                self.sent = revision;
                self.phase = Phase::Live {
                    joined,
                    replay: replay.into(),
                };
            }
        }
        Ok(Bytes::new())
    }

    /// A replica that lags catches up first. A revision ahead of all is of another history (the
    /// cluster was made anew): who holds it would wait for it, and hear of nothing till then.
    async fn check_known(&self, revision: Revision) -> Result<(), Failure> {
        if revision > self.store.view().revision() {
            self.store.barrier().await?;
        }
        match self.store.view().revision() {
            latest if latest < revision => Err(Failure::expired_ahead(revision, latest)),
            _ => Ok(()),
        }
    }

    async fn reach(&self, at_least: Revision) -> Result<(), Failure> {
        match self.store.wait_revision(at_least, TOO_NEW).await {
            Ok(_) => Ok(()),
            Err(too_new) => Err(Failure::timeout_too_new(at_least, too_new.current)),
        }
    }

    /// The changes in `(after, until]` that concern this watch, from the store.
    async fn history(&self, after: Revision, until: Revision) -> Result<Vec<Arc<Event>>, Failure> {
        let expired = |error: store::Compacted| Failure::expired(after, error.oldest);
        let mut found = Vec::new();
        let mut reached = after;
        if reached >= until {
            return Ok(found);
        }
        let mut cursor = self.store.changes(after).map_err(expired)?;
        while reached < until {
            for change in cursor.next().await.map_err(expired)? {
                reached = change.revision;
                let event = Event::new(self.hub.vault().opened(change));
                if reached <= until && self.interest.covers(&event) {
                    found.push(Arc::new(event));
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    // State → State | Live
    fn state(&mut self, joined: Joined, view: View, mut last: Option<Bytes>) -> Bytes {
        let prefix = keys::list(&self.lines.resource, self.interest.namespace.as_deref());
        let start = match &last {
            Some(key) => Bound::Excluded(&key[..]),
            None => Bound::Included(&prefix[..]),
        };
        let mut piece = Vec::new();
        let items: Vec<Item> = view
            .range(start, Bound::Unbounded)
            .take_while(|item| item.key.starts_with(&prefix))
            .take(256)
            .collect();
        let mut done = items.len() < 256;
        for item in items {
            let item = self.hub.vault().open(item);
            last = Some(item.key.clone());
            if self.selects(&item) {
                let line = self.lines.encode(Kind::Added, &item);
                piece.extend_from_slice(&line);
            }
            if piece.len() > PIECE {
                done = false;
                break;
            }
        }
        if !done {
            self.phase = Phase::State { joined, view, last };
            return piece.into();
        }
        if self.marks_initial {
            piece.extend_from_slice(&self.lines.bookmark(self.sent, true));
        }
        self.phase = Phase::Live {
            joined,
            replay: VecDeque::new(),
        };
        piece.into()
    }

    fn selects(&self, item: &Item) -> bool {
        let selector = &self.interest.selector;
        selector.is_everything()
            || selector.may_match(object::text(item)) && selector.matches(&object::decode(item))
    }

    // Live → Live | End
    async fn live(
        &mut self,
        mut joined: Joined,
        mut replay: VecDeque<Arc<Event>>,
    ) -> Result<Bytes, Failure> {
        if let Some(event) = replay.pop_front() {
            let piece = self.line(&event);
            self.phase = Phase::Live { joined, replay };
            return Ok(piece);
        }
        let wake = if self.bookmarks {
            self.deadline.min(self.next_bookmark)
        } else {
            self.deadline
        };
        let piece = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Ok(Bytes::new()),
            next = joined.next() => match next {
                Ok(event) => self.line(&event),
                Err(Cut::Resume) => return Ok(Bytes::new()),
                Err(Cut::Expired) => {
                    let current = self.store.view().revision();
                    return Err(Failure::expired(self.sent, current));
                }
            },
            () = tokio::time::sleep_until(wake) => {
                let now = Instant::now();
                if now >= self.deadline {
                    return Ok(Bytes::new());
                }
                self.schedule_bookmark(now);
                self.progress(&mut joined)
            }
        };
        self.phase = Phase::Live { joined, replay };
        Ok(piece)
    }

    /// Whatever waits in the queue, then a bookmark that covers it.
    fn progress(&mut self, joined: &mut Joined) -> Bytes {
        // Read first: everything up to here is in the queue by now, or does not concern us.
        let reached = self.hub.progress();
        let mut piece = Vec::new();
        while let Some(event) = joined.try_next() {
            piece.extend_from_slice(&self.line(&event));
        }
        self.sent = self.sent.max(reached);
        piece.extend_from_slice(&self.lines.bookmark(self.sent, false));
        piece.into()
    }

    /// Spread a little, so that a thousand watches do not all wake in the same moment.
    fn schedule_bookmark(&mut self, now: Instant) {
        let spread = Duration::from_millis(u64::try_from(ambient::seed() % 5_000).unwrap_or(0));
        let usual = now + BOOKMARK - spread;
        let last = self
            .deadline
            .checked_sub(LAST_BOOKMARK)
            .filter(|&last| last > now);
        self.next_bookmark = last.map_or(usual, |last| usual.min(last));
    }

    /// The line that tells an event; empty if it does not concern this watch.
    fn line(&mut self, event: &Event) -> Bytes {
        if event.revision() <= self.sent {
            return Bytes::new();
        }
        self.sent = event.revision();
        let Some(kind) = event.kind_for(&self.interest.selector) else {
            return Bytes::new();
        };
        self.lines.event(event, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings() {
        for (query, expected) in [
            ("", Ok(From::State(None))),
            ("resourceVersion=0", Ok(From::State(Some(0)))),
            ("resourceVersion=7", Ok(From::After(7))),
            ("resourceVersion=x", Err(400)),
            ("sendInitialEvents=true", Err(422)),
            (
                "sendInitialEvents=true&resourceVersionMatch=Exact",
                Err(422),
            ),
            (
                "resourceVersionMatch=NotOlderThan&resourceVersion=7",
                Err(422),
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7",
                Ok(From::State(Some(7))),
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                Ok(From::State(None)),
            ),
            (
                "sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
                Ok(From::Now),
            ),
        ] {
            let found = Params::parse(query).and_then(|params| beginning(&params));
            assert_eq!(found.map_err(|failure| failure.code()), expected, "{query}");
        }
    }
}
