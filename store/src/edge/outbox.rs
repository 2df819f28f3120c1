//! What is said to one follower, and when. Every message costs both ends a system call, an answer and a waking up, so
//! what nobody waits for waits a moment for more to travel with:
//!
//! - News of a commit, which every message carries anyway: entries of a lone writer come right behind them.
//! - A lone entry that this follower is not needed for. Should it be needed after all, because the others take their
//!   time, it gets the entry after the same moment.

use std::time::Duration;

use futures::stream::Fuse;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::edge::haste::Haste;
use crate::item::NodeId;
use crate::raft::{Entry, EntryPayload, Types};

type Request = openraft::raft::AppendEntriesRequest<Types>;

/// How long news wait, and entries that are not committed. Timers count in milliseconds, so it may be twice as long.
const HOLD: Duration = Duration::from_millis(1);
/// How long committed entries wait.
const LAG: Duration = Duration::from_millis(5);
/// So many do not.
pub(crate) const HELD_MAX: usize = 16;

/// The requests to one follower, joined where they may wait. A request that was joined needs no answer of its own: the
/// answer to what is sent covers it.
pub(crate) fn joined<S: Stream<Item = Request> + Unpin>(
    requests: S,
    follower: NodeId,
    haste: &Haste,
) -> impl Stream<Item = Request> + use<S> {
    let outbox = Outbox {
        requests: requests.fuse(),
        spare: None,
        follower,
        urgent: haste.urgent(),
        haste: haste.clone(),
    };
    stream::unfold(outbox, async |mut outbox| {
        let request = outbox.next().await?;
        Some((request, outbox))
    })
}

struct Outbox<S> {
    requests: Fuse<S>,
    /// It did not fit what went before it.
    spare: Option<Request>,
    follower: NodeId,
    haste: Haste,
    urgent: watch::Receiver<u64>,
}

impl<S: Stream<Item = Request> + Unpin> Outbox<S> {
    async fn next(&mut self) -> Option<Request> {
        let first = match self.spare.take() {
            Some(request) => request,
            None => self.requests.next().await?,
        };
        let mut held = Held::new(first);
        let mut timer = std::pin::pin!(sleep_until(held.began));
        while let Some(deadline) = held.deadline(|| self.haste.can_wait(self.follower)) {
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            let awaited = held.first_index();
            tokio::select! {
                biased;
                next = self.requests.next() => match next.map(|next| held.join(next)) {
                    Some(None) => {}
                    Some(unfit) => {
                        self.spare = unfit;
                        break;
                    }
                    None => break,
                },
                _urgent_or_ended = self.urgent.wait_for(|upto| *upto >= awaited) => break,
                () = &mut timer => break,
            }
        }
        Some(held.request)
    }
}

/// A request that waits.
#[derive(Debug)]
struct Held {
    request: Request,
    began: Instant,
    /// Since when there have been entries that are not committed.
    open: Instant,
}

impl Held {
    fn new(request: Request) -> Self {
        let now = Instant::now();
        Self {
            request,
            began: now,
            open: now,
        }
    }

    /// Until when it may wait; none when it may not.
    fn deadline(&self, can_wait: impl FnOnce() -> bool) -> Option<Instant> {
        let entries = &self.request.entries;
        if entries.is_empty() {
            return Some(self.began + HOLD);
        }
        let waits = entries.len() < HELD_MAX && entries.iter().all(is_lone) && can_wait();
        let lag = self.began + LAG;
        waits.then(|| match self.is_committed() {
            true => lag,
            false => lag.min(self.open + HOLD),
        })
    }

    fn is_committed(&self) -> bool {
        let last = self.request.entries.last().map(|entry| entry.log_id.index);
        last <= self.committed()
    }

    fn committed(&self) -> Option<u64> {
        self.request.leader_commit.map(|at| at.index)
    }

