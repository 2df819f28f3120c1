//! `stoa-e2e bench-store`: the store beside etcd.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::bench::store::{self, Options, Row, Wire, cost, facts, memory};
use crate::{Fault, Outcome, command, machine, peer};

/// Flags of the benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder on the disk to be measured; of memory disks nothing can be learned.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Alternations between the systems; the medians are printed.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Seconds that clients run before anything counts.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    window: f64,
    /// Keys of the part about memory.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Writes of each floor.
    #[arg(long, default_value_t = 1_000)]
    floor_rounds: usize,
    /// How clients reach our store; one table each.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Wire::Grpc, Wire::Frames])]
    wires: Vec<Wire>,
    /// Parts to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Clients, Part::Cost, Part::Memory])]
    parts: Vec<Part>,
    /// End with exit code 1 when a bar is missed.
    #[arg(long)]
    check: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Puts and linearizable reads at several counts of clients.
    Clients,
    /// One write beside the floor of the disk.
    Cost,
    /// Memory with many keys.
    Memory,
}

impl Args {
    fn options(&self, wire: Wire) -> Outcome<Options> {
        let seconds = |seconds| Ok::<_, Fault>(Duration::try_from_secs_f64(seconds)?);
        Ok(Options {
            wire,
            root: self.dir.clone(),
            rounds: self.rounds.max(1),
            warm_up: seconds(self.warm_up)?,
            window: seconds(self.window)?,
            keys: self.keys,
            floor_rounds: self.floor_rounds,
        })
    }
}

/// Measures, and prints the figures.
///
/// # Errors
/// When etcd is not installed, or a system does not do what is to be measured.
pub fn run(args: &Args) -> Outcome<ExitCode> {
    if !command::is_installed(peer::PROGRAM) {
        return Err(Fault::new(peer::NOT_INSTALLED));
    }
    let _turn = machine::Turn::wait()?;
    // One thread: a client that moves between the cores would cost both systems more than it does so.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let good = runtime.block_on(Box::pin(measure(args)))?;
    Ok(if args.check && !good {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// True when no bar is missed.
async fn measure(args: &Args) -> Outcome<bool> {
    let first = args.wires.first().copied().unwrap_or(Wire::Grpc);
    let options = args.options(first)?;
    print(&facts::lines(&options).await?);
    let mut good = true;
    for wire in &args.wires {
        good &= over(args, *wire).await?;
    }
    if args.parts.contains(&Part::Memory) {
        good &= table(&memory::measure(&options, &mut tell).await?);
    }
    Ok(good)
}

/// What depends on how our store is reached.
async fn over(args: &Args, wire: Wire) -> Outcome<bool> {
    let options = args.options(wire)?;
    let mut good = true;
    if args.parts.contains(&Part::Clients) {
        let rows = store::compare(&options, &mut tell).await?;
        print(&[String::new(), format!("== {wire}")]);
        good &= table(&rows);
    }
    if args.parts.contains(&Part::Cost) {
        let rows = cost::measure(&options).await?;
        good &= rows.iter().all(cost::Row::is_good);
        print(&[String::new(), format!("== {wire}"), cost::Row::heading()]);
        print(&rows);
    }
    Ok(good)
}

fn table(rows: &[Row]) -> bool {
    print(&[String::new(), Row::heading()]);
    print(rows);
    rows.iter().all(Row::is_good)
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what this command is for"
)]
fn print<T: std::fmt::Display>(lines: &[T]) {
    for line in lines {
        println!("{line}");
    }
}

/// To the side, so that the tables stay together.
fn tell(line: &str) {
    eprintln!("{line}");
}
