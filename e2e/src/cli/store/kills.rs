//! `stoa-e2e store kills`.

use std::fmt;

use crate::Outcome;
use crate::ordeal::{Verdict, kills};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kills of the leader.
    #[arg(long, default_value_t = 200)]
    kills: usize,
    /// Writes each second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Decides how long the killed stay away.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        let options = kills::Options {
            kills: self.kills,
            rate: self.rate,
            seed: self.seed,
        };
        kills::run(&options).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, rate, seed } = self;
        write!(f, "kills --kills {kills} --rate {rate} --seed {seed}")
    }
}
