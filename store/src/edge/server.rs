//! The listening side: answers other replicas.

use std::io;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use openraft::Snapshot;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::command::is_txn;
use crate::edge::core::Core;
use crate::edge::formation::Door;
use crate::edge::options::PEER_SERVER_NAME;
use crate::edge::propose::{Afar, Asker};
use crate::edge::transfer::{Assembly, Cutter};
use crate::edge::{frame, link};
use crate::faults::{Faults, Point};
use crate::image::{Header, Image};
use crate::raft::{SnapshotMeta, Vote};
use crate::wire::{Answer, Ask, Forwarded, Hello, PROTOCOL, Piece, Refusal, SnapshotAsk};

const CONNECTIONS_MAX: usize = 512;
const ANSWERS_QUEUED: usize = 1024;
const ASKS_AT_ONCE: usize = 4096;
/// For the handshake and the first message of a stranger.
const GREETING_MAX: Duration = Duration::from_secs(5);
const WRITE_BUFFER: usize = 16 << 10;

/// How long an answer that nobody waits for waits for others.
const IDLE_ANSWER: Duration = Duration::from_millis(5);

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The question's number.
    pub(crate) id: u64,
    pub(crate) answer: Answer,
    /// Somebody waits for it.
    pub(crate) in_time: bool,
}

type Answers = mpsc::Sender<Reply>;

impl Reply {
    fn to(id: u64, answer: Answer) -> Self {
        Self {
            id,
            answer,
            in_time: true,
        }
    }
}

/// What connections are answered from. The core appears once the replica has an identity.
pub(crate) struct Desk {
    pub(crate) door: Door,
    pub(crate) core: OnceLock<Arc<Core>>,
    pub(crate) faults: Faults,
}

/// Accepts until stopped. Open connections end with their task, which `stop` also ends.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    desk: Arc<Desk>,
    stop: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Some(Ok(place)) = stop
        .run_until_cancelled(Arc::clone(&room).acquire_owned())
        .await
    {
        let accepted = match stop.run_until_cancelled(listener.accept()).await {
            Some(accepted) => accepted,
            None => return,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // Out of descriptors, mostly: accepting again at once would spin.
                tracing::warn!(%error, "cannot accept a peer");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, desk, stop) = (acceptor.clone(), Arc::clone(&desk), stop.clone());
        tokio::spawn(async move {
            let ended = stop
                .run_until_cancelled(converse(tcp, acceptor, desk))
                .await;
            if let Some(Err(error)) = ended {
                tracing::debug!(%error, "a peer connection ended");
            }
            drop(place);
        });
    }
}

async fn converse(tcp: TcpStream, acceptor: TlsAcceptor, desk: Arc<Desk>) -> io::Result<()> {
    link::tune(&tcp)?;
    let (mut reader, writer) =
        tokio::time::timeout(GREETING_MAX, greet(tcp, acceptor, &desk)).await??;
    let (answers, queued) = mpsc::channel(ANSWERS_QUEUED);
    let writing = tokio::spawn(write_answers(writer, queued));
    let mut conversation = Conversation {
        desk,
        answers,
        asks: Arc::new(Semaphore::new(ASKS_AT_ONCE)),
        assembly: None,
        cutter: None,
    };
    let ended = loop {
        if let Err(error) = conversation.desk.faults.meet(Point::PeerReceive).await {
            break Err(error);
        }
        let (id, body) = match frame::read(&mut reader).await {
            Ok(frame) => frame,
            Err(error) => break Err(error),
        };
        match frame::decode(&body) {
            Ok(ask) => conversation.hear(id, ask).await,
            Err(error) => break Err(error),
        }
    };
    writing.abort();
    match ended {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}

type Halves = (
    BufReader<ReadHalf<TlsStream<TcpStream>>>,
    WriteHalf<TlsStream<TcpStream>>,
);

/// Admits a replica that means this one.
async fn greet(tcp: TcpStream, acceptor: TlsAcceptor, desk: &Desk) -> io::Result<Halves> {
    let stream = acceptor.accept(tcp).await?;
    ensure_replica(&stream)?;
    let (reader, writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let (_, body) = frame::read(&mut reader).await?;
    let hello: Hello = frame::decode(&body)?;
    let me = desk.core.get().map(|core| (core.cluster_id, core.id));
    if hello.protocol != PROTOCOL {
        return Err(io::Error::other(format!(
            "it speaks protocol {}",
            hello.protocol
        )));
    }
    if hello.to.is_some() && hello.to != me {
        return Err(io::Error::other(format!(
            "it looks for {:?}, this is {me:?}",
            hello.to
        )));
    }
    Ok((reader, writer))
}

/// Agents and users have certificates of the same authority: only a replica's carries the peer name.
fn ensure_replica(stream: &TlsStream<TcpStream>) -> io::Result<()> {
    let (_, connection) = stream.get_ref();
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first());
    let certificate = certificate.ok_or_else(|| io::Error::other("it shows no certificate"))?;
    let parsed =
        rustls::server::ParsedCertificate::try_from(certificate).map_err(io::Error::other)?;
    let name = ServerName::try_from(PEER_SERVER_NAME).map_err(io::Error::other)?;
    rustls::client::verify_server_name(&parsed, &name).map_err(io::Error::other)
}

async fn write_answers(
    writer: WriteHalf<TlsStream<TcpStream>>,
    mut queued: mpsc::Receiver<Reply>,
) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(WRITE_BUFFER, writer);
    while let Some(first) = queued.recv().await {
        let idle_until = Instant::now() + IDLE_ANSWER;
        let (mut next, mut in_time) = (Some(first), false);
        while let Some(reply) = next {
            in_time |= reply.in_time;
            let frame = frame::encode(reply.id, &reply.answer)?;
            writer.write_all(&frame).await?;
            next = queued.try_recv().ok();
            if next.is_none() && !in_time {
                let more = tokio::time::timeout_at(idle_until, queued.recv());
                next = more.await.ok().flatten();
            }
        }
        writer.flush().await?;
    }
    Ok(())
}

