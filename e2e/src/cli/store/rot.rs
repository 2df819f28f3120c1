//! `stoa-e2e store rot`.

use std::fmt;

use crate::Outcome;
use crate::ordeal::{Verdict, rot};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Flipped bits, one at a time.
    #[arg(long, default_value_t = 1000)]
    flips: usize,
    /// Decides which.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        let options = rot::Options {
            flips: self.flips,
            seed: self.seed,
        };
        rot::run(&options).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rot --flips {} --seed {}", self.flips, self.seed)
    }
}
