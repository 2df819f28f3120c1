//! etcd, the peer to be measured against: members on loopback, started as its manual says and with
//! its own defaults, fsync rules included.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::grpc::{Client, Consistency};
use crate::process::{Process, Recipe};
use crate::{Outcome, command, machine, wait};

/// Longest the members may take to elect a leader and answer.
const READY_MAX: Duration = Duration::from_secs(60);

/// The program.
pub const PROGRAM: &str = "etcd";

/// What a machine without etcd is told.
pub const NOT_INSTALLED: &str = "etcd is not installed (apt-get install etcd-server)";

/// Running members of etcd.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Process>,
    addrs: Vec<SocketAddr>,
}

impl Etcd {
    /// Starts so many members of this program with their data below `root`, and waits until each
    /// answers a linearizable read.
    ///
    /// # Errors
    /// When they do not answer in time, with the end of the log of one that has ended.
    pub async fn start(program: &Path, members: usize, root: &Path) -> Outcome<Self> {
        let plans = plans(members, root)?;
        let cluster: Vec<_> = plans
            .iter()
            .map(|plan| format!("{}={}", plan.name, plan.peer()))
            .collect();
        let mut etcd = Self {
            members: Vec::new(),
            addrs: plans.iter().map(|plan| plan.client).collect(),
        };
        for plan in &plans {
            etcd.members
                .push(Process::start(plan.recipe(program, &cluster.join(",")))?);
        }
        etcd.ready().await?;
        Ok(etcd)
    }

    async fn ready(&mut self) -> Outcome<()> {
        for addr in self.addrs.clone() {
            wait::until("a member of etcd to answer", READY_MAX, async || {
                for member in &mut self.members {
                    member.ensure_alive()?;
                }
                let mut client = Client::connect(addr).await?;
                client.get(b"ready", Consistency::Linearizable).await
            })
            .await?;
        }
        Ok(())
    }

    /// Where clients find each member.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The members' processes.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().filter_map(Process::pid).collect()
    }

    /// Stops all members.
    ///
    /// # Errors
    /// When one has ended already or does not end in time.
    pub async fn stop(mut self) -> Outcome<()> {
        for member in &mut self.members {
            member.stop().await?;
        }
        Ok(())
    }
}

/// What etcd says of its version, in its first line.
///
/// # Errors
/// When it cannot be run.
pub async fn version(program: &Path) -> Outcome<String> {
    let folder = std::env::temp_dir();
    let said = command::run(program, &["--version"], &[], &folder, "").await?;
    let said = said.ok()?;
    let line = said.lines().next().unwrap_or_default();
    Ok(line.replace("etcd Version: ", "etcd "))
}

/// Where one member lives.
struct Plan {
    name: String,
    folder: PathBuf,
    client: SocketAddr,
    peer: SocketAddr,
}

fn plans(members: usize, root: &Path) -> Outcome<Vec<Plan>> {
    let plan = |number: usize| {
        let name = format!("e{number}");
        Ok(Plan {
            folder: root.join(&name),
            name,
            client: SocketAddr::from(([127, 0, 0, 1], machine::free_port()?)),
            peer: SocketAddr::from(([127, 0, 0, 1], machine::free_port()?)),
        })
    };
    (1..=members).map(plan).collect()
}

impl Plan {
    fn peer(&self) -> String {
        format!("http://{}", self.peer)
    }

    fn recipe(&self, program: &Path, cluster: &str) -> Recipe {
        let client = format!("http://{}", self.client);
        let peer = self.peer();
        let flags = [
            ("--name", self.name.as_str()),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", cluster),
            ("--logger", "zap"),
            ("--log-level", "error"),
        ];
        let mut args: Vec<OsString> = flags
            .into_iter()
            .flat_map(|(flag, value)| [flag.into(), value.into()])
            .collect();
        args.push("--data-dir".into());
        args.push(self.folder.clone().into_os_string());
        Recipe {
            program: program.to_owned(),
            args,
            log: self.folder.with_extension("log"),
        }
    }
}
