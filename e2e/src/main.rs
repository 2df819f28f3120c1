//! `stoa-e2e`: benchmarks and fault campaigns that anyone can run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use e2e::{Outcome, cli, machine};

/// What the store is measured with (docs/decisions/013-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Bench(cli::bench::Args),
    /// Measure the store beside etcd on this machine, three members each.
    BenchStore(cli::bench_store::Args),
    /// Drive the public API of one replica and of three, beside what kube-apiserver was measured to do.
    BenchApi(cli::bench_api::Args),
    /// Kill servers and agents and wipe disks while tasks launch, and check that nothing is lost.
    Campaign(cli::campaign::Args),
    /// Break the bare store on purpose, and check that it keeps its promises.
    #[command(subcommand)]
    Store(cli::store::Command),
    /// One bare store replica, as campaigns against the store start it.
    #[command(hide = true)]
    Node(Box<cli::node::Args>),
}

fn main() -> ExitCode {
    machine::give_small_pages();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome<ExitCode> {
    match command {
        Command::Bench(args) => alone(cli::bench::run(&args)),
        Command::BenchStore(args) => cli::bench_store::run(&args),
        Command::BenchApi(args) => cli::bench_api::run(&args),
        Command::Campaign(args) => alone(cli::campaign::run(&args)),
        Command::Store(command) => alone(cli::store::run(&command)),
        // Campaigns run nodes while they hold the machine.
        Command::Node(args) => cli::node::run(*args),
    }
}

/// Runs one command while nobody else measures or breaks things on this machine.
fn alone(command: impl Future<Output = Outcome<ExitCode>>) -> Outcome<ExitCode> {
    let _turn = machine::Turn::wait()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(Box::pin(command))
}
