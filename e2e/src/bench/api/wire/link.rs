//! A connection as its callers share it. Whoever has something to say writes it to the socket himself; while he does,
//! others only add to what is to be said, and he takes it with him.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use apiserver::http2::frame::Reason;
use http::StatusCode;
use rustix::net::Shutdown;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::runtime::Handle;
use tokio_rustls::client::TlsStream;

use super::callers::{Callers, Wanted};
use super::session::Session;
use super::tls::Tls;
use super::{Ask, reader};
use crate::{Fault, Outcome};

/// Room for the head of a request.
const HEAD_BYTES: usize = 256;

pub(super) struct Link {
    state: Mutex<State>,
    socket: OwnedWriteHalf,
    runtime: Handle,
}

struct State {
    session: Session,
    callers: Callers,
    tls: Tls,
    /// What is said and not sealed.
    out: Vec<u8>,
    /// Somebody writes to the socket, or will: what is added meanwhile goes with it.
    is_writing: bool,
    /// Several callers were answered at once: what they ask next goes at once as well.
    is_gathering: bool,
    /// Why nothing more will come.
    over: Option<Arc<str>>,
}

/// Ends the connection when nobody holds it any more.
pub(super) struct Hold(Arc<Link>);

/// An answer that is to come. The stream is reset if nobody waits for its end.
pub(super) struct Answer {
    hold: Arc<Hold>,
    stream: u32,
}

impl Hold {
    /// Goes on after the handshake: says what clients begin with, and listens.
    pub(super) fn start(
        stream: TlsStream<TcpStream>,
        address: &str,
        ping: Option<Duration>,
    ) -> Arc<Self> {
        let (socket, connection) = stream.into_inner();
        let (read, write) = socket.into_split();
        let mut out = Vec::new();
        let state = State {
            session: Session::begin(address, &mut out),
            callers: Callers::default(),
            tls: Tls::new(connection),
            out,
            is_writing: false,
            is_gathering: false,
            over: None,
        };
        let link = Arc::new(Link {
            state: Mutex::new(state),
            socket: write,
            runtime: Handle::current(),
        });
        link.flush();
        tokio::spawn(reader::run(Arc::clone(&link), read, ping));
        Arc::new(Self(link))
    }

