//! Whether a connection does anything: how many of its requests are in work, and when the last one
//! began or ended. An answer is in work until its last byte is handed on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::streams::Gate;

/// Bytes handed on at once. As large as what a watch gathers: most pieces pass as they are.
const PIECE: usize = 128 << 10;

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
        Sent {
            body,
            rest: Bytes::new(),
            gate: Gate::own(),
            _beat: self,
        }
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
    /// What is left of a large piece.
    rest: Bytes,
    gate: Option<Gate>,
    _beat: Beat,
}

impl Sent {
    /// The next piece. The protocol buffers whatever it is given, so it is given little at a time.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let piece = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(piece)) => piece,
                other => return Poll::Ready(other),
            };
            match piece.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let some = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(some)))))
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(gate) = &this.gate {
            gate.asked();
        }
        let polled = this.poll_piece(cx);
        if let Some(gate) = &this.gate
            && matches!(polled, Poll::Ready(Some(Ok(_))))
            && !this.is_end_stream()
        {
            gate.gave();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of.lower() + rest);
        if let Some(upper) = of.upper() {
            hint.set_upper(upper + rest);
        }
        hint
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
