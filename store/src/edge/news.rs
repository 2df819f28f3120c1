//! News of commits. A follower learns what is committed from every append. When a commit is all there is to tell, it
//! waits a moment for entries to travel with: those of a lone writer come right behind, and messages of their own to
//! every follower, with their answers, would cost it a sixth of its processor time. Somebody who waits at a follower
//! is not made to wait for that.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::raft::Types;

type Request = openraft::raft::AppendEntriesRequest<Types>;

/// How long news wait. Timers count in milliseconds, so it may be twice as long.
const HOLD: Duration = Duration::from_millis(1);

/// The index up to which followers must hear of commits at once. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Urgent(watch::Sender<u64>);

impl Urgent {
    /// Somebody at a follower waits until it has applied this entry.
    pub(crate) fn upto(&self, index: u64) {
        self.0
            .send_if_modified(|known| index > std::mem::replace(known, index.max(*known)));
    }
}

/// The requests to one follower, without news that a later request tells as well. A request that is left out needs no
/// answer of its own: the answer to the one that is sent instead covers it.
pub(crate) fn bundled<S: Stream<Item = Request> + Unpin>(
    requests: S,
    urgent: &Urgent,
) -> impl Stream<Item = Request> + use<S> {
    let begun = (requests.fuse(), urgent.0.subscribe());
    stream::unfold(begun, async |(mut requests, mut urgent)| {
        let mut request = requests.next().await?;
        if !request.entries.is_empty() {
            return Some((request, (requests, urgent)));
        }
        let mut held = std::pin::pin!(tokio::time::sleep(HOLD));
        while request.entries.is_empty() {
            let committed = request.leader_commit.map_or(0, |at| at.index);
            tokio::select! {
                biased;
                next = requests.next() => match next {
                    Some(next) => request = next,
                    None => break,
                },
                _urgent_or_ended = urgent.wait_for(|upto| *upto >= committed) => break,
                () = &mut held => break,
            }
        }
        Some((request, (requests, urgent)))
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::raft::{Entry, EntryPayload, Vote, log_id};

    /// Tells of a commit, with an entry behind it or alone.
    fn request(committed: u64, entry: bool) -> Request {
        let entry = entry.then(|| Entry {
            log_id: log_id(1, committed + 1),
            payload: EntryPayload::Blank,
        });
        Request {
            vote: Vote::new_committed(1, 1),
            prev_log_id: Some(log_id(1, committed)),
            entries: entry.into_iter().collect(),
            leader_commit: Some(log_id(1, committed)),
        }
    }

    fn is_news(request: &Request) -> bool {
        request.entries.is_empty()
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

    #[tokio::test]
    async fn news_travel_with_the_entries_that_follow() {
        let ((feed, requests), urgent) = (fed(), Urgent::default());
        let mut sent = std::pin::pin!(bundled(requests, &urgent));
        feed.send(request(1, true)).unwrap();
        feed.send(request(2, false)).unwrap();
        feed.send(request(3, false)).unwrap();
        assert!(!is_news(&sent.next().await.unwrap()));
        assert!(sent.next().now_or_never().is_none(), "news were not held");
        feed.send(request(3, true)).unwrap();
        let next = sent.next().await.unwrap();
        assert!(!is_news(&next));
        assert_eq!(next.leader_commit, Some(log_id(1, 3)));
        assert!(sent.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn news_that_nothing_follows_are_told_alone() {
        let ((feed, requests), urgent) = (fed(), Urgent::default());
        let mut sent = std::pin::pin!(bundled(requests, &urgent));
        feed.send(request(1, false)).unwrap();
        let before = tokio::time::Instant::now();
        assert!(is_news(&sent.next().await.unwrap()));
        assert!(before.elapsed() >= HOLD);
        // What is held at the end is told.
        feed.send(request(2, false)).unwrap();
        drop(feed);
        assert!(is_news(&sent.next().now_or_never().unwrap().unwrap()));
        assert!(sent.next().await.is_none());
    }

    #[tokio::test]
    async fn news_somebody_waits_for_are_told_at_once() {
        let (feed, requests) = fed();
        let urgent = Urgent::default();
        let mut sent = std::pin::pin!(bundled(requests, &urgent));
        urgent.upto(5);
        feed.send(request(5, false)).unwrap();
        assert!(is_news(&sent.next().now_or_never().unwrap().unwrap()));
        feed.send(request(6, false)).unwrap();
        assert!(sent.next().now_or_never().is_none());
        // Also those that are held already; what was urgent before stays so.
        urgent.upto(6);
        urgent.upto(4);
        assert!(is_news(&sent.next().now_or_never().unwrap().unwrap()));
    }
}
