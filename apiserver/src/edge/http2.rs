//! One HTTP/2 connection: reads, lets every stream go on that can, writes, and waits.
//!
//! All of it is one task: requests are worked on where their frames are read, and a thousand watchers' news on
//! thirty connections are thirty wakes and thirty writes. While it waits, a connection holds no buffer.

mod bells;
mod task;
mod upkeep;
mod upload;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use bells::{Bell, Bells};
use task::{Task, Turn, Work};
use upkeep::{Chore, Marks, Upkeep};
use upload::upload;

pub(crate) use upkeep::Patience;

use super::front::{Front, Origin};
use crate::http2::frame::Reason;
use crate::http2::request::Asked;
use crate::http2::session::{Event, Session};
use crate::http2::streams::Streams;

/// Bytes that wait to be sent before nothing more is made: a few TLS records.
const FULL: usize = 64 << 10;

/// Bytes read at once: a frame and its head, and then some.
const READ: usize = 32 << 10;

/// Bytes that are handed to TLS in one piece, and such pieces at once.
const SLICE: usize = 2 << 10;
const SLICES: usize = FULL / SLICE;

/// Reads, and rounds of reading, working and writing, before other connections have their turn.
const READS: usize = 4;
const ROUNDS: usize = 8;

/// The bell of the clock: no request has this number.
const CLOCK: u32 = 0;

thread_local! {
    /// What a connection reads into, and writes from, is needed only during its turn.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Who asks, and who answers.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) front: Front,
    pub(crate) origin: Arc<Origin>,
}

impl Asker {
    pub(crate) fn ask(&self, request: Request<Body>) -> impl Future<Output = Response> + use<> {
        self.front.clone().answer(Arc::clone(&self.origin), request)
    }
}

/// A connection; as a future it ends when there is nothing left to do.
pub(crate) struct Connection<S> {
    stream: S,
    session: Session,
    tasks: Streams<Box<Task>>,
    bells: Arc<Bells>,
    /// Streams that can go on, in the order of their turns.
    turns: VecDeque<u32>,
    /// What came but is not a whole frame yet.
    rest: Vec<u8>,
    /// What waits to be sent, how much of it is sent, and whether all of it is out.
    out: Vec<u8>,
    sent: usize,
    is_flushed: bool,
    /// Bytes that ever came and went.
    came: u64,
    went: u64,
    clock: Arc<Bell>,
    upkeep: Upkeep,
    asker: Asker,
    /// Nothing is read or worked on any more; only what waits is sent.
    closes: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(
        stream: S,
        asker: Asker,
        patience: Patience,
        shutdown: CancellationToken,
    ) -> Self {
        let mut out = Vec::new();
        let session = Session::begin(&mut out);
        let bells = Arc::new(Bells::default());
        let clock = Bell::new(CLOCK, &bells);
        clock.ring();
        Self {
            stream,
            session,
            tasks: Streams::default(),
            bells,
            turns: VecDeque::new(),
            rest: Vec::new(),
            out,
            sent: 0,
            is_flushed: true,
            came: 0,
            went: 0,
            clock,
            upkeep: Upkeep::new(patience, shutdown),
            asker,
            closes: false,
        }
    }

    /// Rounds of reading, working and writing, until nothing moves.
    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bells.watch(cx.waker());
        for _ in 0..ROUNDS {
            let mut moves = self.read(cx)?;
            self.bells.take(&mut self.turns);
            moves |= self.work()?;
            moves |= self.write(cx)?;
            if self.closes || self.session.is_over() {
                return self.poll_close(cx);
            }
            if !moves {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Reads what is there; not while the peer takes nothing of what it asked for.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moves = false;
        INPUT.with_borrow_mut(|input| {
            for _ in 0..READS {
                if self.waiting() >= FULL || self.closes {
                    break;
                }
                let mut buf = ReadBuf::new(input);
                if Pin::new(&mut self.stream)
                    .poll_read(cx, &mut buf)?
                    .is_pending()
                {
                    break;
                }
                if buf.filled().is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.came += buf.filled().len() as u64;
                self.take(buf.filled());
                moves = true;
            }
            Ok(moves)
        })
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut joined = std::mem::take(&mut self.rest);
        let mut bytes = bytes;
        if !joined.is_empty() {
            joined.extend_from_slice(bytes);
            bytes = &joined;
        }
        loop {
            let mut event = None;
            match self.session.step(&mut bytes, &mut self.out, &mut event) {
                Ok(true) => event.into_iter().for_each(|event| self.happen(event)),
                Ok(false) => break,
                Err(reason) => {
                    tracing::debug!(?reason, "an HTTP/2 connection breaks the rules");
                    self.session.fail(reason, &mut self.out);
                    self.closes = true;
                    return;
                }
            }
        }
        self.rest = bytes.to_vec();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Request {
                stream,
                asked,
                ends,
            } => self.request(stream, *asked, ends),
            Event::Data { stream, data, ends } => self.data(stream, data, ends),
            Event::Gone { stream } => self.forget(stream),
            Event::Open {
                stream: Some(stream),
            } => {
                if let Some(task) = self.tasks.get(stream) {
                    line_up(&mut self.turns, task);
                }
            }
            Event::Open { stream: None } => {
                for (_, task) in self.tasks.iter_mut() {
                    line_up(&mut self.turns, task);
                }
            }
        }
    }

