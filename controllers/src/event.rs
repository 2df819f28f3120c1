//! Everything that can happen to the controllers, as one closed enum.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use kube::core::PartialObjectMeta;
use manifests::kinds::{Agent, Framework, Offer, Reservation, ResourcePool, Task, TaskGroup};
use manifests::wire::HeartbeatAges;

use crate::effect::{Answer, Batch};
use crate::model::{Owner, Sort};

/// What is seen of one kind: a list, then changes; a new list when the watch was lost.
#[derive(Clone, Debug)]
pub enum Seen<K> {
    /// A list begins: what it does not name is gone.
    Reset,
    /// The object is there, as given.
    Item(Box<K>),
    /// The object is gone.
    Gone(Box<K>),
    /// The list is complete as of this version.
    Synced(u64),
}

/// One stimulus.
#[derive(Clone, Debug)]
pub enum Event {
    /// A pool.
    Pool(Seen<ResourcePool>),
    /// A framework.
    Framework(Seen<Framework>),
    /// A task.
    Task(Seen<Task>),
    /// A group of tasks.
    Group(Seen<TaskGroup>),
    /// A reservation.
    Reservation(Seen<Reservation>),
    /// An offer.
    Offer(Seen<Offer>),
    /// An agent.
    Agent(Seen<Agent>),
    /// A namespace.
    Namespace(Seen<core::Namespace>),
    /// When each agent was last heard from, as the leader's memory has it.
    Heartbeats(HeartbeatAges),
    /// A transaction was answered.
    Done(Batch, Answer),
    /// A namespace that is being deleted holds nothing any more, or still does.
    Emptied(String, bool),
    /// Every resource of the API, as discovery has it now.
    Sorts(Vec<Arc<Sort>>),
    /// The head of an object of a kind that is not ours.
    Head(Arc<Sort>, Seen<PartialObjectMeta>),
    /// Owners that were looked up: whether each is there, `None` where that is not known.
    Verified(Vec<(Owner, Option<bool>)>),
    /// The time that a step asked to be woken at has come.
    Tick,
}
