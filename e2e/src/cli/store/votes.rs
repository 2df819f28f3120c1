//! `stoa-e2e store votes`.

use std::fmt;

use crate::Outcome;
use crate::ordeal::{Verdict, votes};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Elections that are broken off.
    #[arg(long, default_value_t = 20)]
    elections: usize,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        let options = votes::Options {
            elections: self.elections,
            faults: String::new(),
        };
        votes::run(&options).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "votes --elections {}", self.elections)
    }
}
