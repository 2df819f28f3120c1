//! `stoa-e2e store power`.

use std::fmt;

use clap::ValueEnum;

use crate::ordeal::Verdict;
use crate::ordeal::power::{self, Hit};
use crate::{Fault, Outcome, nemesis};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Failures of the power.
    #[arg(long, default_value_t = 200)]
    trials: usize,
    /// Whose power fails.
    #[arg(long, value_enum, default_value = "both")]
    nodes: Hit,
    /// Writes each second.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Decides when the power fails, and whose.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Failpoints of all nodes; `wal-sync=lie` must be caught.
    #[arg(long, default_value = "")]
    faults: String,
}

impl Args {
    pub(super) async fn run(&self) -> Outcome<Verdict> {
        if let Some(obstacle) = nemesis::obstacle() {
            return Err(Fault::new(format!(
                "the power cannot fail here: {obstacle}"
            )));
        }
        let options = power::Options {
            trials: self.trials,
            nodes: self.nodes,
            rate: self.rate,
            faults: self.faults.clone(),
            seed: self.seed,
        };
        power::run(&options).await
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trials, rate, seed, ..
        } = self;
        let nodes = self.nodes.to_possible_value();
        let nodes = nodes.as_ref().map_or("both", |nodes| nodes.get_name());
        write!(
            f,
            "power --trials {trials} --nodes {nodes} --rate {rate} --seed {seed}"
        )?;
        match self.faults.as_str() {
            "" => Ok(()),
            faults => write!(f, " --faults {faults}"),
        }
    }
}
