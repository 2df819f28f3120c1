//! The engine: every verb but watch, on every kind, over the store. Added next.

use std::sync::Arc;

use store::Store;

use crate::call::{Call, Reply, TransactionCall};
use crate::registry::Registry;
use crate::status::Failure;
use crate::user::Policy;

/// Answers calls. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Store,
    policy: Policy,
}

impl Engine {
    /// An engine over a store.
    #[must_use]
    pub fn new(store: Store, policy: Policy) -> Self {
        Self { store, policy }
    }

    /// The resources served at this moment.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::default()
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers one call.
    ///
    /// # Errors
    /// Whatever the client did wrong, or what kept us from answering.
    pub async fn call(&self, _call: Call) -> Result<Reply, Failure> {
        let _pending = self.policy;
        Err(Failure::unavailable("the engine is not built yet"))
    }

    /// Answers a transaction.
    ///
    /// # Errors
    /// As `call`; `details.causes[].field` names the operation or guard.
    pub async fn transaction(&self, _call: TransactionCall) -> Result<Reply, Failure> {
        Err(Failure::unavailable("the engine is not built yet"))
    }
}
