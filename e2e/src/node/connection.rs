//! One connection to a node: a writer, a reader, and the questions that wait for their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::node::client::CallError;
use crate::node::frame::{self, Reader};
use crate::node::wire::{Numbered, Request, Response};

/// Longest a connection may take to be made; loopback and bridges answer at once or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Questions that may wait for the writer.
const QUESTIONS_MAX: usize = 4_096;
/// Batches of a watch that may wait to be read; then the connection, and the node's watch, wait.
const BATCHES_MAX: usize = 64;

/// An open connection. Clones share it; it closes with the last.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    questions: mpsc::Sender<Numbered<Request>>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
    reader: AbortHandle,
}

/// Who waits for which answer; none once the connection is broken.
type Waiting = Mutex<Option<HashMap<u64, Waiter>>>;

#[derive(Debug)]
enum Waiter {
    Once(oneshot::Sender<Response>),
    Stream(mpsc::Sender<Response>),
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Connection {
    pub(super) async fn open(addr: &str) -> Result<Self, CallError> {
        let not_sent = |why: String| CallError::NotSent(format!("{addr}: {why}"));
        let stream = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(addr))
            .await
            .map_err(|_elapsed| not_sent(format!("not reached within {CONNECT_MAX:?}")))?
            .map_err(|e| not_sent(e.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|e| not_sent(e.to_string()))?;
        let (read, write) = stream.into_split();
        let (questions, queue) = mpsc::channel(QUESTIONS_MAX);
        let waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(frame::write_all(write, queue));
        let reader = tokio::spawn(hear(Reader::new(read), Arc::clone(&waiting)));
        let shared = Shared {
            questions,
            waiting,
            next: AtomicU64::new(1),
            reader: reader.abort_handle(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.shared.questions.is_closed() && lock(&self.shared.waiting).is_some()
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(&self, request: Request) -> Result<Response, CallError> {
        let (send, receive) = oneshot::channel();
        let id = self.send(request, Waiter::Once(send)).await?;
        let _forget = Forget {
            waiting: &self.shared.waiting,
            id,
        };
        receive
            .await
            .map_err(|_broken| CallError::Unknown("the connection broke".into()))
    }

    /// Asks a question that is answered again and again.
    pub(super) async fn stream(
        &self,
        request: Request,
    ) -> Result<mpsc::Receiver<Response>, CallError> {
        let (send, receive) = mpsc::channel(BATCHES_MAX);
        self.send(request, Waiter::Stream(send)).await?;
        Ok(receive)
    }

    async fn send(&self, request: Request, waiter: Waiter) -> Result<u64, CallError> {
        let broken = || CallError::NotSent("the connection is broken".into());
        let room = self.shared.questions.reserve().await;
        let room = room.map_err(|_closed| broken())?;
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.waiting)
            .as_mut()
            .ok_or_else(broken)?
            .insert(id, waiter);
        room.send(Numbered { id, body: request });
        Ok(id)
    }
}

/// Forgets a question whose asker went away.
struct Forget<'a> {
    waiting: &'a Waiting,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = lock(self.waiting).as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// Hands answers to those who wait, until the stream ends; then nobody waits any longer.
async fn hear(mut reader: Reader<OwnedReadHalf>, waiting: Arc<Waiting>) {
    while let Ok(Numbered { id, body }) = reader.next().await {
        let stream = match lock(&waiting).as_mut() {
            Some(waiting) => take(waiting, id, &body),
            None => return,
        };
        match stream {
            Some(Waiter::Once(send)) => drop(send.send(body)),
            Some(Waiter::Stream(send)) => drop(send.send(body).await),
            None => {}
        }
    }
    lock(&waiting).take();
}

/// The waiter for this answer; a stream stays for the next one.
fn take(waiting: &mut HashMap<u64, Waiter>, id: u64, body: &Response) -> Option<Waiter> {
    match (waiting.get(&id)?, body) {
        (Waiter::Stream(send), Response::Changes(_)) => Some(Waiter::Stream(send.clone())),
        _ => waiting.remove(&id),
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<HashMap<u64, Waiter>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