    /// What it tells of first.
    fn first_index(&self) -> u64 {
        let first = self.request.entries.first();
        let first = first.map(|entry| entry.log_id.index);
        first.or(self.committed()).unwrap_or_default()
    }

    /// Takes in what follows; gives it back when it does not.
    fn join(&mut self, next: Request) -> Option<Request> {
        let held = &mut self.request;
        if held.entries.is_empty() {
            // All it says, the next one says as well.
            *held = next;
            self.open = Instant::now();
            return None;
        }
        let last = held.entries.last().map(|entry| entry.log_id);
        if next.vote != held.vote || next.prev_log_id != last {
            return Some(next);
        }
        self.request.leader_commit = next.leader_commit;
        if self.is_committed() {
            self.open = Instant::now();
        }
        self.request.entries.extend(next.entries);
        None
    }
}

/// One transaction: nobody else waited when it was proposed.
pub(crate) fn is_lone(entry: &Entry) -> bool {
    matches!(&entry.payload, EntryPayload::Normal(proposal) if proposal.is_lone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures::FutureExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::command::{self, Proposal};
    use crate::raft::{Vote, log_id};
    use crate::txn::Txn;

    const FOLLOWER: NodeId = 3;

    fn request(committed: u64, prev: u64, payloads: Vec<EntryPayload>) -> Request {
        let numbered = (prev + 1..).zip(payloads);
        let entries = numbered.map(|(index, payload)| Entry {
            log_id: log_id(1, index),
            payload,
        });
        Request {
            vote: Vote::new_committed(1, 1),
            prev_log_id: Some(log_id(1, prev)),
            entries: entries.collect(),
            leader_commit: Some(log_id(1, committed)),
        }
    }

    fn news(committed: u64) -> Request {
        request(committed, committed, vec![])
    }

    fn txns(count: usize) -> EntryPayload {
        let txn = Txn {
            request_id: 0,
            stamp_ms: 0,
            guards: vec![],
            ops: vec![],
        };
        let txns = vec![command::encode(&txn).unwrap(); count];
        EntryPayload::Normal(Proposal::txns(txns.iter()))
    }

    fn fed() -> (
        mpsc::UnboundedSender<Request>,
        impl Stream<Item = Request> + Unpin,
    ) {
        let (feed, requests) = mpsc::unbounded_channel();
        let requests = stream::unfold(requests, async |mut requests| {
            requests.recv().await.map(|request| (request, requests))
        });
        (feed, Box::pin(requests))
    }

    /// Knows a quicker follower than ours.
    fn not_needed() -> Haste {
        let haste = Haste::default();
        haste.elect(Some(BTreeSet::from([2, FOLLOWER])));
        haste.stored(2, 1);
        haste
    }

    fn said(request: Option<Request>) -> (usize, u64) {
        let request = request.unwrap();
        (
            request.entries.len(),
            request.leader_commit.map_or(0, |at| at.index),
        )
    }

    #[tokio::test]
    async fn news_travel_with_the_entries_that_follow() {
        let ((feed, requests), haste) = (fed(), Haste::default());
        let mut sent = std::pin::pin!(joined(requests, FOLLOWER, &haste));
        feed.send(request(1, 1, vec![txns(1)])).unwrap();
        feed.send(news(2)).unwrap();
        feed.send(news(3)).unwrap();
        assert_eq!(said(sent.next().await), (1, 1));
        assert!(sent.next().now_or_never().is_none(), "news were not held");
        feed.send(request(3, 3, vec![txns(1)])).unwrap();
        assert_eq!(said(sent.next().await), (1, 3));
        assert!(sent.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn news_that_nothing_follows_are_told_alone() {
        let ((feed, requests), haste) = (fed(), Haste::default());
        let mut sent = std::pin::pin!(joined(requests, FOLLOWER, &haste));
        feed.send(news(1)).unwrap();
        let before = Instant::now();
        assert_eq!(said(sent.next().await), (0, 1));
        assert!(before.elapsed() >= HOLD);
        // What is held at the end is told.
        feed.send(news(2)).unwrap();
        drop(feed);
        assert_eq!(said(sent.next().now_or_never().unwrap()), (0, 2));
        assert!(sent.next().await.is_none());
    }

    #[tokio::test]
    async fn what_somebody_waits_for_is_told_at_once() {
        let ((feed, requests), haste) = (fed(), not_needed());
        let mut sent = std::pin::pin!(joined(requests, FOLLOWER, &haste));
        haste.upto(5);
        feed.send(news(5)).unwrap();
        assert_eq!(said(sent.next().now_or_never().unwrap()), (0, 5));
        feed.send(request(5, 5, vec![txns(1)])).unwrap();
        assert!(sent.next().now_or_never().is_none());
        // Also what is held already; what was urgent before stays so.
        haste.upto(6);
        haste.upto(4);
        assert_eq!(said(sent.next().now_or_never().unwrap()), (1, 5));
    }

    #[tokio::test]
    async fn lone_entries_travel_together_to_whom_no_commit_needs() {
        let ((feed, requests), haste) = (fed(), not_needed());
        let mut sent = std::pin::pin!(joined(requests, FOLLOWER, &haste));
        let before = Instant::now();
        for at in 1..4 {
            feed.send(request(at, at, vec![txns(1)])).unwrap();
            feed.send(news(at + 1)).unwrap();
        }
        assert_eq!(said(sent.next().await), (3, 4));
        assert!(before.elapsed() >= LAG, "committed ones were not held");
        // One that came with others sends all.
        feed.send(request(4, 4, vec![txns(1)])).unwrap();
        feed.send(request(4, 5, vec![txns(2)])).unwrap();
        assert_eq!(said(sent.next().now_or_never().unwrap()), (2, 4));
        // What does not follow goes by itself, in order.
        feed.send(request(6, 6, vec![txns(1)])).unwrap();
        feed.send(request(6, 9, vec![txns(2)])).unwrap();
        assert_eq!(said(sent.next().now_or_never().unwrap()), (1, 6));
        assert_eq!(said(sent.next().now_or_never().unwrap()), (1, 6));
        // There is an end to it.
        for at in 20..60 {
            feed.send(request(at, at, vec![txns(1)])).unwrap();
        }
        let full = said(sent.next().now_or_never().unwrap());
        assert_eq!(full.0, HELD_MAX);
    }

    #[tokio::test]
    async fn entries_that_are_not_committed_without_it_are_sent() {
        let ((feed, requests), haste) = (fed(), not_needed());
        let mut sent = std::pin::pin!(joined(requests, FOLLOWER, &haste));
        let before = Instant::now();
        feed.send(request(1, 1, vec![txns(1)])).unwrap();
        assert_eq!(said(sent.next().await), (1, 1));
        assert!(before.elapsed() >= HOLD);
        // Now it was the first to have one.
        haste.stored(FOLLOWER, 2);
        feed.send(request(1, 2, vec![txns(1)])).unwrap();
        assert_eq!(said(sent.next().now_or_never().unwrap()), (1, 1));
    }

    #[test]
    fn committed_entries_wait_longer() {
        let wait = |request: Request| {
            let held = Held::new(request);
            held.deadline(|| true).map(|until| until - held.began)
        };
        assert_eq!(wait(news(3)), Some(HOLD));
        assert_eq!(wait(request(3, 3, vec![txns(1)])), Some(HOLD));
        assert_eq!(wait(request(4, 3, vec![txns(1)])), Some(LAG));
        assert_eq!(wait(request(4, 3, vec![txns(1), txns(1)])), Some(HOLD));
        assert_eq!(wait(request(3, 3, vec![txns(2)])), None);
        assert_eq!(wait(request(3, 3, vec![EntryPayload::Blank])), None);
        let held = Held::new(request(3, 3, vec![txns(1)]));
        assert_eq!(held.deadline(|| false), None);
    }
}