/// One connection's state: snapshots in either direction are bound to it.
struct Conversation {
    desk: Arc<Desk>,
    answers: Answers,
    asks: Arc<Semaphore>,
    assembly: Option<Assembly>,
    cutter: Option<Cutter>,
}

impl Conversation {
    async fn hear(&mut self, id: u64, ask: Ask) {
        if let Ask::Probe(probe) = ask {
            let probed = self.desk.door.answer(&probe);
            return self.say(id, Answer::Probed(probed)).await;
        }
        let Some(core) = self.desk.core.get().cloned() else {
            return self
                .say(
                    id,
                    Answer::Failed("this replica is not a member yet".into()),
                )
                .await;
        };
        if let Ask::Snapshot(ask) = ask {
            let answer = self
                .snapshot(&core, ask)
                .await
                .unwrap_or_else(Answer::Failed);
            return self.say(id, answer).await;
        }
        if let Ask::Stored(stored) = ask {
            return core.told.hear(stored);
        }
        if let Ask::Propose(proposal) = ask {
            return self.propose(id, &core, proposal).await;
        }
        self.answer_later(id, core, ask).await;
    }

    /// Queues a transaction; whoever carries it out answers on this connection, so that none of the
    /// many in flight costs a task here.
    async fn propose(&self, id: u64, core: &Core, forwarded: Forwarded) {
        if is_txn(&forwarded.txn) {
            let asker = Asker::Afar(Afar {
                member: forwarded.member,
                answers: self.answers.clone(),
                id,
                watches: forwarded.watches,
            });
            core.enqueue(forwarded.txn, asker).await;
        } else {
            let answer = Answer::Failed("not a transaction".into());
            self.say(id, answer).await;
        }
    }

    /// Starts the answer here, so that appends reach the core in the order they came, and finishes
    /// it elsewhere, so that they are made durable together.
    async fn answer_later(&self, id: u64, core: Arc<Core>, ask: Ask) {
        let Ok(place) = Arc::clone(&self.asks).acquire_owned().await else {
            return;
        };
        let mut work = Box::pin(answer(core, ask));
        let started =
            futures::future::poll_fn(|context| Poll::Ready(work.poll_unpin(context))).await;
        match started {
            Poll::Ready(answer) => self.say(id, answer).await,
            Poll::Pending => {
                let answers = self.answers.clone();
                tokio::spawn(async move {
                    let answer = work.await;
                    answers.send(Reply::to(id, answer)).await.ok();
                    drop(place);
                });
            }
        }
    }

    async fn say(&self, id: u64, answer: Answer) {
        self.answers.send(Reply::to(id, answer)).await.ok();
    }

