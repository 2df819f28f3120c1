//! A body that is made as it is sent, but not for ever: a client that does not read its answer must not
//! hold what the rest would be made from.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::Stream;
use tokio::task::AbortHandle;

/// The pieces as a body, which breaks off after this time.
pub(crate) fn body<I>(pieces: I, limit: Duration) -> Body
where
    I: Iterator<Item = Bytes> + Send + 'static,
{
    Body::from_stream(Timely::new(pieces, limit))
}

struct Timely<I> {
    rest: Arc<Mutex<Option<I>>>,
    alarm: AbortHandle,
}

impl<I: Iterator<Item = Bytes> + Send + 'static> Timely<I> {
    fn new(pieces: I, limit: Duration) -> Self {
        let rest = Arc::new(Mutex::new(Some(pieces)));
        // Nobody polls a body whose client does not read, so that it cannot look at the clock itself.
        let late = Arc::clone(&rest);
        let alarm = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            drop(late.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
        Self {
            rest,
            alarm: alarm.abort_handle(),
        }
    }
}

impl<I: Iterator<Item = Bytes>> Stream for Timely<I> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(match rest.as_mut() {
            Some(pieces) => pieces.next().map(Ok),
            None => Some(Err(io::ErrorKind::TimedOut.into())),
        })
    }
}

impl<I> Drop for Timely<I> {
    fn drop(&mut self) {
        self.alarm.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn what_is_not_read_is_let_go() {
        let held = Arc::new(());
        let witness = Arc::clone(&held);
        let pieces = std::iter::repeat_with(move || {
            let _held = &witness;
            Bytes::from_static(b"x")
        });
        let mut body = Timely::new(pieces, Duration::from_millis(5));
        let is_free = async {
            while Arc::strong_count(&held) > 1 {
                tokio::task::yield_now().await;
            }
        };
        let freed = tokio::time::timeout(Duration::from_secs(30), is_free).await;
        assert!(freed.is_ok(), "nobody polls, and yet it is let go");
        assert!(body.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn what_is_read_in_time_is_whole() {
        let pieces = ["a", "b"].map(Bytes::from).into_iter();
        let all: Vec<_> = Timely::new(pieces, Duration::from_secs(60)).collect().await;
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(all, ["a", "b"]);
    }
}
