//! `stoa-e2e store full`.

use std::fmt;

use crate::ordeal::{Verdict, full};
use crate::{Fault, Outcome, nemesis};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Times that disks run full: in turn the leader's, and all of them.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Writes each second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        if let Some(obstacle) = nemesis::obstacle() {
            return Err(Fault::new(format!(
                "no disk can be filled here: {obstacle}"
            )));
        }
        let options = full::Options {
            rounds: self.rounds,
            rate: self.rate,
        };
        full::run(&options).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, rate } = self;
        write!(f, "full --rounds {rounds} --rate {rate}")
    }
}