    async fn snapshot(&mut self, core: &Core, ask: SnapshotAsk) -> Result<Answer, String> {
        match ask {
            SnapshotAsk::Begin(header) => self.begin(core, header),
            SnapshotAsk::Piece(piece) => self.add(piece),
            SnapshotAsk::End(vote) => self.install(core, vote).await,
            SnapshotAsk::PullBegin => self.pull_begin(core),
            SnapshotAsk::PullNext => {
                let next = || self.cutter.as_mut().and_then(Iterator::next).transpose();
                // It reads from disk.
                let piece = tokio::task::block_in_place(next);
                piece
                    .map(Answer::Piece)
                    .map_err(|unread| unread.to_string())
            }
        }
    }

    fn begin(&mut self, core: &Core, header: Header) -> Result<Answer, String> {
        if header.cluster_id != core.cluster_id {
            return Err("the snapshot is of another cluster".into());
        }
        self.assembly = Some(Assembly::new(header));
        Ok(Answer::Taken)
    }

    fn add(&mut self, piece: Piece) -> Result<Answer, String> {
        self.assembly
            .as_mut()
            .ok_or("no snapshot was begun")?
            .add(piece);
        Ok(Answer::Taken)
    }

    async fn install(&mut self, core: &Core, vote: Vote) -> Result<Answer, String> {
        let image = self
            .assembly
            .take()
            .ok_or("no snapshot was begun")?
            .finish()?;
        let meta = SnapshotMeta {
            last_log_id: image.applied,
            last_membership: image.membership.clone(),
        };
        let told = core.faults.meet(Point::SnapshotInstall).await;
        told.map_err(|error| error.to_string())?;
        let image = Arc::new(image);
        require_room(core, &image).await?;
        let snapshot = Snapshot {
            meta,
            snapshot: image,
        };
        let installed = core.raft.install_full_snapshot(vote, snapshot).await;
        installed
            .map(Answer::Snapshot)
            .map_err(|fatal| fatal.to_string())
    }

    fn pull_begin(&mut self, core: &Core) -> Result<Answer, String> {
        let image = core
            .checkpointer
            .latest()
            .ok_or("nothing is applied here yet")?;
        let header = image.header(core.cluster_id);
        self.cutter = Some(Cutter::new(Arc::new(image)));
        Ok(Answer::Header(header))
    }
}

/// Consensus takes a snapshot that cannot be written for a broken disk, and stops. A full one is waited for.
async fn require_room(core: &Core, image: &Arc<Image>) -> Result<(), String> {
    let (checkpointer, image) = (Arc::clone(&core.checkpointer), Arc::clone(image));
    let found = tokio::task::spawn_blocking(move || checkpointer.require_room(&image)).await;
    let found = found.map_err(io::Error::other).flatten();
    found.map_err(|error| format!("the snapshot cannot be taken: {error}"))
}

async fn answer(core: Arc<Core>, ask: Ask) -> Answer {
    let failed = |error: String| Answer::Failed(error);
    match ask {
        Ask::Append(rpc) => {
            let appended = core.raft.append_entries(rpc).await;
            appended.map_or_else(|error| failed(error.to_string()), Answer::Append)
        }
        Ask::Vote(rpc) => core
            .raft
            .vote(rpc)
            .await
            .map_or_else(|error| failed(error.to_string()), Answer::Vote),
        Ask::PreVote(rpc) => core
            .raft
            .pre_vote(rpc)
            .await
            .map_or_else(|error| failed(error.to_string()), Answer::Vote),
        Ask::Transfer(rpc) => match core.raft.handle_transfer_leader(rpc).await {
            Ok(response) => Answer::Transfer(response.map_err(|error| error.to_string())),
            Err(fatal) => failed(fatal.to_string()),
        },
        // Never passed on: a chain of replicas that take each other for the leader must end.
        Ask::ReadIndex(witness) if core.leadership.borrow().is_local => {
            let index = core.read_index_for(witness).await;
            if let Ok(index) = index {
                core.haste.upto(index);
            }
            Answer::Index(index)
        }
        Ask::ReadIndex(_) => Answer::Index(Err(Refusal::NotLeader)),
        Ask::Status => Answer::Status(core.status(), std::process::id()),
        Ask::Marks => Answer::Marks(core.published.marks()),
        Ask::Call(payload) => Answer::Called(core.call_here(payload).await),
        Ask::Change(change) => Answer::Changed(core.change(change).await),
        Ask::Probe(_) | Ask::Snapshot(_) | Ask::Propose(..) | Ask::Stored(_) => {
            failed("answered by the connection itself".into())
        }
    }
}
