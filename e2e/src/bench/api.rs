//! The public API, one replica and three, driven over HTTPS by one lean HTTP/2 client, beside what
//! kube-apiserver did on such a machine and, where it can be had, does in the same run, and beside
//! the limits of the machine.
//!
//! Client and servers share the machine. Each client waits for its answer before it asks again;
//! requests are encoded in a few formatted pieces, answers are thrown away once their status is seen.

mod agents;
mod fan;
mod kube;
mod limits;
mod line;
mod load;
mod objects;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;

use apiserver::pki::Subject;
use http::{Method, StatusCode};

use crate::{Cluster, Fault, Outcome, Plan, machine};

pub use kube::Programs;
pub use line::{Row, rows};

use kube::Kube;
use wire::{Ask, Dialer, JSON};

/// What was measured, by the name of its line.
pub type Figures = BTreeMap<&'static str, f64>;

/// Told what has just been measured, since a whole benchmark takes minutes.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// The numbers of replicas that are compared: one is a column of its own, and so are three.
pub const SIZES: [usize; 2] = [1, 3];

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Bare writes and bare TLS, without any of our servers.
    Limits,
    /// Creates, gets, updates, the list of all, and memory before and after.
    Objects,
    /// One change to many watchers.
    Fan,
    /// Agents that watch their own tasks while statuses change.
    Agents,
}

/// Which of several replicas the client talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Doors {
    /// The one that leads.
    Leader,
    /// One that does not, if there is one.
    Follower,
    /// All in turn, connection by connection.
    All,
}

/// Sizes of the benchmark.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts to run.
    pub parts: Vec<Part>,
    /// Which replicas are asked.
    pub doors: Doors,
    /// Where the data goes; it is the disk whose bare writes are measured.
    pub root: PathBuf,
    /// Objects that are created: an eleventh by one client, the rest by 64 and by 256.
    pub objects: usize,
    /// Gets of each kind, and updates.
    pub requests: usize,
    /// Lists of all objects; the median counts.
    pub lists: usize,
    /// Watchers and events of each fan-out.
    pub fans: [(usize, usize); 2],
    /// Agents, each with a watch of its own tasks.
    pub agents: usize,
    /// Connections those watches share, one run each; as many as agents is what agents do.
    pub agent_connections: Vec<usize>,
    /// Status updates a second.
    pub updates_per_s: usize,
    /// Seconds of status updates.
    pub agents_s: usize,
    /// Bare writes, and MiB of bare TLS.
    pub limit_rounds: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parts: vec![Part::Limits, Part::Objects, Part::Fan],
            doors: Doors::Leader,
            root: std::env::temp_dir(),
            objects: 22_000,
            requests: 30_000,
            lists: 7,
            fans: [(100, 1_000), (1_000, 300)],
            agents: 10_000,
            agent_connections: vec![10_000, 32],
            updates_per_s: 2_000,
            agents_s: 10,
            limit_rounds: 2_000,
        }
    }
}

