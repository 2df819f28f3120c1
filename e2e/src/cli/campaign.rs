//! `stoa-e2e campaign`: breaks a cluster while tasks launch, and says whether the promise held.
#![expect(
    clippy::print_stdout,
    reason = "the verdict is what this command is for"
)]

use std::process::ExitCode;

use crate::{Fault, Outcome, campaign};

/// Sizes of the campaigns.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tasks that must each run exactly once.
    #[arg(long, default_value_t = 300)]
    tasks: usize,
    /// Rounds of faults within a campaign.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Decides who is hit, and when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Campaigns, each with the next seed.
    #[arg(long, default_value_t = 1)]
    repeat: u64,
}

/// Runs the campaigns one after another.
///
/// # Errors
/// When the promise did not hold, with the command that repeats it.
pub async fn run(args: &Args) -> Outcome<ExitCode> {
    for seed in args.seed..args.seed + args.repeat {
        let options = campaign::Options {
            tasks: args.tasks,
            rounds: args.rounds,
            seed,
        };
        let report = campaign::run(options).await.map_err(|fault| {
            Fault::new(format!(
                "{fault}\nagain: stoa-e2e campaign --seed {seed} --tasks {} --rounds {}",
                args.tasks, args.rounds
            ))
        })?;
        println!(
            "seed {seed}: {} tasks ran exactly once; all replicas at revision {}, digest {}",
            report.tasks, report.revision, report.digest
        );
    }
    Ok(ExitCode::SUCCESS)
}
