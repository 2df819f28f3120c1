//! The cheap handle through which everybody uses the store.
#![expect(
    clippy::unimplemented,
    clippy::unused_async,
    reason = "signatures only, for the crates that compile against them"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::edge::options::Options;
use crate::error::{StartError, TooNew, TxnError};
use crate::history::{Change, Compacted};
use crate::item::{NodeId, Revision};
use crate::member::{Leadership, Member, NewMember, Status};
use crate::snapshot::View;
use crate::txn::{Txn, TxnOutcome};

/// Answers opaque calls while this replica leads.
pub type LeaderHandler = Arc<dyn Fn(Bytes) -> BoxFuture<'static, Bytes> + Send + Sync>;

/// A handle to the replicated store. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {}

/// What must run for the store to work.
#[derive(Debug)]
pub struct Service {}

impl Service {
    /// Runs until `shutdown` is cancelled or the replica fails for good.
    pub async fn run(self, _shutdown: CancellationToken) -> Result<(), TxnError> {
        unimplemented!()
    }
}

/// Reads changes in order.
#[derive(Debug)]
pub struct Cursor {}

impl Cursor {
    /// All changes after the position, waiting while there are none.
    pub async fn next(&mut self) -> Result<Vec<Arc<Change>>, Compacted> {
        unimplemented!()
    }
}

#[expect(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "signatures only"
)]
impl Store {
    pub async fn start(_options: Options) -> Result<(Store, Service), StartError> {
        unimplemented!()
    }
    pub async fn txn(&self, _txn: Txn) -> Result<TxnOutcome, TxnError> {
        unimplemented!()
    }
    pub async fn barrier(&self) -> Result<Revision, TxnError> {
        unimplemented!()
    }
    pub fn view(&self) -> View {
        unimplemented!()
    }
    pub fn view_at(&self, _revision: Revision) -> Result<View, Compacted> {
        unimplemented!()
    }
    pub async fn wait_revision(
        &self,
        _at_least: Revision,
        _limit: Duration,
    ) -> Result<View, TooNew> {
        unimplemented!()
    }
    pub fn changes(&self, _after: Revision) -> Result<Cursor, Compacted> {
        unimplemented!()
    }
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        unimplemented!()
    }
    pub async fn call_leader(&self, _payload: Bytes) -> Result<Bytes, TxnError> {
        unimplemented!()
    }
    pub fn set_leader_handler(&self, _handler: LeaderHandler) {
        unimplemented!()
    }
    pub async fn members(&self) -> Result<Vec<Member>, TxnError> {
        unimplemented!()
    }
    pub async fn add_member(&self, _member: NewMember) -> Result<NodeId, TxnError> {
        unimplemented!()
    }
    pub async fn promote(&self, _id: NodeId) -> Result<(), TxnError> {
        unimplemented!()
    }
    pub async fn remove(&self, _id: NodeId) -> Result<(), TxnError> {
        unimplemented!()
    }
    pub async fn transfer(&self, _id: NodeId) -> Result<(), TxnError> {
        unimplemented!()
    }
    pub fn status(&self) -> Status {
        unimplemented!()
    }
    pub fn cluster_id(&self) -> u128 {
        unimplemented!()
    }
}
