//! A connection to one peer: questions go out in the order they were asked, answers come back by id.
//!
//! A link connects when it is first needed and again after it broke. Questions asked while the peer
//! cannot be reached fail at once; the caller decides about retries.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncWriteExt, BufWriter, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::edge::frame;
use crate::edge::options::PEER_SERVER_NAME;
use crate::faults::{Faults, Point};
use crate::item::NodeId;
use crate::wire::{Answer, Ask, Hello, PROTOCOL};

const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Unacknowledged data older than this breaks the connection: a peer that vanished without a
/// word must not hold up the retry by TCP's minutes.
const UNACKED_MAX_MS: u32 = 5_000;
/// How long a caller keeps the connection for itself.
const FLUSH_MAX: Duration = Duration::from_millis(100);
const QUEUE: usize = 1024;
const WRITE_BUFFER: usize = 32 << 10;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// It was not sent: the peer cannot be reached.
    #[error("the peer cannot be reached")]
    Unreachable,
    /// It may have been sent; the connection broke.
    #[error("the connection broke")]
    Broken,
    /// It was sent, but no answer came in time.
    #[error("no answer in time")]
    Timeout,
}

/// Where and to whom a link goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: String,
    pub(crate) to: Option<(u128, NodeId)>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) faults: Faults,
}

/// A handle; the link ends when the last one is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    calls: mpsc::Sender<Call>,
    line: Line,
}

/// The connection's sending half, while there is one.
type Line = Arc<AsyncMutex<Option<Sending>>>;

#[derive(Debug)]
struct Sending {
    writer: BufWriter<WriteHalf<TlsStream<TcpStream>>>,
    waiting: Waiting,
    next: u64,
    faults: Faults,
}

struct Call {
    ask: Ask,
    /// None when there is to be no answer.
    answer: Option<oneshot::Sender<Result<Answer, LinkError>>>,
}

impl Call {
    fn answer(self, answer: Result<Answer, LinkError>) {
        if let Some(asker) = self.answer {
            asker.send(answer).ok();
        }
    }

    /// The asker gave up.
    fn is_idle(&self) -> bool {
        self.answer.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// An answer on its way.
pub(crate) type Pending = oneshot::Receiver<Result<Answer, LinkError>>;

type Waiting = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Result<Answer, LinkError>>>>>;

impl Link {
    pub(crate) fn open(target: Target) -> Self {
        let (calls, asked) = mpsc::channel(QUEUE);
        let line = Line::default();
        tokio::spawn(run(target, asked, Arc::clone(&line)));
        Self { calls, line }
    }

    /// Queues a question. Questions of one caller are sent in the order of these calls.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Pending, LinkError> {
        let (answer, pending) = oneshot::channel();
        let answer = Some(answer);
        match self.calls.send(Call { ask, answer }).await {
            Ok(()) => Ok(pending),
            Err(_stopped) => Err(LinkError::Unreachable),
        }
    }

    /// As `send`, but written by the caller when nobody else is writing: there is no thread to wake. Its place among
    /// questions that are being queued is not certain.
    pub(crate) async fn send_at_once(&self, ask: Ask) -> Result<Pending, LinkError> {
        let idle = self.calls.capacity() == self.calls.max_capacity();
        if let Ok(mut line) = self.line.try_lock()
            && let Some(sending) = line.as_mut().filter(|_| idle)
            && let Some(pending) = sending.put_at_once(&ask)
        {
            // The reading half finds out as well that the connection broke, and needs the line then. What is not written
            // in time is left to the next one.
            let flushed = tokio::time::timeout(FLUSH_MAX, sending.writer.flush()).await;
            return match flushed {
                Ok(Err(_broken)) => Err(LinkError::Broken),
                Ok(Ok(())) | Err(_) => Ok(pending),
            };
        }
        self.send(ask).await
    }

    /// Says something that is not answered, if there is room for it at once. False when there is none.
    pub(crate) fn tell(&self, ask: Ask) -> bool {
        let answer = None;
        self.calls.try_send(Call { ask, answer }).is_ok()
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&self, ask: Ask, limit: Duration) -> Result<Answer, LinkError> {
        let asked = async { received(self.send(ask).await?.await) };
        tokio::time::timeout(limit, asked)
            .await
            .unwrap_or(Err(LinkError::Timeout))
    }
}

/// Flattens what a pending answer became.
pub(crate) fn received(
    result: Result<Result<Answer, LinkError>, oneshot::error::RecvError>,
) -> Result<Answer, LinkError> {
    result.unwrap_or(Err(LinkError::Broken))
}

async fn run(target: Target, mut asked: mpsc::Receiver<Call>, line: Line) {
    while let Some(first) = asked.recv().await {
        match tokio::time::timeout(CONNECT_MAX, connect(&target)).await {
            Ok(Ok(stream)) => converse(stream, first, &mut asked, &target.faults, &line).await,
            Ok(Err(error)) => {
                tracing::debug!(addr = target.addr, %error, "cannot connect to a peer");
                refuse(first, &mut asked);
            }
            Err(_elapsed) => refuse(first, &mut asked),
        }
    }
}

fn refuse(first: Call, asked: &mut mpsc::Receiver<Call>) {
    let queued = std::iter::from_fn(|| asked.try_recv().ok());
    for call in std::iter::once(first).chain(queued) {
        call.answer(Err(LinkError::Unreachable));
    }
}

/// A connection on which this replica has said whom it means to reach.
pub(crate) async fn connect(target: &Target) -> io::Result<TlsStream<TcpStream>> {
    target.faults.meet(Point::PeerConnect).await?;
    let tcp = TcpStream::connect(&target.addr).await?;
    tune(&tcp)?;
    let name = ServerName::try_from(PEER_SERVER_NAME).map_err(io::Error::other)?;
    let mut stream = TlsConnector::from(Arc::clone(&target.tls))
        .connect(name, tcp)
        .await?;
    let hello = Hello {
        protocol: PROTOCOL,
        to: target.to,
    };
    stream.write_all(&frame::encode(0, &hello)?).await?;
    Ok(stream)
}

/// Socket options for both ends of a peer connection.
pub(crate) fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    rustix::net::sockopt::set_tcp_user_timeout(tcp, UNACKED_MAX_MS)?;
    rustix::net::sockopt::set_socket_keepalive(tcp, true)?;
    Ok(())
}

