//! What the bare store must stand: each ordeal starts a cluster of real nodes, writes, breaks
//! something on purpose, heals it, and judges what is left by what had been acknowledged.
//!
//! A write that was acknowledged must be there; one whose outcome is unknown may be.

pub mod ledger;
pub mod load;
pub mod witness;

pub mod catchup;
pub mod full;
pub mod kills;
pub mod power;
pub mod rolling;
pub mod rot;
pub mod votes;

pub mod linear;
pub mod mutants;

use crate::bench::Figure;

/// What an ordeal that was stood has shown.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// One line.
    pub words: String,
    /// What was measured, beside its bars.
    pub figures: Vec<Figure>,
}

impl Verdict {
    /// True when every bar is met.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.figures.iter().all(Figure::is_good)
    }
}
