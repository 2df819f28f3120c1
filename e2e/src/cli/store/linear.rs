//! `stoa-e2e store linear`.

use std::fmt;

use clap::ValueEnum;

use crate::Outcome;
use crate::ordeal::Verdict;
use crate::ordeal::linear::{self, Trouble};
use crate::ordeal::mutants::Mutant;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Decides what is called and broken.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// A lie of the store that must be caught: success is then a failure of the net.
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        if let Some(mutant) = self.mutant {
            return mutant.round(self.seed, self.seconds, true).await;
        }
        let options = linear::Options {
            seed: self.seed,
            seconds: self.seconds,
            trouble: Trouble::Everything,
            faults: String::new(),
        };
        Box::pin(linear::run(&options)).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, seconds, .. } = self;
        write!(f, "linear --seed {seed} --seconds {seconds}")?;
        match self.mutant.and_then(|mutant| mutant.to_possible_value()) {
            None => Ok(()),
            Some(mutant) => write!(f, " --mutant {}", mutant.get_name()),
        }
    }
}