/// Serves questions until the connection breaks or nobody is left to ask.
async fn converse(
    stream: TlsStream<TcpStream>,
    first: Call,
    asked: &mut mpsc::Receiver<Call>,
    faults: &Faults,
    line: &Line,
) {
    let (reader, writer) = tokio::io::split(stream);
    let waiting = Waiting::default();
    *line.lock().await = Some(Sending {
        writer: BufWriter::with_capacity(WRITE_BUFFER, writer),
        waiting: Arc::clone(&waiting),
        next: 1,
        faults: faults.clone(),
    });
    let reading = read_answers(reader, Arc::clone(&waiting));
    let writing = write_questions(line, first, asked);
    let ended = tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    };
    *line.lock().await = None;
    if let Err(error) = ended {
        tracing::debug!(%error, "a peer connection broke");
    }
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, answer) in std::mem::take(&mut *waiting) {
        answer.send(Err(LinkError::Broken)).ok();
    }
}

async fn read_answers(reader: ReadHalf<TlsStream<TcpStream>>, waiting: Waiting) -> io::Result<()> {
    let mut reader = tokio::io::BufReader::new(reader);
    loop {
        let (id, body) = frame::read(&mut reader).await?;
        let answer = frame::decode(&body)?;
        let asker = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        if let Some(asker) = asker {
            // An asker that gave up is gone; its answer is dropped.
            asker.send(Ok(answer)).ok();
        }
    }
}

async fn write_questions(
    line: &Line,
    first: Call,
    asked: &mut mpsc::Receiver<Call>,
) -> io::Result<()> {
    let mut next = Some(first);
    loop {
        let mut held = line.lock().await;
        let sending = held.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while let Some(call) = next {
            sending.put(call).await?;
            next = asked.try_recv().ok();
        }
        // Flushed only when nothing more is waiting: questions share packets.
        sending.writer.flush().await?;
        drop(held);
        next = asked.recv().await;
        if next.is_none() {
            return hang_up(line).await;
        }
    }
}

async fn hang_up(line: &Line) -> io::Result<()> {
    match line.lock().await.as_mut() {
        Some(sending) => sending.writer.shutdown().await,
        None => Ok(()),
    }
}

impl Sending {
    async fn put(&mut self, call: Call) -> io::Result<()> {
        if call.is_idle() {
            // Since the connection was being made.
            return Ok(());
        }
        let frame = match frame::encode(self.next, &call.ask) {
            Ok(frame) => frame,
            Err(error) => {
                call.answer(Ok(Answer::Failed(error.to_string())));
                return Ok(());
            }
        };
        if let Some(asker) = call.answer {
            self.expect(asker);
        }
        self.next += 1;
        self.faults.meet(Point::PeerSend).await?;
        self.writer.write_all(&frame).await
    }

    /// Puts the question into the buffer, if there is room and nothing to go wrong on purpose.
    fn put_at_once(&mut self, ask: &Ask) -> Option<Pending> {
        let frame = frame::encode(self.next, ask).ok()?;
        // What fills the buffer goes past it.
        let fits = self.writer.buffer().len() + frame.len() < WRITE_BUFFER;
        if !fits || self.faults.is_armed(Point::PeerSend) {
            return None;
        }
        // It fits, so nothing is written yet and nothing can be cut short.
        let buffered = self.writer.write_all(&frame).now_or_never();
        debug_assert!(matches!(buffered, Some(Ok(()))), "{buffered:?}");
        let (answer, pending) = oneshot::channel();
        self.expect(answer);
        self.next += 1;
        Some(pending)
    }

    fn expect(&self, asker: oneshot::Sender<Result<Answer, LinkError>>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(self.next, asker);
    }
}
