//! Who is offered what: exact books of every agent, hierarchical weighted DRF, quota,
//! reservations, and the life of every offer.
//!
//! What holds after every step (and `audit.rs` recomputes from scratch): on each agent the charges
//! of tasks and offers, and what reservations hold, never exceed what the agent has.

mod account;
mod audit;
mod book;
mod charge;
mod contest;
mod drf;
mod filters;
mod grant;
mod ledger;
mod offers;
mod quota;
mod round;
mod turn;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

pub use account::{Account, Source, is_within};
pub use book::{Book, Entry, Phase};
pub use filters::Filters;
pub use ledger::Ledger;
pub use quota::{Headroom, LimitHit, within_limits};
pub use turn::Turn;
pub use usage::Usage;

use crate::model::Key;

/// The allocator's memory. Rebuilt from lists by whoever leads next.
#[derive(Debug, Default)]
pub struct Allocator {
    /// Agent by agent: what is there, charged, held and free.
    pub ledger: Ledger,
    /// What each framework and pool has.
    pub usage: Usage,
    /// The offers, ours and our predecessors'.
    pub book: Book,
    /// What was declined of late.
    pub filters: Filters,
    /// Frameworks with schedulers of their own.
    pub externals: BTreeSet<Key>,
    /// Frameworks whose offers are refused by the server: not before this time.
    pub resting: BTreeMap<Key, u64>,
    /// Offers of built-in frameworks that became open: the scheduler's to accept.
    pub opened: BTreeSet<Key>,
    /// Tasks whose offers came to nothing: they wait again.
    pub spared: Vec<Key>,
    /// Room may have appeared since the last round.
    pub freed: bool,
    /// A round is worth making.
    pub dirty: bool,
    prefix: String,
    sequence: u64,
    offer_timeout_ms: u64,
}

impl Allocator {
    /// An allocator for one run in one term of leadership. Its offers are named after both, so that
    /// no two runs ever make offers of the same name.
    #[must_use]
    pub fn new(epoch: u64, run: u64, offer_timeout_ms: u64) -> Self {
        let prefix = format!("offer-{epoch}-{:x}-", run & 0xffff_ffff);
        Self {
            prefix,
            offer_timeout_ms,
            ..Self::default()
        }
    }

    /// What must hold after every step; see `audit.rs`.
    ///
    /// # Errors
    /// Everything that does not hold, in sentences.
    pub fn audit(&self, world: &crate::world::World) -> Result<(), Vec<String>> {
        audit::audit(self, world)
    }
}