    fn request(&mut self, stream: u32, asked: Asked, ends: bool) {
        let bell = Bell::new(stream, &self.bells);
        let (upload, body) = match ends {
            true => (None, Body::empty()),
            false => {
                let (upload, reader) = upload(&bell, asked.length);
                (Some(upload), Body::new(reader))
            }
        };
        let answer = self.asker.ask(asked.request.map(|()| body));
        let work = Work::Asking(Box::pin(answer));
        let task = Box::new(Task {
            stream,
            bell,
            upload,
            work,
            stuck: None,
        });
        line_up(&mut self.turns, &task);
        self.tasks.push(stream, task);
    }

    fn data(&mut self, stream: u32, data: Bytes, ends: bool) {
        let task = self.tasks.get(stream);
        let unread = match task.and_then(|task| task.upload.as_ref()) {
            Some(upload) => upload.put(data, ends),
            None => data.len(),
        };
        // What nobody reads makes no room for more of it.
        self.session.take(0, unread, &mut self.out);
        if ends && let Some(task) = self.tasks.get(stream) {
            line_up(&mut self.turns, task);
        }
    }

    /// A stream is over: what came of its request and was not read makes room.
    fn forget(&mut self, stream: u32) {
        let task = self.tasks.remove(stream);
        if let Some(upload) = task.and_then(|task| task.upload) {
            self.session.take(0, upload.outstanding(), &mut self.out);
        }
    }

    /// Lets everybody go on who can, while there is room for what they make.
    fn work(&mut self) -> io::Result<bool> {
        let mut moves = false;
        while self.waiting() < FULL
            && let Some(stream) = self.turns.pop_front()
        {
            moves = true;
            let Some(task) = self.tasks.get_mut(stream) else {
                continue;
            };
            task.bell.hush();
            match task.turn(&mut self.session, &mut self.out) {
                Turn::Waits => {}
                Turn::Again => line_up(&mut self.turns, task),
                Turn::Over => self.forget(stream),
            }
        }
        if self.clock.has_rung() {
            self.keep_up()?;
        }
        Ok(moves)
    }

    fn keep_up(&mut self) -> io::Result<()> {
        self.clock.hush();
        let waits = self.waiting() > 0 || !self.is_flushed || self.closes;
        let marks = Marks {
            came: self.came,
            waiting: waits.then_some(self.went),
            idle: self.session.is_idle().then_some(self.session.last()),
        };
        let waker = Waker::from(Arc::clone(&self.clock));
        match self.upkeep.poll(&mut Context::from_waker(&waker), marks) {
            Chore::Nothing => {}
            Chore::Ping => self.session.ping(&mut self.out),
            Chore::Leave => self.session.leave(&mut self.out),
            Chore::Cut => return Err(io::ErrorKind::TimedOut.into()),
        }
        if let Some(limit) = self.upkeep.stall() {
            self.give_up(limit);
        }
        Ok(())
    }

    /// Ends the streams whose peer takes nothing of what is there for it.
    fn give_up(&mut self, limit: Duration) {
        let (session, now) = (&self.session, Instant::now());
        let tasks = self.tasks.iter_mut();
        let stuck =
            tasks.filter_map(|(stream, task)| task.is_stuck(session, now, limit).then_some(stream));
        for stream in stuck.collect::<Vec<_>>() {
            self.session.reset(stream, Reason::Calm, &mut self.out);
            self.forget(stream);
        }
    }

    /// Sends what waits; true if some of it went.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moves = false;
        while self.waiting() > 0 {
            let (slices, many) = sliced(&self.out[self.sent..]);
            let stream = Pin::new(&mut self.stream);
            let Poll::Ready(written) = stream.poll_write_vectored(cx, &slices[..many])? else {
                return Ok(moves);
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += written;
            self.went += written as u64;
            self.is_flushed = false;
            moves = true;
        }
        self.out.clear();
        self.sent = 0;
        if !self.is_flushed {
            self.is_flushed = Pin::new(&mut self.stream).poll_flush(cx)?.is_ready();
        }
        Ok(moves)
    }

    /// Nobody is served any more; what was said last goes out.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closes = true;
        self.tasks = Streams::default();
        if self.waiting() > 0 || !self.is_flushed {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The beginning of these bytes in small slices, and how many there are.
///
/// TLS copies each slice by itself. The C library copies larger ones by an instruction that on AMD's Zen 3 and 4 is
/// three times as slow when the two places lie unluckily: a list of 28 MB took 35 to 46 ms instead of 27.
fn sliced(bytes: &[u8]) -> ([IoSlice<'_>; SLICES], usize) {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut many = 0;
    for (slice, chunk) in slices.iter_mut().zip(bytes.chunks(SLICE)) {
        *slice = IoSlice::new(chunk);
        many += 1;
    }
    (slices, many)
}

/// Gives a stream its turn, unless it has one.
fn line_up(turns: &mut VecDeque<u32>, task: &Task) {
    if task.bell.claim() {
        turns.push_back(task.stream);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.out.capacity() == 0 {
            this.out = OUTPUT.take();
        }
        let polled = this.poll_rounds(cx);
        if this.out.is_empty() {
            let out = std::mem::take(&mut this.out);
            OUTPUT.with_borrow_mut(|spare| {
                if out.capacity() > spare.capacity() {
                    *spare = out;
                }
            });
        }
        polled
    }
}
