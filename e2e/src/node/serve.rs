//! The server side of a node's client protocol: every question is answered as soon as it can be,
//! by a task of its own, and all answers of a connection share one writer.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::{Faults, Revision, Store, TxnError, View};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::node::frame::{self, Reader};
use crate::node::wire::{Change, Mode, Numbered, Read, Report, Request, Response};

/// Answers that may wait for the writer; more than a client keeps in flight.
const ANSWERS_MAX: usize = 4_096;
/// Longest a read waits for a revision this replica has not reached.
const REACH_MAX: Duration = Duration::from_secs(2);

type Answers = mpsc::Sender<Numbered<Response>>;

/// What the questions are about.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) store: Store,
    pub(super) faults: Faults,
}

/// Serves connections for good.
pub(super) async fn run(listener: TcpListener, door: Door) {
    let door = Arc::new(door);
    loop {
        // A connection that broke while it waited is the client's to try again.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&door)));
        }
    }
}

async fn connection(stream: TcpStream, door: Arc<Door>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (read, write) = stream.into_split();
    let (answers, queue) = mpsc::channel(ANSWERS_MAX);
    let writer = tokio::spawn(frame::write_all(write, queue));
    let mut reader = Reader::new(read);
    while let Ok(Numbered { id, body }) = reader.next::<Numbered<Request>>().await {
        let door = Arc::clone(&door);
        let answers = answers.clone();
        tokio::spawn(async move { door.reply(id, body, answers).await });
    }
    // Whoever closed his side reads no more answers.
    writer.abort();
}

impl Door {
    async fn reply(&self, id: u64, request: Request, answers: Answers) {
        if let Request::Watch { after } = request {
            return self.watch(id, after, answers).await;
        }
        let body = match self.answer(request).await {
            Ok(response) => response,
            Err(error) => Response::Failed(error),
        };
        // A client that is gone needs no answer.
        answers.send(Numbered { id, body }).await.ok();
    }

    async fn answer(&self, request: Request) -> Result<Response, TxnError> {
        let store = &self.store;
        Ok(match request {
            Request::Txn(txn) => Response::Outcome(store.txn(txn).await?),
            Request::Get { keys, mode } => self.read(mode, |view| get(view, &keys)).await?,
            Request::List {
                prefix,
                mode,
                limit,
                after,
            } => {
                self.read(mode, |view| list(view, &prefix, after.as_ref(), limit))
                    .await?
            }
            Request::Watch { after } => Response::Refused(format!("watch {after}: asked twice")),
            Request::Members => {
                let members = store.members().await?;
                Response::Members(members.into_iter().map(Into::into).collect())
            }
            Request::Status => Response::Status(Report {
                status: store.status(),
                cluster_id: store.cluster_id(),
                oldest: store.oldest_revision(),
                pid: std::process::id(),
            }),
            Request::AddMember(member) => Response::Added(store.add_member(member).await?),
            Request::Promote(id) => done(store.promote(id).await)?,
            Request::Remove(id) => done(store.remove(id).await)?,
            Request::Transfer(id) => done(store.transfer(id).await)?,
            Request::Arm(text) => heard(self.faults.arm_all(&text)),
            Request::Disarm(name) => heard(name.parse().map(|point| self.faults.disarm(point))),
        })
    }

    async fn read(
        &self,
        mode: Mode,
        items: impl FnOnce(&View) -> Vec<store::Item>,
    ) -> Result<Response, TxnError> {
        let view = match mode {
            Mode::Stale => Ok(self.store.view()),
            Mode::Linearizable => {
                self.store.barrier().await?;
                Ok(self.store.view())
            }
            Mode::AtRevision(revision) => self.view_at(revision).await,
        };
        Ok(match view {
            Ok(view) => Response::Read(Read {
                revision: view.revision(),
                items: items(&view),
            }),
            Err(refusal) => refusal,
        })
    }

    async fn view_at(&self, revision: Revision) -> Result<View, Response> {
        let reached = self.store.wait_revision(revision, REACH_MAX).await;
        reached.map_err(|new| Response::TooNew {
            current: new.current,
        })?;
        self.store.view_at(revision).map_err(compacted)
    }

    async fn watch(&self, id: u64, after: Revision, answers: Answers) {
        let mut cursor = match self.store.changes(after) {
            Ok(cursor) => cursor,
            Err(error) => {
                let body = compacted(error);
                answers.send(Numbered { id, body }).await.ok();
                return;
            }
        };
        loop {
            let next = tokio::select! {
                next = cursor.next() => next,
                () = answers.closed() => return,
            };
            let (body, is_last) = match next {
                Ok(changes) => {
                    let changes = changes.iter().map(|change| Change::from(&**change));
                    (Response::Changes(changes.collect()), false)
                }
                Err(error) => (compacted(error), true),
            };
            if answers.send(Numbered { id, body }).await.is_err() || is_last {
                return;
            }
        }
    }
}

fn get(view: &View, keys: &[Bytes]) -> Vec<store::Item> {
    keys.iter().filter_map(|key| view.get(key)).collect()
}

fn list(view: &View, prefix: &[u8], after: Option<&Bytes>, limit: usize) -> Vec<store::Item> {
    match after {
        None => view.prefix(prefix).take(limit).collect(),
        Some(after) => view
            .range(Bound::Excluded(after), Bound::Unbounded)
            .take_while(|item| item.key.starts_with(prefix))
            .take(limit)
            .collect(),
    }
}

fn compacted(error: store::Compacted) -> Response {
    Response::Compacted {
        oldest: error.oldest,
    }
}

fn done(result: Result<(), TxnError>) -> Result<Response, TxnError> {
    result.map(|()| Response::Done)
}

fn heard(result: Result<(), String>) -> Response {
    result.map_or_else(Response::Refused, |()| Response::Done)
}
