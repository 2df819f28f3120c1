//! `stoa-e2e store`: ordeals of the bare store. Each prints what it measured beside its bars, one
//! line with the verdict, and, when it was not stood, the command that repeats it.
#![expect(
    clippy::print_stdout,
    reason = "the verdict is what these commands are for"
)]

mod catchup;
mod full;
mod kills;
mod linear;
mod mutants;
mod power;
mod rolling;
mod rot;
mod votes;

use std::process::ExitCode;

use clap::Subcommand;

use crate::ordeal::Verdict;
use crate::{Fault, Outcome};

/// The ordeals.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Kill the leader again and again under load.
    Kills(kills::Args),
    /// Stop and start every node in turn under load.
    Rolling(rolling::Args),
    /// Fail the power of disks at random moments under load. Needs root.
    Power(power::Args),
    /// Fill disks to the last byte under load. Needs root.
    Full(full::Args),
    /// Flip bits in a replica's files and in backups.
    Rot(rot::Args),
    /// Restart and rejoin replicas of a large store.
    Catchup(catchup::Args),
    /// Break off elections, and see that no vote is forgotten.
    Votes(votes::Args),
    /// Call, watch, kill, pause and cut at random, and judge the history.
    Linear(linear::Args),
    /// Put bugs into the store, and see that each is caught.
    Mutants(mutants::Args),
}

/// Runs one ordeal and prints its verdict.
///
/// # Errors
/// When it was not stood, with the command that repeats it.
pub async fn run(command: &Command) -> Outcome<ExitCode> {
    let again = match command {
        Command::Kills(args) => args.to_string(),
        Command::Rolling(args) => args.to_string(),
        Command::Power(args) => args.to_string(),
        Command::Full(args) => args.to_string(),
        Command::Rot(args) => args.to_string(),
        Command::Catchup(args) => args.to_string(),
        Command::Votes(args) => args.to_string(),
        Command::Linear(args) => args.to_string(),
        Command::Mutants(args) => args.to_string(),
    };
    println!("stoa-e2e store {again}");
    let stood = match command {
        Command::Kills(args) => args.run().await,
        Command::Rolling(args) => args.run().await,
        Command::Power(args) => args.run().await,
        Command::Full(args) => args.run().await,
        Command::Rot(args) => args.run().await,
        Command::Catchup(args) => args.run().await,
        Command::Votes(args) => args.run().await,
        Command::Linear(args) => args.run().await,
        Command::Mutants(args) => args.run().await,
    };
    let repeat =
        |fault: Fault| Fault::new(format!("FAILED: {fault}\nagain: stoa-e2e store {again}"));
    Ok(tell(&stood.map_err(repeat)?))
}

fn tell(verdict: &Verdict) -> ExitCode {
    for figure in &verdict.figures {
        println!("{figure}");
    }
    println!("{}", verdict.words);
    if verdict.is_good() {
        ExitCode::SUCCESS
    } else {
        println!("a bar was MISSED");
        ExitCode::FAILURE
    }
}
