//! A cluster of real processes on loopback: start, kill, stop, wipe, restart, by name.

mod node;
mod plan;
mod ready;
mod tools;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;

use crate::process::{self, Process};
use crate::{Fault, Outcome, connect, forge, machine};

pub use plan::Plan;

use node::{AgentNode, ServerNode};

/// Longest a cluster may take to be ready: debug binaries on a machine that compiles meanwhile.
pub const READY_MAX: Duration = Duration::from_secs(60);

/// A cluster. Dropped before [`Cluster::finish`] it keeps its files and prints the ends of its logs.
#[derive(Debug)]
pub struct Cluster {
    root: PathBuf,
    binary: PathBuf,
    plan: Plan,
    servers: BTreeMap<String, ServerNode>,
    agents: BTreeMap<String, AgentNode>,
    processes: BTreeMap<String, Process>,
    passed: bool,
}

impl Cluster {
    /// Starts servers `s1`.. and agents `a1`.., and waits until all are ready.
    ///
    /// # Errors
    /// When one of them does not come up in time, with the reason.
    pub async fn start(plan: Plan) -> Outcome<Self> {
        let root = tempfile::Builder::new()
            .prefix("stoa-e2e-")
            .tempdir()?
            .keep();
        std::fs::create_dir_all(root.join("logs"))?;
        forge::shared_authority(&root.join("pki"))?;
        let mut cluster = Self {
            root,
            binary: machine::stoa_binary()?,
            servers: node::servers(plan.replicas)?,
            plan,
            agents: BTreeMap::new(),
            processes: BTreeMap::new(),
            passed: false,
        };
        for name in cluster.server_names() {
            let args = cluster.servers[&name].founding_args(&cluster.root, &cluster.servers);
            cluster.launch(&name, args)?;
        }
        cluster.servers_ready().await?;
        for number in 1..=cluster.plan.agents {
            cluster.add_agent(&format!("a{number}"), &[])?;
        }
        cluster.agents_ready().await?;
        Ok(cluster)
    }

    fn launch(&mut self, name: &str, mut args: Vec<std::ffi::OsString>) -> Outcome<()> {
        let extra = if self.servers.contains_key(name) {
            &self.plan.server_flags
        } else {
            &self.plan.agent_flags
        };
        args.extend(extra.iter().map(Into::into));
        let log = self.root.join("logs").join(format!("{name}.log"));
        let recipe = process::Recipe {
            program: self.binary.clone(),
            args,
            log,
        };
        self.processes
            .insert(name.to_owned(), Process::start(recipe)?);
        Ok(())
    }

    /// Starts one more agent, with flags of its own; [`Cluster::agents_ready`] waits for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn add_agent(&mut self, name: &str, flags: &[&str]) -> Outcome<()> {
        let agent = AgentNode::new(name)?;
        let urls: Vec<_> = self.servers.values().map(ServerNode::url).collect();
        let mut args = agent.args(&self.root, &urls, &self.token("agent")?);
        args.extend(flags.iter().map(Into::into));
        self.agents.insert(name.to_owned(), agent);
        self.launch(name, args)
    }

    /// A join token of this role, as the first server that has one wrote it.
    fn token(&self, role: &str) -> Outcome<String> {
        let files = self
            .servers
            .keys()
            .map(|name| self.data_dir(name).join("tokens").join(role));
        let text = files
            .into_iter()
            .find_map(|file| std::fs::read_to_string(file).ok());
        text.map(|t| t.trim().to_owned())
            .ok_or_else(|| Fault::new(format!("no server wrote tokens/{role}")))
    }

    /// Names of the servers, in order.
    #[must_use]
    pub fn server_names(&self) -> Vec<String> {
        self.servers.keys().cloned().collect()
    }

    /// Names of all servers and agents.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.processes.keys().map(String::as_str)
    }

    /// Directory under which everything of this cluster lives.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Data directory of a server or agent.
    #[must_use]
    pub fn data_dir(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Directory of the CA that all servers share.
    #[must_use]
    pub fn pki_dir(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// `host:port` of a server's API.
    #[must_use]
    pub fn api_address(&self, server: &str) -> String {
        self.servers[server].api_address()
    }

    /// Administrator's kubeconfig that points at one server.
    #[must_use]
    pub fn kubeconfig(&self, server: &str) -> PathBuf {
        self.data_dir(server).join("kubeconfig")
    }

    /// A client of one server, as the administrator.
    ///
    /// # Errors
    /// When the kubeconfig is not there or not usable.
    pub async fn client(&self, server: &str) -> Outcome<Client> {
        connect::from_kubeconfig(&self.kubeconfig(server)).await
    }

    /// One client for each server.
    ///
    /// # Errors
    /// When a kubeconfig is not there or not usable.
    pub async fn clients(&self) -> Outcome<Vec<Client>> {
        let mut clients = Vec::new();
        for name in self.servers.keys() {
            clients.push(self.client(name).await?);
        }
        Ok(clients)
    }

    /// Process id of a server or agent that runs.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self, name: &str) -> Outcome<u32> {
        let pid = self.processes.get(name).and_then(Process::pid);
        pid.ok_or_else(|| Fault::new(format!("{name} does not run")))
    }

    fn process(&mut self, name: &str) -> Outcome<&mut Process> {
        self.processes
            .get_mut(name)
            .ok_or_else(|| Fault::new(format!("there is no {name}")))
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, name: &str) -> Outcome<()> {
        self.process(name)?.kill().await
    }

    /// SIGTERM, and waits for the end; the exit code.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub async fn stop(&mut self, name: &str) -> Outcome<Option<i32>> {
        self.process(name)?.stop().await
    }

    /// Starts a killed or stopped process again, with the same arguments and what is on its disk.
    ///
    /// # Errors
    /// When it still runs.
    pub fn restart(&mut self, name: &str) -> Outcome<()> {
        self.process(name)?.restart(None)
    }

    /// Deletes the data directory of a server that does not run, and lets it join the others anew.
    ///
    /// # Errors
    /// When it runs, or the others have left no token.
    pub fn rejoin_wiped(&mut self, server: &str) -> Outcome<()> {
        std::fs::remove_dir_all(self.data_dir(server))?;
        let node = &self.servers[server];
        let other = self.servers.values().find(|other| other.name != server);
        let other = other.ok_or_else(|| Fault::new("nobody to join"))?;
        let mut args = node.joining_args(&self.root, &other.url(), &self.token("server")?);
        args.extend(self.plan.server_flags.iter().map(Into::into));
        self.process(server)?.restart(Some(args))
    }

    /// The first server that runs.
    #[must_use]
    pub fn living_server(&self) -> Option<String> {
        let runs = |name: &&String| self.processes.get(*name).and_then(Process::pid).is_some();
        self.servers.keys().find(runs).cloned()
    }

    /// Ends the cluster after a proof that held, and removes its files.
    pub fn finish(mut self) {
        self.passed = true;
    }

    fn tell(&self) {
        eprintln!(
            "the proof did not hold; files of the cluster: {}",
            self.root.display()
        );
        for (name, process) in &self.processes {
            eprintln!(
                "--- {name}: {}\n{}",
                process.log().display(),
                process::tail(process.log(), 25)
            );
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            process.abandon();
        }
        process::sweep(&self.root);
        if self.passed {
            // A supervisor in its last breath may still write; what is left is in the temp folder.
            drop(std::fs::remove_dir_all(&self.root));
        } else {
            self.tell();
        }
    }
}
