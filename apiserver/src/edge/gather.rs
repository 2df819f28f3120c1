//! Gathers what a connection writes in one turn of its task into one write below.
//!
//! HTTP/2 writes and flushes frame by frame; each would become a TLS record and a system call of its
//! own. Here writes go to a buffer, and the task lets it out when its turn is over. An idle
//! connection has no buffer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that go out without waiting for the end of the turn: a few TLS records.
const FULL: usize = 64 << 10;

/// A buffer begins at this size: most answers fit.
const FIRST: usize = 2 << 10;

/// One half of a connection: what the protocol reads from and writes to.
#[derive(Debug)]
pub(crate) struct Gather<S> {
    shared: Arc<Mutex<Gathered<S>>>,
}

#[derive(Debug)]
struct Gathered<S> {
    stream: S,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are out already.
    out: usize,
    /// All bytes that ever went out.
    total: u64,
    /// Nobody takes turns here any more: a flush lets out what was written.
    is_straight: bool,
}

/// Makes what is written from now on leave with each flush.
#[derive(Debug)]
pub(crate) struct Straight<S>(Gather<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Gather<S> {
    pub(crate) fn new(stream: S) -> Self {
        let gathered = Gathered {
            stream,
            buffer: Vec::new(),
            out: 0,
            total: 0,
            is_straight: false,
        };
        Self {
            shared: Arc::new(Mutex::new(gathered)),
        }
    }

    /// The other half: runs the protocol, and lets out what each turn of it wrote.
    pub(crate) fn turns(&self) -> Turns<S> {
        Turns(Self {
            shared: Arc::clone(&self.shared),
        })
    }

    /// For whoever takes the stream over from the protocol.
    pub(crate) fn straight(&self) -> Straight<S> {
        Straight(Self {
            shared: Arc::clone(&self.shared),
        })
    }

    /// Only the connection's own task comes here, so that nobody ever waits; after a panic the
    /// connection is dropped with whatever state it is in.
    fn lock(&self) -> MutexGuard<'_, Gathered<S>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Clone for Straight<S> {
    fn clone(&self) -> Self {
        Self(Gather {
            shared: Arc::clone(&self.0.shared),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Straight<S> {
    /// From now on.
    pub(crate) fn begin(&self) {
        self.0.lock().is_straight = true;
    }
}

/// Lets out what a connection has written.
#[derive(Debug)]
pub(crate) struct Turns<S>(Gather<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Turns<S> {
    /// One turn of the connection. What a full socket does not take is tried again with the next
    /// turn, which the socket wakes.
    pub(crate) fn poll<F: Future>(
        &self,
        connection: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let ended = connection.poll(cx);
        // A broken stream tells the protocol itself, at its next read or write.
        let _told_there = self.0.lock().poll_out(cx);
        ended
    }

    /// Waits until the peer took nothing for at least so long, and at most twice as long, though
    /// something waits to be sent.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let before = self.0.lock().waiting();
            tokio::time::sleep(limit).await;
            if before.is_some() && self.0.lock().waiting() == before {
                return;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Everything is out, down to the socket.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.out < self.buffer.len() {
            let rest = &self.buffer[self.out..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out += written;
            self.total += written as u64;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.buffer = Vec::new();
        self.out = 0;
        Poll::Ready(Ok(()))
    }

    /// What went out so far, if more waits to.
    fn waiting(&self) -> Option<u64> {
        (!self.buffer.is_empty()).then_some(self.total)
    }

    /// Room for more; waits for the socket while there is too much.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.len() >= FULL {
            ready!(self.poll_out(cx))?;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(FIRST);
        }
        Poll::Ready(Ok(FULL - self.buffer.len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut gathered = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut gathered.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = self.lock();
        let room = ready!(gathered.poll_room(cx))?;
        let taken = bytes.len().min(room);
        gathered.buffer.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = self.lock();
        let room = ready!(gathered.poll_room(cx))?;
        let mut taken = 0;
        for slice in slices {
            let some = slice.len().min(room - taken);
            gathered.buffer.extend_from_slice(&slice[..some]);
            taken += some;
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is written leaves at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.lock();
        match gathered.is_straight {
            true => gathered.poll_out(cx),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.lock();
        ready!(gathered.poll_out(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn one_turn_is_one_write() {
        let (near, mut far) = duplex(1 << 20);
        let mut gather = Gather::new(near);
        let turns = gather.turns();
        let connection = async move {
            for word in ["one ", "two ", "three"] {
                gather.write_all(word.as_bytes()).await?;
                gather.flush().await?;
            }
            Ok::<_, io::Error>(gather)
        };
        let mut connection = pin!(connection);
        let gather = poll_fn(|cx| turns.poll(connection.as_mut(), cx))
            .await
            .unwrap();
        let mut read = [0; 64];
        assert_eq!(far.read(&mut read).await.unwrap(), 13);
        assert_eq!(&read[..13], b"one two three");
        assert_eq!(gather.lock().buffer.capacity(), 0, "idle, it holds nothing");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_noticed() {
        const LIMIT: Duration = Duration::from_millis(5);
        let (near, mut far) = duplex(1);
        let mut gather = Gather::new(near);
        let turns = gather.turns();
        let mut connection = pin!(async move {
            gather.write_all(b"abc").await?;
            std::future::pending::<io::Result<()>>().await
        });
        let mut run = pin!(poll_fn(|cx| turns.poll(connection.as_mut(), cx)));
        let mut read = [0; 1];
        for _ in 0..2 {
            tokio::select! {
                _ = &mut run => panic!("it never ends"),
                () = turns.stalled(LIMIT) => {}
            }
            far.read_exact(&mut read).await.unwrap();
        }
        tokio::select! {
            _ = &mut run => panic!("it never ends"),
            waited = tokio::time::timeout(LIMIT * 10, turns.stalled(LIMIT)) => {
                assert!(waited.is_err(), "all of it is out");
            }
        }
    }

    #[tokio::test]
    async fn a_full_socket_holds_the_writer_back_and_loses_nothing() {
        let (near, mut far) = duplex(1 << 10);
        let mut gather = Gather::new(near);
        let turns = gather.turns();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let expected = sent.clone();
        let connection = async move {
            gather.write_all(&sent).await?;
            gather.shutdown().await
        };
        let mut received = Vec::new();
        let mut connection = pin!(connection);
        let write = poll_fn(|cx| turns.poll(connection.as_mut(), cx));
        let (written, read) = tokio::join!(write, far.read_to_end(&mut received));
        written.unwrap();
        assert_eq!(read.unwrap(), expected.len());
        assert!(received == expected);
    }
}
