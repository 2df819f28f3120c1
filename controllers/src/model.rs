//! What the cores know of each object: parsed once, exact, and small enough to keep them all.

mod amount;
mod from;
mod key;
mod object;
mod thing;

pub(crate) use amount::{least_load, plus};
pub use key::{Key, Name};
pub use object::{
    Agent, Appetite, Framework, Group, Held, Meta, Namespace, Offer, Pool, Reservation, Shape, Task,
};

pub use thing::{Head, OURS, Owner, Sort, Thing, group};

/// Finalizer on a bound task: its agent has to speak before the object may go.
pub const AGENT_FINALIZER: &str = "stoa.dev/agent";

/// Finalizer of a foreground deletion: dependents go first.
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";

/// Finalizer of an orphaning deletion: dependents are set free first.
pub const ORPHAN_FINALIZER: &str = "orphan";

/// Parses an object as the cores keep it.
pub trait Parse<K>: Sized {
    /// The parsed object; `now_ms` dates what depends on time (a retry's pause).
    fn parse(kind: K, now_ms: u64) -> Self;
}
