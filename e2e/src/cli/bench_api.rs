//! `stoa-e2e bench-api`: the public API, one replica and three, beside kube-apiserver.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::bench::api::{self, Doors, Figures, Options, Part, Programs, Row, SIZES};
use crate::{Fault, Outcome, machine, peer};

/// Flags of the benchmark.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Parts to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Limits, Part::Objects, Part::Fan])]
    parts: Vec<Part>,
    /// Replicas: one, three, or both.
    #[arg(long, value_delimiter = ',', default_values_t = SIZES)]
    replicas: Vec<usize>,
    /// Which of three replicas the client talks to.
    #[arg(long, value_enum, default_value_t = Doors::Leader)]
    doors: Doors,
    /// A folder on the disk whose bare writes are measured.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Objects that are created, and listed.
    #[arg(long, default_value_t = 22_000)]
    objects: usize,
    /// Gets of each kind, and updates.
    #[arg(long, default_value_t = 30_000)]
    requests: usize,
    /// Agents, each with a watch of its own tasks.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Connections that the watches of agents share; one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 32])]
    agent_connections: Vec<usize>,
    /// Seconds of status updates, 2000 a second.
    #[arg(long, default_value_t = 10)]
    agents_s: usize,
    /// Runs on clusters of their own; the medians are printed.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// This kube-apiserver is measured too, in turn with us.
    #[arg(long, value_name = "PROGRAM")]
    kube_apiserver: Option<PathBuf>,
    /// The etcd that kube-apiserver keeps its objects in.
    #[arg(long, value_name = "PROGRAM", default_value = peer::PROGRAM)]
    etcd: PathBuf,
    /// End with exit code 1 when a bar is missed.
    #[arg(long)]
    check: bool,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            parts: self.parts.clone(),
            doors: self.doors,
            root: self.dir.clone(),
            objects: self.objects,
            requests: self.requests,
            agents: self.agents,
            agent_connections: self.agent_connections.clone(),
            agents_s: self.agents_s,
            ..Options::default()
        }
    }

    fn programs(&self) -> Outcome<Option<Programs>> {
        let Some(apiserver) = &self.kube_apiserver else {
            return Ok(None);
        };
        Ok(Some(Programs {
            apiserver: located(apiserver)?,
            etcd: located(&self.etcd)?,
        }))
    }
}

/// A name without a folder is looked for in PATH; any other path holds wherever a program is started.
fn located(program: &Path) -> Outcome<PathBuf> {
    if program.components().count() > 1 {
        return Ok(std::path::absolute(program)?);
    }
    Ok(program.to_owned())
}

/// Measures, and prints the table.
///
/// # Errors
/// When a cluster does not do what is to be measured.
pub fn run(args: &Args) -> Outcome<ExitCode> {
    if let Some(other) = args.replicas.iter().find(|size| !SIZES.contains(size)) {
        return Err(Fault::new(format!(
            "--replicas {other}: kube-apiserver was measured with one member and with three"
        )));
    }
    let _turn = machine::Turn::wait()?;
    // One thread: a client that moves between the cores costs the servers more than it gains.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rows = runtime.block_on(Box::pin(measure(args)))?;
    print(&Row::heading());
    for row in &rows {
        print(row);
    }
    let missed = rows.iter().any(|row| !row.is_good());
    Ok(if args.check && missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn measure(args: &Args) -> Outcome<Vec<Row>> {
    let options = args.options();
    let programs = args.programs()?;
    introduce(args, programs.as_ref()).await?;
    let mut ours: [Vec<Figures>; 2] = Default::default();
    let mut beside: [Vec<Figures>; 2] = Default::default();
    for round in 1..=args.rounds.max(1) {
        for (at, size) in SIZES.into_iter().enumerate() {
            if !args.replicas.contains(&size) {
                continue;
            }
            tell(&format!("round {round}, replicas: {size}"));
            let mut figures = api::limits(&options).await?;
            figures.extend(api::measure(&options, size, &mut tell).await?);
            ours[at].push(figures);
            if let Some(programs) = &programs {
                tell(&format!(
                    "round {round}, kube-apiserver, members of etcd: {size}"
                ));
                let peer = api::measure_kube(programs, &options, size, &mut tell).await?;
                beside[at].push(peer);
            }
        }
    }
    let [ours, beside] = [ours, beside].map(|runs| runs.map(|runs| api::medians(&runs)));
    Ok(api::rows(&ours, &beside))
}

/// What a reader must know before any figure means something.
async fn introduce(args: &Args, programs: Option<&Programs>) -> Outcome<()> {
    let cores = std::thread::available_parallelism()?;
    print(&machine::stoa_binary()?.display());
    print(&format!(
        "{cores} cores for all servers and the client; three replicas are asked through: {:?}",
        args.doors
    ));
    print(
        &"kube+1, kube+3: kube-apiserver 1.36 with one and three members of etcd 3.6 on another \
            day's machine of two cores, to which the bars were set",
    );
    match programs {
        Some(programs) => print(&format!(
            "beside+1, beside+3: {} in this run, in turn with us",
            programs.versions().await?
        )),
        None => print(&"kube-apiserver is not measured in this run: --kube-apiserver names it"),
    }
    print(
        &"memory: of stoa the largest replica, which is all there is of it; of kube-apiserver the sum of it \
            and its members of etcd",
    );
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what this command is for"
)]
fn print(line: &dyn std::fmt::Display) {
    println!("{line}");
}

/// To the side, so that the table stays together.
fn tell(line: &str) {
    eprintln!("{line}");
}
