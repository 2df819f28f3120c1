//! The scheduler of built-in frameworks: whose turn within a framework, which agent, and why not.
//!
//! It receives offers like any other scheduler and accepts them with the same verb; the allocator
//! asks it only for the order of the queue and for what would fit where.

mod accept;
mod explain;
mod place;
mod queue;
mod waits;

pub use accept::accept;
pub use explain::explain;
pub use place::{Ask, Obstacle, choose, judge};
pub use queue::{Class, Queue, Unit};
pub use waits::Waits;