    /// Sends a request.
    pub(super) fn ask(self: &Arc<Self>, ask: Ask, wanted: Wanted) -> Outcome<Answer> {
        let link = &self.0;
        let stream = link.lock().ask(ask, wanted)?;
        let answer = Answer {
            hold: Arc::clone(self),
            stream,
        };
        link.flush();
        Ok(answer)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.lock().leave();
        self.0.flush();
        self.0.hang_up();
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is to be said, unless somebody else does.
    fn flush(self: &Arc<Self>) {
        let first = self.lock().begin_writing();
        self.write_all(first);
    }

    fn write_all(self: &Arc<Self>, mut next: Option<Vec<u8>>) {
        while let Some(sealed) = next {
            match self.write(&sealed) {
                Ok(sent) if sent == sealed.len() => next = self.lock().go_on_writing(),
                Ok(sent) => {
                    let link = Arc::clone(self);
                    self.runtime.spawn(link.write_later(sealed, sent));
                    return;
                }
                Err(error) => return self.fail(&Fault::from(error)),
            }
        }
    }

    /// How much the socket takes.
    fn write(&self, sealed: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < sealed.len() {
            match self.socket.try_write(&sealed[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// The socket is full: the rest goes, and whatever was added meanwhile, once there is room.
    async fn write_later(self: Arc<Self>, sealed: Vec<u8>, mut sent: usize) {
        while sent < sealed.len() {
            let written = match self.socket.writable().await {
                Ok(()) => self.write(&sealed[sent..]),
                Err(error) => Err(error),
            };
            match written {
                Ok(more) => sent += more,
                Err(error) => return self.fail(&Fault::from(error)),
            }
        }
        let next = self.lock().go_on_writing();
        self.write_all(next);
    }

    /// Takes what came; the callers it concerns are to be woken.
    pub(super) fn hear(&self, sealed: &[u8], woken: &mut Vec<Waker>) -> Outcome<()> {
        let mut state = self.lock();
        let heard = state.hear(sealed, woken);
        state.is_gathering = woken.len() > 1;
        heard
    }

    /// Who was answered has asked again, or will not at once.
    pub(super) fn gathered(self: &Arc<Self>) {
        let first = self.lock().gathered();
        self.write_all(first);
    }

    pub(super) fn ping(self: &Arc<Self>) {
        self.lock().ping();
        self.flush();
    }

    /// Ends the connection, and tells all callers why.
    pub(super) fn fail(self: &Arc<Self>, why: &Fault) {
        let mut woken = Vec::new();
        self.lock().fail(&why.to_string(), &mut woken);
        woken.into_iter().for_each(Waker::wake);
        self.hang_up();
    }

    /// Both ends see the end; what is under way still goes. A socket that is closed already needs no more.
    fn hang_up(&self) {
        let socket: &TcpStream = self.socket.as_ref();
        rustix::net::shutdown(socket, Shutdown::Both).ok();
    }
}

impl State {
    fn ask(&mut self, ask: Ask, wanted: Wanted) -> Outcome<u32> {
        if let Some(why) = &self.over {
            return Err(Fault::new(&**why));
        }
        self.out.reserve(HEAD_BYTES + ask.body.len());
        let stream = self.session.ask(ask, &mut self.out);
        let stream = stream.ok_or_else(|| Fault::new("the server takes no more requests here"))?;
        self.callers.add(stream, wanted);
        Ok(stream)
    }

    /// Nobody waits for this answer any more; true if the server has to know.
    fn give_up(&mut self, stream: u32) -> bool {
        let is_news = self.callers.remove(stream) && self.over.is_none();
        if is_news {
            self.session.cancel(stream, &mut self.out);
        }
        is_news
    }

    fn ping(&mut self) {
        self.session.ping(&mut self.out);
    }

    /// The first of what is to be written, if nobody writes.
    fn begin_writing(&mut self) -> Option<Vec<u8>> {
        if self.is_writing || self.is_gathering {
            return None;
        }
        self.go_on_writing()
    }

    fn gathered(&mut self) -> Option<Vec<u8>> {
        self.is_gathering = false;
        self.begin_writing()
    }

    /// What is to be written next; nobody writes when there is nothing.
    fn go_on_writing(&mut self) -> Option<Vec<u8>> {
        let said = std::mem::take(&mut self.out);
        // Sealing fails only where the connection is over, of which the reader hears.
        let sealed = self.tls.seal(&said).unwrap_or_default();
        self.is_writing = !sealed.is_empty();
        self.is_writing.then_some(sealed)
    }

    fn hear(&mut self, sealed: &[u8], woken: &mut Vec<Waker>) -> Outcome<()> {
        let Self {
            session,
            callers,
            tls,
            out,
            ..
        } = self;
        tls.open(sealed, |mut bytes| {
            loop {
                match session.next(&mut bytes, out) {
                    Ok(Some(event)) => callers.hear(&event, woken),
                    Ok(None) => return Ok(()),
                    Err(reason) => {
                        session.leave(reason, out);
                        return Err(Fault::new(format!(
                            "the server broke the rules of HTTP/2: {reason:?}"
                        )));
                    }
                }
            }
        })
    }

    fn fail(&mut self, why: &str, woken: &mut Vec<Waker>) {
        if self.over.is_none() {
            self.over = Some(why.into());
            self.callers.fail(0, why, woken);
        }
    }

    /// The last that is said.
    fn leave(&mut self) {
        if self.over.is_none() {
            self.over = Some("the connection was given up".into());
            self.session.leave(Reason::None, &mut self.out);
            let said = std::mem::take(&mut self.out);
            self.tls.close(&said);
        }
    }
}

impl Answer {
    /// The length of the whole answer, if it has the status that was expected.
    pub(super) async fn length(&mut self) -> Outcome<usize> {
        std::future::poll_fn(|cx| self.state().callers.length(self.stream, cx)).await
    }

    pub(super) async fn status(&mut self) -> Outcome<StatusCode> {
        std::future::poll_fn(|cx| self.state().callers.status(self.stream, cx)).await
    }

    /// How many lines ended since the last time; none at the end.
    pub(super) async fn lines(&mut self) -> Outcome<Option<usize>> {
        std::future::poll_fn(|cx| self.state().callers.lines(self.stream, cx)).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.hold.0.lock()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.state().give_up(self.stream) {
            self.hold.0.flush();
        }
    }
}
