//! `stoa-e2e store rolling`.

use std::fmt;

use crate::Outcome;
use crate::ordeal::{Verdict, rolling};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rolling restarts of all nodes.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Writes each second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        let options = rolling::Options {
            rounds: self.rounds,
            rate: self.rate,
        };
        rolling::run(&options).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, rate } = self;
        write!(f, "rolling --rounds {rounds} --rate {rate}")
    }
}
