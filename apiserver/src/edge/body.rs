//! Reading a request's body within bounds of size and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::context::Limits;
use crate::status::Failure;

/// What is read and thrown away of a body that was refused. Many clients look at the answer only
/// once all is sent (Python's requests; curl before 8 takes the reset of an HTTP/2 stream for a
/// failure), and the usual mistake is a file of some megabytes; whoever sends more is cut off.
const DRAIN_BYTES: usize = 64 << 20;

/// Bodies up to this size are bounded by the number of requests alone: heartbeats and reports of
/// agents must not wait for those who send much.
const SMALL_BYTES: usize = 64 << 10;

/// Reads bodies, as many at once as there is room for.
#[derive(Debug)]
pub(crate) struct Intake {
    room: Arc<Semaphore>,
    room_bytes: usize,
    wait: Duration,
    patience: Duration,
}

/// A body that takes up room until it is dropped.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Intake {
    pub(crate) fn new(limits: &Limits) -> Self {
        // What a semaphore can count, and be asked for at once.
        let room_bytes = limits.bodies_bytes.min(u32::MAX as usize >> 3);
        Self {
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            wait: limits.bodies_wait,
            patience: limits.body,
        }
    }

    /// The whole body. Its room is free again once all of it is dropped.
    ///
    /// # Errors
    /// 413 if it is longer than `bytes_max`, 429 if there is no room for it, 400 if it breaks off
    /// or trickles.
    pub(crate) async fn read(&self, mut body: Body, bytes_max: usize) -> Result<Bytes, Failure> {
        let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if told > bytes_max {
            return Err(too_large(body, bytes_max, self.patience));
        }
        let exact = body.size_hint().exact().is_some();
        let room = self.room(if exact { told } else { bytes_max }).await?;
        let whole = Limited::new(&mut body, bytes_max).collect();
        match tokio::time::timeout(self.patience, whole).await {
            Ok(Ok(collected)) => Ok(held(collected.to_bytes(), room)),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(too_large(body, bytes_max, self.patience))
            }
            Ok(Err(error)) => Err(Failure::bad_request(format!(
                "the body cannot be read: {error}"
            ))),
            Err(_elapsed) => Err(Failure::bad_request("the body did not arrive in time")),
        }
    }

    /// Room for a body; one of unknown length takes as much as it may have.
    async fn room(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        const TEXT: &str = "too much is being sent to this server at once: try again later";
        let full = || Failure::too_many_requests(TEXT);
        let bytes = u32::try_from(bytes.min(self.room_bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        let room = tokio::time::timeout(self.wait, room).await;
        let room = room.map_err(|_elapsed| full())?;
        Ok(Some(room.map_err(|_closed| full())?))
    }
}

/// What came may be much less than it might have been.
fn held(bytes: Bytes, room: Option<OwnedSemaphorePermit>) -> Bytes {
    let Some(mut room) = room else {
        return bytes;
    };
    let unused = room.num_permits().saturating_sub(bytes.len());
    drop(room.split(unused));
    Bytes::from_owner(Held { bytes, _room: room })
}

/// The refusal is answered at once; meanwhile the rest of the body is let in.
fn too_large(body: Body, bytes_max: usize, patience: Duration) -> Failure {
    tokio::spawn(tokio::time::timeout(patience, drain(body)));
    Failure::too_large(format!("Request entity too large: limit is {bytes_max}"))
}

async fn drain(mut body: Body) {
    let mut seen = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > DRAIN_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    const MIB: usize = 1 << 20;

    fn intake() -> Intake {
        Intake::new(&Limits {
            bodies_bytes: 4 * MIB,
            bodies_wait: Duration::from_millis(20),
            ..Limits::default()
        })
    }

    fn chunked(bytes: usize) -> Body {
        let one = futures::stream::once(async move { Ok::<_, std::io::Error>(vec![b' '; bytes]) });
        Body::from_stream(one)
    }

    #[tokio::test]
    async fn bodies_share_the_room() {
        let intake = intake();
        let whole = |bytes: usize| Body::from(vec![b' '; bytes]);
        let first = intake.read(whole(3 * MIB), 4 * MIB).await.unwrap();
        assert_eq!(first.len(), 3 * MIB);
        let refused = intake.read(whole(2 * MIB), 4 * MIB).await.unwrap_err();
        assert_eq!(refused.code(), 429);
        let refused = intake.read(chunked(1), 4 * MIB).await.unwrap_err();
        assert_eq!(refused.code(), 429, "it may become long");
        for small in [0, 1, SMALL_BYTES] {
            assert_eq!(
                intake.read(whole(small), 4 * MIB).await.unwrap().len(),
                small
            );
        }
        let part = first.slice(..1);
        drop(first);
        assert_eq!(
            intake
                .read(whole(2 * MIB), 4 * MIB)
                .await
                .unwrap_err()
                .code(),
            429
        );
        drop(part);
        // Larger than all the room, and unknown: alone, it still comes in, and keeps what it needs.
        let short = intake.read(chunked(MIB), 64 * MIB).await.unwrap();
        assert_eq!(short.len(), MIB);
        assert_eq!(
            intake.read(whole(3 * MIB), 4 * MIB).await.unwrap().len(),
            3 * MIB
        );
        drop(short);
        assert_eq!(
            intake.read(chunked(3), 2).await.unwrap_err().code(),
            413,
            "and a refusal gives its room back"
        );
        assert_eq!(intake.room.available_permits(), 4 * MIB);
    }

    #[tokio::test]
    async fn who_waits_comes_in_once_there_is_room() {
        let intake = Intake {
            wait: Duration::from_secs(30),
            ..intake()
        };
        let silent =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>().boxed());
        let (aborted, handle) = futures::future::abortable(intake.read(silent, 4 * MIB));
        let waiting = intake.read(Body::from(vec![b' '; MIB]), 4 * MIB);
        let (first, second, ()) = tokio::join!(aborted, waiting, async { handle.abort() });
        assert!(first.is_err(), "the client went away");
        assert_eq!(second.unwrap().len(), MIB);
        assert_eq!(intake.room.available_permits(), 4 * MIB);
    }
}
