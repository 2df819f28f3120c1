//! Whether a connection does anything: how many of its requests are in work, and when the last one
//! began or ended. An answer is in work until its last byte is handed on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// The pulse of one connection. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    busy: AtomicUsize,
    /// Requests begun and ended.
    beats: AtomicU64,
}

/// A request in work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Beat(Arc<Counts>);

impl Pulse {
    /// A request begins.
    pub(crate) fn begin(&self) -> Beat {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        self.0.beats.fetch_add(1, Ordering::Relaxed);
        Beat(Arc::clone(&self.0))
    }

    /// Waits until nothing was in work for at least so long, and at most twice as long.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let before = self.0.beats.load(Ordering::Relaxed);
            tokio::time::sleep(limit).await;
            let beats = self.0.beats.load(Ordering::Relaxed);
            if beats == before && self.0.busy.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

impl Beat {
    /// The body of the answer, with which the request ends.
    pub(crate) fn until_sent(self, body: Body) -> Sent {
        Sent { body, _beat: self }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    body: Body,
    _beat: Beat,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_work_is_not_idle() {
        const LIMIT: Duration = Duration::from_millis(5);
        let pulse = Pulse::default();
        let sent = pulse.begin().until_sent(Body::empty());
        let waited = tokio::time::timeout(LIMIT * 10, pulse.idle(LIMIT)).await;
        assert!(waited.is_err(), "its answer is not sent yet");
        drop(sent);
        let waited = tokio::time::timeout(Duration::from_secs(30), pulse.idle(LIMIT)).await;
        assert!(waited.is_ok());
    }
}
