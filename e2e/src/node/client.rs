//! The client of a node: many questions in flight on one connection, which is made again when it
//! broke. What failed is told apart by what is known of its effect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::{NewMember, NodeId, Revision, Txn, TxnError, TxnOutcome};
use tokio::sync::{Mutex, mpsc};

use crate::node::connection::Connection;
use crate::node::wire::{Change, Member, Mode, Read, Report, Request, Response};

/// Longest a call takes; a little more than the store itself tries.
const CALL_MAX: Duration = Duration::from_secs(12);
/// Longest a node may take to say how it is.
const STATUS_MAX: Duration = Duration::from_secs(1);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It never left: it certainly had no effect.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was sent and no answer came: it may have had its effect, or may still have it.
    #[error("unknown: {0}")]
    Unknown(String),
    /// The store's own words.
    #[error("the store says: {0}")]
    Told(TxnError),
    /// The node refused the question itself, or the revision it names.
    #[error("refused: {0:?}")]
    Refused(Box<Response>),
}

impl CallError {
    fn unfit(answer: Response) -> Self {
        Self::Refused(Box::new(answer))
    }

    /// True when the call may have had, or still have, its effect.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Told(TxnError::Timeout | TxnError::Stopped(_)) => true,
            Self::NotSent(_) | Self::Told(_) | Self::Refused(_) => false,
        }
    }

    /// True when another replica, or the same one later, may answer.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotSent(_)
            | Self::Unknown(_)
            | Self::Told(TxnError::NoLeader | TxnError::Timeout | TxnError::Stopped(_)) => true,
            Self::Told(_) | Self::Refused(_) => false,
        }
    }
}

/// A node as seen from outside. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    addr: String,
    connection: Mutex<Option<Connection>>,
}

impl Client {
    /// A client of the node at `host:port`; it connects when it is first used.
    #[must_use]
    pub fn new(addr: impl Into<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                addr: addr.into(),
                connection: Mutex::default(),
            }),
        }
    }

    /// Another client of the same node, on a connection of its own.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.shared.addr.clone())
    }

    /// Asks, and waits for the answer at most `limit` long.
    ///
    /// # Errors
    /// As `CallError` says; the store's errors are `Told`.
    pub async fn call(&self, request: Request, limit: Duration) -> Result<Response, CallError> {
        let asked = async { self.connection().await?.ask(request).await };
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(Response::Failed(error))) => Err(CallError::Told(error)),
            Ok(Ok(refused @ Response::Refused(_))) => Err(CallError::unfit(refused)),
            Ok(answer) => answer,
            Err(_elapsed) => Err(CallError::Unknown(format!("no answer within {limit:?}"))),
        }
    }

    /// Applies a transaction. With request id 0 the store draws one, so a retry needs one of ours.
    ///
    /// # Errors
    /// As `CallError` says.
    pub async fn txn(&self, txn: Txn) -> Result<TxnOutcome, CallError> {
        let answer = self.call(Request::Txn(txn), CALL_MAX).await?;
        if let Response::Outcome(outcome) = answer {
            Ok(outcome)
        } else {
            Err(CallError::unfit(answer))
        }
    }

    /// The items under these keys.
    ///
    /// # Errors
    /// As `CallError` says; a revision out of reach is `Refused`.
    pub async fn get(&self, keys: Vec<Bytes>, mode: Mode) -> Result<Read, CallError> {
        read(self.call(Request::Get { keys, mode }, CALL_MAX).await?)
    }

    /// A page of at most `limit` items whose keys begin with the prefix, behind `after`.
    ///
    /// # Errors
    /// As `CallError` says; a revision out of reach is `Refused`.
    pub async fn list(
        &self,
        prefix: Bytes,
        mode: Mode,
        limit: usize,
        after: Option<Bytes>,
    ) -> Result<Read, CallError> {
        let list = Request::List {
            prefix,
            mode,
            limit,
            after,
        };
        read(self.call(list, CALL_MAX).await?)
    }

    /// All changes after the revision, on a connection of its own: a watch that is read slowly
    /// holds up nothing else.
    ///
    /// # Errors
    /// When the node cannot be reached.
    pub async fn watch(&self, after: Revision) -> Result<Watch, CallError> {
        let connection = Connection::open(&self.shared.addr).await?;
        let changes = connection.stream(Request::Watch { after }).await?;
        Ok(Watch {
            _connection: connection,
            changes,
        })
    }

    /// The members as this replica sees them.
    ///
    /// # Errors
    /// As `CallError` says.
    pub async fn members(&self) -> Result<Vec<Member>, CallError> {
        let answer = self.call(Request::Members, CALL_MAX).await?;
        if let Response::Members(members) = answer {
            Ok(members)
        } else {
            Err(CallError::unfit(answer))
        }
    }

    /// What the replica says of itself, within a second.
    ///
    /// # Errors
    /// As `CallError` says.
    pub async fn status(&self) -> Result<Report, CallError> {
        let answer = self.call(Request::Status, STATUS_MAX).await?;
        if let Response::Status(report) = answer {
            Ok(report)
        } else {
            Err(CallError::unfit(answer))
        }
    }

    /// Announces a member; the id it must be started with.
    ///
    /// # Errors
    /// As `CallError` says.
    pub async fn add_member(&self, member: NewMember) -> Result<NodeId, CallError> {
        let answer = self.call(Request::AddMember(member), CALL_MAX).await?;
        if let Response::Added(id) = answer {
            Ok(id)
        } else {
            Err(CallError::unfit(answer))
        }
    }

    /// Any call that is answered by `Done`: promote, remove, transfer, arm, disarm.
    ///
    /// # Errors
    /// As `CallError` says.
    pub async fn order(&self, request: Request) -> Result<(), CallError> {
        let answer = self.call(request, CALL_MAX).await?;
        if answer == Response::Done {
            Ok(())
        } else {
            Err(CallError::unfit(answer))
        }
    }

    async fn connection(&self) -> Result<Connection, CallError> {
        let mut kept = self.shared.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let connection = Connection::open(&self.shared.addr).await?;
        *kept = Some(connection.clone());
        Ok(connection)
    }
}

fn read(response: Response) -> Result<Read, CallError> {
    let answer = response;
    if let Response::Read(read) = answer {
        Ok(read)
    } else {
        Err(CallError::unfit(answer))
    }
}

/// A running watch.
#[derive(Debug)]
pub struct Watch {
    _connection: Connection,
    changes: mpsc::Receiver<Response>,
}

impl Watch {
    /// The next changes, in order; waits while there are none. Cancelling loses nothing.
    ///
    /// # Errors
    /// `Unknown` when the connection broke, `Refused(Compacted)` when the history is gone.
    pub async fn next(&mut self) -> Result<Vec<Change>, CallError> {
        let broken = || CallError::Unknown("the watch's connection broke".into());
        let answer = self.changes.recv().await.ok_or_else(broken)?;
        if let Response::Changes(changes) = answer {
            Ok(changes)
        } else {
            Err(CallError::unfit(answer))
        }
    }
}
