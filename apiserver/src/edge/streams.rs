//! Streams of HTTP/2 whose peer does not read: what is made for them is bounded, and they end.
//!
//! The protocol asks a body for its next piece only when the peer has room for it. A body that gave a
//! piece and is not asked again waits for the peer; if that lasts, the stream is reset, and with it goes
//! all that it held. Other streams of the connection do not notice.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

tokio::task_local! {
    /// The stream whose task this is.
    static GATE: Gate;
}

/// What a body tells the task of its stream: odd while it waits for the peer, and another number each
/// time it begins to wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<AtomicU64>);

impl Gate {
    /// That of the stream in whose task this is called; none outside HTTP/2.
    pub(crate) fn own() -> Option<Self> {
        GATE.try_with(Clone::clone).ok()
    }

    /// The body is asked for its next piece.
    pub(crate) fn asked(&self) {
        let state = self.0.load(Ordering::Relaxed);
        if !state.is_multiple_of(2) {
            self.0.store(state + 1, Ordering::Relaxed);
        }
    }

    /// The body gave a piece, and has more.
    pub(crate) fn gave(&self) {
        let state = self.0.load(Ordering::Relaxed);
        if state.is_multiple_of(2) {
            self.0.store(state + 1, Ordering::Relaxed);
        }
    }

    /// Which wait this is, if the body waits.
    fn waits(&self) -> Option<u64> {
        let state = self.0.load(Ordering::Relaxed);
        (!state.is_multiple_of(2)).then_some(state)
    }
}

/// Runs the tasks of a connection's streams.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    /// How long a peer may take nothing of what a stream has for it.
    pub(crate) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let gate = Gate::default();
        let watched = until_stalled(stream, gate.clone(), self.limit);
        tokio::spawn(GATE.scope(gate, watched));
    }
}

/// Runs the stream, but not for longer than `limit` after its peer took the last piece.
async fn until_stalled<F: Future>(stream: F, gate: Gate, limit: Duration) {
    let mut stream = pin!(stream);
    let mut alarm = Alarm::default();
    poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        // Nothing is armed for a stream that waits for us, as an idle watch does.
        Poll::Pending => alarm.poll(gate.waits(), limit, cx),
    })
    .await;
}

#[derive(Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The wait for which it was set.
    wait: u64,
}

impl Alarm {
    fn poll(&mut self, wait: Option<u64>, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let Some(wait) = wait else {
            self.sleep = None;
            return Poll::Pending;
        };
        if self.sleep.is_none() || wait != self.wait {
            self.wait = wait;
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(Instant::now() + limit),
                None => self.sleep = Some(Box::pin(tokio::time::sleep(limit))),
            }
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let gate = Gate::default();
        gate.gave();
        let stalled = until_stalled(std::future::pending::<()>(), gate, LIMIT);
        tokio::time::timeout(LIMIT * 1_000, stalled).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_us_is_not() {
        let gate = Gate::default();
        let own = gate.clone();
        let mut to_its_end = false;
        let stream = async {
            own.gave();
            tokio::task::yield_now().await;
            own.asked();
            tokio::time::sleep(LIMIT * 5).await;
            to_its_end = true;
        };
        until_stalled(stream, gate, LIMIT).await;
        assert!(to_its_end);
    }

    #[tokio::test]
    async fn each_piece_that_is_taken_gives_more_time() {
        let mut alarm = Alarm::default();
        let poll = |alarm: &mut Alarm, wait| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            alarm.poll(wait, LIMIT, &mut cx)
        };
        assert!(poll(&mut alarm, Some(1)).is_pending());
        let first = alarm.sleep.as_ref().unwrap().deadline();
        tokio::time::sleep_until(first).await;
        assert!(poll(&mut alarm, Some(3)).is_pending(), "another piece");
        assert!(alarm.sleep.as_ref().unwrap().deadline() > first);
        assert!(poll(&mut alarm, None).is_pending());
        assert!(alarm.sleep.is_none(), "nothing is armed");
    }

    #[tokio::test]
    async fn each_stream_has_a_gate_of_its_own() {
        assert!(Gate::own().is_none());
        let (tell, told) = tokio::sync::oneshot::channel();
        let streams = Streams { limit: LIMIT };
        streams.execute(async move { _ = tell.send(Gate::own().is_some()) });
        assert!(told.await.unwrap());
    }
}
