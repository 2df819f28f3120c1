//! Our store beside etcd: three members each, the same disk, the same wire, the same client.
//!
//! Only one system runs at a time. In each round etcd is started, measured at every count of clients
//! and stopped, then our store; the medians over the rounds stand side by side. Each client waits for
//! its answer before it asks again, so a system is never offered more than it can take.

pub mod cost;
pub mod facts;
pub(crate) mod floor;
mod load;
pub mod memory;
mod row;
mod system;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;
use crate::bench::figure::{Bar, number};
use crate::grpc::Consistency;

pub(in crate::bench) use row::median;
pub use row::{Row, Sides};
pub use system::System;
pub use wire::Wire;

use load::{Lanes, Load, Shape, Work};
use system::Running;

/// Clients of the puts, as etcd's own benchmark has them, with two between.
const WRITERS: [usize; 4] = [1, 64, 256, 1_000];

/// Clients of the reads.
const READERS: [usize; 3] = [1, 64, 1_000];

/// Sizes of a benchmark.
#[derive(Clone, Debug)]
pub struct Options {
    /// How our store is reached.
    pub wire: Wire,
    /// Where the data of both systems goes; it is their disk that is measured.
    pub root: PathBuf,
    /// Alternations between the systems.
    pub rounds: usize,
    /// How long clients run before anything counts.
    pub warm_up: Duration,
    /// How long is measured.
    pub window: Duration,
    /// Keys of the part about memory.
    pub keys: usize,
    /// Writes of each floor.
    pub floor_rounds: usize,
}

/// Told what has just been measured, since a whole benchmark takes minutes.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// Puts and linearizable reads at every count of clients.
///
/// # Errors
/// When a system cannot be started or reached.
pub async fn compare(options: &Options, progress: Progress<'_>) -> Outcome<Vec<Row>> {
    let shapes = shapes(options);
    let mut sides = Sides::<Vec<Vec<Load>>>::default();
    for round in 1..=options.rounds {
        for system in System::BOTH {
            progress(&format!("round {round}, {system}"));
            let loads = slot(options, system, &shapes, progress).await?;
            sides.of(system).push(loads);
        }
    }
    let at = |index: usize| sides.map(|rounds| rounds.iter().map(|loads| &loads[index]).collect());
    Ok(shapes
        .iter()
        .enumerate()
        .flat_map(|(index, shape)| rows(shape, &at(index)))
        .collect())
}

fn shapes(options: &Options) -> Vec<Shape> {
    let shape = |work, clients| Shape {
        work,
        clients,
        warm_up: options.warm_up,
        window: options.window,
    };
    let puts = WRITERS.map(|clients| shape(Work::Put, clients));
    let gets = READERS.map(|clients| shape(Work::Get(Consistency::Linearizable), clients));
    puts.into_iter().chain(gets).collect()
}

/// One system from its start to its end.
async fn slot(
    options: &Options,
    system: System,
    shapes: &[Shape],
    progress: Progress<'_>,
) -> Outcome<Vec<Load>> {
    let folder = options.folder(system)?;
    let running = Running::start(system, folder.path()).await?;
    let mut loads = Vec::new();
    for shape in shapes {
        let mut lanes = Lanes::connect(&running.doors(options.wire)?, shape.clients).await?;
        let load = lanes.drive(shape, &running.pids()).await?;
        progress(&format!("  {shape}: {load}"));
        loads.push(load);
    }
    running.stop().await?;
    Ok(loads)
}

impl Options {
    /// A fresh folder on the disk that is measured, gone when dropped.
    fn folder(&self, system: System) -> Outcome<tempfile::TempDir> {
        let prefix = format!("stoa-bench-{system}-");
        let mut builder = tempfile::Builder::new();
        Ok(builder.prefix(&prefix).tempdir_in(&self.root)?)
    }
}

/// What was aimed at, as ratios of ours to etcd's.
fn bars(shape: &Shape) -> (Bar, Bar) {
    match (shape.work, shape.clients) {
        (Work::Put, 1) => (Bar::AtLeast(2.0), Bar::None),
        (Work::Put, 1_000) => (Bar::AtLeast(3.0), Bar::AtMost(0.5)),
        (Work::Put, _) => (Bar::None, Bar::None),
        (Work::Get(_), _) => (Bar::AtLeast(3.0), Bar::None),
    }
}

fn rows(shape: &Shape, rounds: &Sides<Vec<&Load>>) -> Vec<Row> {
    let (rate, p99) = bars(shape);
    let row = |what: &str, unit, bar, of: &dyn Fn(&Load) -> f64| {
        let values = rounds.map(|loads| row::median(loads.iter().map(|load| of(load)).collect()));
        Row::new(format!("{shape}: {what}"), unit, values, bar)
    };
    let mut rows = vec![
        row("throughput", "/s", rate, &Load::rate),
        row("p50", "ms", Bar::None, &|load| load.milliseconds(50)),
        row("p99", "ms", p99, &|load| load.milliseconds(99)),
        row("processor time of the servers", "µs/op", Bar::None, &|l| {
            l.server_us()
        }),
        row("processor time of the client", "µs/op", Bar::None, &|l| {
            l.client_us()
        }),
        row(
            "largest member, resident",
            "MB",
            Bar::None,
            &Load::resident_mb,
        ),
    ];
    let failed = rounds.map(|loads| number(loads.iter().map(|load| load.errors).sum()));
    if failed.etcd + failed.stoa > 0.0 {
        rows.push(Row::failed(format!("{shape}: ERRORS"), failed));
    }
    rows
}