impl Options {
    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

/// The limits of this machine, without any server of ours.
///
/// # Errors
/// When the disk or the network of this machine cannot be used.
pub async fn limits(options: &Options) -> Outcome<Figures> {
    if options.has(Part::Limits) {
        limits::measure(options).await
    } else {
        Ok(Figures::new())
    }
}

/// Every other part, on clusters of this many replicas.
///
/// # Errors
/// When a cluster does not do what is to be measured.
pub async fn measure(
    options: &Options,
    replicas: usize,
    progress: Progress<'_>,
) -> Outcome<Figures> {
    let mut figures = Figures::new();
    if options.has(Part::Objects) || options.has(Part::Fan) {
        let (cluster, bench) = Bench::of_cluster(options, replicas).await?;
        if options.has(Part::Objects) {
            figures.extend(objects::measure(&bench, options, progress).await?);
        }
        if options.has(Part::Fan) {
            fan::measure(&bench, options, &mut figures, progress).await?;
        }
        cluster.finish();
    }
    if options.has(Part::Agents) {
        for &connections in &options.agent_connections {
            // A cluster of its own each time: memory that was used before would hide what is used now.
            let (cluster, bench) = Bench::of_cluster(options, replicas).await?;
            let doors = all_doors(&cluster);
            let measured = agents::measure(&bench, &doors, options, connections, progress).await?;
            cluster.finish();
            figures.extend(measured);
        }
    }
    Ok(figures)
}

/// The parts that kube-apiserver can do, by it and so many members of etcd.
///
/// # Errors
/// When it does not do what is to be measured.
pub async fn measure_kube(
    programs: &Programs,
    options: &Options,
    members: usize,
    progress: Progress<'_>,
) -> Outcome<Figures> {
    if !options.has(Part::Objects) && !options.has(Part::Fan) {
        return Ok(Figures::new());
    }
    machine::open_many_files();
    let (mut kube, admin) = Kube::start(programs, members, &options.root).await?;
    let bench = Bench {
        dialer: admin.clone(),
        admin,
        doors: vec![kube.address().to_owned()],
        pids: kube.pids(),
        weighed: Weighed::Together,
    };
    let mut figures = Figures::new();
    if options.has(Part::Objects) {
        figures.extend(objects::measure(&bench, options, progress).await?);
    }
    if options.has(Part::Fan) {
        let fanned = fan::measure(&bench, options, &mut figures, progress).await;
        kube.ensure_alive()?;
        if let Err(fault) = fanned {
            // It cuts watchers that are slow, as this machine can be with both at work.
            progress(&format!("  no further fan-out of kube-apiserver: {fault}"));
        }
    }
    kube.stop().await?;
    Ok(figures)
}

/// The middle value of each figure over several runs.
#[must_use]
pub fn medians(runs: &[Figures]) -> Figures {
    let mut gathered: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.iter().flatten() {
        gathered.entry(name).or_default().push(*value);
    }
    let median = |(name, values)| (name, super::store::median(values));
    gathered.into_iter().map(median).collect()
}

/// The way to an API.
struct Bench {
    dialer: Dialer,
    admin: Dialer,
    /// The servers that are asked, `host:port`.
    doors: Vec<String>,
    pids: Vec<u32>,
    weighed: Weighed,
}

/// Whose memory counts.
#[derive(Clone, Copy)]
enum Weighed {
    /// The largest process, where each is the whole of a replica.
    Largest,
    /// All processes, where only together they are of use.
    Together,
}

impl Bench {
    async fn of_cluster(options: &Options, replicas: usize) -> Outcome<(Cluster, Self)> {
        machine::open_many_files();
        let cluster = Cluster::start(Plan::new(replicas, 0)).await?;
        if replicas > 1 {
            cluster.whole().await?;
        }
        let names = cluster.server_names();
        let asked = match options.doors {
            Doors::All => names.clone(),
            Doors::Leader => vec![cluster.leader().await?],
            Doors::Follower => {
                let leader = cluster.leader().await?;
                let other = names.iter().find(|name| **name != leader);
                vec![other.cloned().unwrap_or(leader)]
            }
        };
        let pids = names.iter().map(|name| cluster.pid(name));
        let bench = Self {
            // A server's certificate: it alone may bind a task to an agent by hand.
            dialer: Dialer::new(&cluster.pki_dir(), &Subject::Server("bench".to_owned()))?,
            admin: Dialer::new(&cluster.pki_dir(), &Subject::Admin)?,
            doors: asked.iter().map(|name| cluster.api_address(name)).collect(),
            pids: pids.collect::<Outcome<_>>()?,
            weighed: Weighed::Largest,
        };
        Ok((cluster, bench))
    }

    async fn create_namespace(&self, name: &str) -> Outcome<()> {
        let door = self
            .doors
            .first()
            .ok_or_else(|| Fault::new("no server is asked"))?;
        let body = format!("{{\"metadata\":{{\"name\":\"{name}\"}}}}");
        let path = "/api/v1/namespaces".to_owned();
        let create = Ask::new(Method::POST, path, JSON, body.into());
        let lane = self.admin.dial(door).await?;
        lane.call(create, StatusCode::CREATED).await?;
        Ok(())
    }

    /// What a server keeps resident, in MB.
    fn resident_mb(&self) -> Outcome<f64> {
        let each = self.pids.iter().map(|pid| resident_kib(*pid));
        let each: Vec<_> = each.collect::<Outcome<_>>()?;
        let kib: usize = match self.weighed {
            Weighed::Largest => each.into_iter().max().unwrap_or(0),
            Weighed::Together => each.into_iter().sum(),
        };
        Ok(super::figure::number(kib) * 1_024.0 / 1_000_000.0)
    }
}

/// Every replica, as agents are spread over them.
fn all_doors(cluster: &Cluster) -> Vec<String> {
    let names = cluster.server_names();
    names.iter().map(|name| cluster.api_address(name)).collect()
}

fn resident_kib(pid: u32) -> Outcome<usize> {
    Ok(usize::try_from(crate::process::memory_kib(pid, "VmRSS")?)?)
}
