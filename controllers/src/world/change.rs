//! What changed in the world by one event.

use std::sync::Arc;

use crate::model::{Agent, Framework, Group, Namespace, Offer, Pool, Reservation, Task};

/// Before and after; at least one is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta<T> {
    /// As it was known; `None`: it was not.
    pub old: Option<Arc<T>>,
    /// As it is; `None`: gone.
    pub new: Option<Arc<T>>,
}

/// A change of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Of a pool.
    Pool(Delta<Pool>),
    /// Of a framework.
    Framework(Delta<Framework>),
    /// Of a task.
    Task(Delta<Task>),
    /// Of a group.
    Group(Delta<Group>),
    /// Of a reservation.
    Reservation(Delta<Reservation>),
    /// Of an offer.
    Offer(Delta<Offer>),
    /// Of an agent.
    Agent(Delta<Agent>),
    /// Of a namespace.
    Namespace(Delta<Namespace>),
}
