//! `stoa-e2e`: benchmarks and fault campaigns that anyone can run.
#![expect(
    clippy::print_stdout,
    reason = "the figures are what this program is for"
)]

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use e2e::{Fault, Outcome, bench, campaign, machine};

/// Benchmarks and fault campaigns against real clusters of the `stoa` binary beside this program.
#[derive(Debug, Parser)]
#[command(name = "stoa-e2e")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a cluster on this machine and print the figures beside their bars.
    Bench(BenchArgs),
    /// Kill servers and agents and wipe disks while tasks launch, and check that nothing is lost.
    Campaign(CampaignArgs),
}

#[derive(Debug, Args)]
struct BenchArgs {
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

#[derive(Debug, Args)]
struct CampaignArgs {
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

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Outcome<ExitCode> {
    let _turn = machine::Turn::wait()?;
    let runtime = tokio::runtime::Runtime::new()?;
    match cli.command {
        Command::Bench(args) => runtime.block_on(Box::pin(measure(&args))),
        Command::Campaign(args) => runtime.block_on(Box::pin(campaigns(&args))),
    }
}

async fn measure(args: &BenchArgs) -> Outcome<ExitCode> {
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

async fn campaigns(args: &CampaignArgs) -> Outcome<ExitCode> {
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
