//! The body of a request: put in as it comes, read by whoever answers. What was read makes room for more.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::bells::Bell;

/// The connection hears of what was read only this often: most bodies are over before.
const TOLD: usize = 64 << 10;

/// The end that the connection holds.
#[derive(Debug)]
pub(super) struct Upload(Arc<Channel>);

/// The end that is read.
#[derive(Debug)]
pub(super) struct Reader {
    channel: Arc<Channel>,
    /// Bytes still to come, where that was said.
    length: Option<u64>,
}

#[derive(Debug)]
struct Channel {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Bytes>,
    end: Option<End>,
    /// Bytes that were read since the connection last asked.
    read: usize,
    reader: Option<Waker>,
    is_unread: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
}

/// Both ends of a body; the connection is rung when there is something to do.
pub(super) fn upload(bell: &Arc<Bell>, length: Option<u64>) -> (Upload, Reader) {
    let channel = Arc::new(Channel {
        state: Mutex::default(),
        bell: Arc::clone(bell),
    });
    let reader = Reader {
        channel: Arc::clone(&channel),
        length,
    };
    (Upload(channel), reader)
}

impl Upload {
    /// A piece has come; how much of it nobody will read.
    pub(super) fn put(&self, piece: Bytes, ends: bool) -> usize {
        let mut state = self.0.lock();
        let unread = if state.is_unread { piece.len() } else { 0 };
        if !state.is_unread && !piece.is_empty() {
            state.pieces.push_back(piece);
        }
        if ends {
            state.end.get_or_insert(End::Whole);
        }
        state.wake();
        unread
    }

    /// How much was read since the last time.
    pub(super) fn read(&self) -> usize {
        mem::take(&mut self.0.lock().read)
    }

    /// Nobody reads it any more.
    pub(super) fn is_unread(&self) -> bool {
        self.0.lock().is_unread
    }
}

/// Nothing more will come; whatever was not read yet is no longer the connection's.
impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.end.get_or_insert(End::Broken);
        state.wake();
    }
}

impl Upload {
    /// How much of what came was not made room for yet.
    pub(super) fn outstanding(&self) -> usize {
        let state = self.0.lock();
        state.read + state.pieces.iter().map(Bytes::len).sum::<usize>()
    }
}

impl Channel {
    /// A panic while the lock was held leaves a queue that is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let channel = Arc::clone(&self.channel);
        let mut state = channel.lock();
        let Some(piece) = state.pieces.pop_front() else {
            return match state.end {
                Some(End::Whole) => Poll::Ready(None),
                Some(End::Broken) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        state.read += piece.len();
        let tells = state.read >= TOLD;
        drop(state);
        if tells {
            channel.bell.ring();
        }
        self.length = self
            .length
            .map(|length| length.saturating_sub(piece.len() as u64));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.channel.lock();
        state.pieces.is_empty() && state.end == Some(End::Whole)
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.is_unread = true;
        state.read += state
            .pieces
            .drain(..)
            .map(|piece| piece.len())
            .sum::<usize>();
        // Of a whole body nothing more comes that would need room.
        let matters = state.end.is_none();
        drop(state);
        if matters {
            self.channel.bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::bells::Bells;
    use super::*;

    fn ends(length: Option<u64>) -> (Upload, Reader) {
        upload(&Bell::new(1, &Arc::new(Bells::default())), length)
    }

    #[tokio::test]
    async fn what_is_put_in_is_read() {
        let (upload, reader) = ends(Some(5));
        assert_eq!(reader.size_hint().exact(), Some(5));
        upload.put(Bytes::from_static(b"abc"), false);
        assert_eq!((upload.read(), upload.outstanding()), (0, 3));
        upload.put(Bytes::from_static(b"de"), true);
        let whole = reader.collect().await.unwrap().to_bytes();
        assert_eq!(whole, "abcde");
        assert_eq!((upload.read(), upload.read()), (5, 0));
        assert!(upload.is_unread());
        assert_eq!(
            upload.put(Bytes::from_static(b"f"), false),
            1,
            "thrown away"
        );
        assert_eq!(upload.outstanding(), 0);
    }

    #[tokio::test]
    async fn half_a_body_is_none() {
        let (upload, mut reader) = ends(None);
        upload.put(Bytes::from_static(b"abc"), false);
        drop(upload);
        assert!(reader.frame().await.unwrap().is_ok());
        assert!(reader.frame().await.unwrap().is_err());
    }
}
