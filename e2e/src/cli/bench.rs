//! `stoa-e2e bench`: measures a cluster and prints the figures beside their bars.
#![expect(
    clippy::print_stdout,
    reason = "the figures are what this command is for"
)]

use std::process::ExitCode;

use crate::{Outcome, bench, machine};

/// Sizes of the benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Servers.
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Agents.
    #[arg(long, default_value_t = 3)]
    agents: usize,
    /// Tasks that wait when the agents open their doors.
    #[arg(long, default_value_t = 3_000)]
    backlog: usize,
    /// Tasks created one after another for the latency.
    #[arg(long, default_value_t = 200)]
    singles: usize,
    /// Kills of the leader.
    #[arg(long, default_value_t = 5)]
    kills: usize,
    /// End with exit code 1 when a bar is missed.
    #[arg(long)]
    check: bool,
}

/// Measures.
///
/// # Errors
/// When the cluster does not do what is to be measured.
pub async fn run(args: &Args) -> Outcome<ExitCode> {
    let options = bench::Options {
        replicas: args.replicas,
        agents: args.agents,
        backlog: args.backlog,
        singles: args.singles,
        kills: args.kills,
    };
    println!("{}", machine::stoa_binary()?.display());
    println!(
        "{} servers, {} agents, all on this machine",
        args.replicas, args.agents
    );
    let figures = bench::run(&options).await?;
    for figure in &figures {
        println!("{figure}");
    }
    let missed = figures.iter().any(|figure| !figure.is_good());
    Ok(if args.check && missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
