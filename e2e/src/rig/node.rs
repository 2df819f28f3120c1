//! One node of the cluster: its process, its command line, and its data directory.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use store::NodeId;

use crate::nemesis::Net;
use crate::node::Client;
use crate::process::{Process, Recipe};
use crate::rig::plan::{Plan, Site};
use crate::{Fault, Outcome, fault, machine};

/// A node, running or not.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) site: Site,
    pub(super) process: Process,
    pub(super) client: Client,
    /// The command line without what the cluster is.
    common: Vec<OsString>,
}

impl Replica {
    pub(super) fn start(plan: &Plan, site: Site, all: &[Site]) -> Outcome<Self> {
        fs::create_dir_all(&site.dir)?;
        let program = machine::own_binary()?;
        let (program, common) = command_line(plan, &site, program);
        let list = all.iter().map(|s| format!("{}={}", s.name, s.peer_addr));
        let list = list.collect::<Vec<_>>().join(",");
        let mut args = common.clone();
        args.extend(["--initial".into(), list.into()]);
        let log = plan.root.join(format!("{}.log", site.name));
        let process = Process::start(Recipe { program, args, log })?;
        let client = Client::new(&site.client_addr);
        Ok(Self {
            site,
            process,
            client,
            common,
        })
    }

    /// The command line under which an announced member starts.
    pub(super) fn joining(&self, id: NodeId, cluster: u128, peers: &[String]) -> Vec<OsString> {
        let mut args = self.common.clone();
        let flags = [
            ("--join", id.to_string()),
            ("--cluster-id", format!("{cluster:032x}")),
            ("--peers", peers.join(",")),
        ];
        args.extend(
            flags
                .into_iter()
                .flat_map(|(flag, value)| [flag.into(), value.into()]),
        );
        args
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.pid().is_some()
    }

    pub(super) fn signal(&self, signal: Signal) -> Outcome<()> {
        let pid = self.process.pid();
        let pid = pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.ok_or_else(|| Fault::new(format!("`{}` does not run", self.site.name)))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Removes what is in the directory and not the directory, which may be a mount.
    pub(super) fn wipe(&self) -> Outcome<()> {
        fault::ensure(!self.is_running(), || {
            format!("`{}` runs: its data cannot be wiped", self.site.name)
        })?;
        for entry in fs::read_dir(&self.site.dir)? {
            let path = entry?.path();
            match fs::remove_dir_all(&path) {
                Err(e) if e.kind() == ErrorKind::NotADirectory => fs::remove_file(&path)?,
                other => other?,
            }
        }
        Ok(())
    }
}

/// Program and arguments, entered into the node's own network if it has one.
fn command_line(plan: &Plan, site: &Site, program: PathBuf) -> (PathBuf, Vec<OsString>) {
    let mut flags: Vec<OsString> = vec!["node".into()];
    let pairs = [
        ("--name", OsString::from(&site.name)),
        ("--dir", site.dir.clone().into()),
        ("--peer-addr", OsString::from(&site.peer_addr)),
        ("--client-addr", OsString::from(&site.client_addr)),
        ("--pki", plan.pki().into()),
        ("--faults", OsString::from(&plan.faults)),
    ];
    flags.extend(
        pairs
            .into_iter()
            .flat_map(|(flag, value)| [flag.into(), value]),
    );
    if let Some(addr) = &site.grpc_addr {
        flags.extend(["--grpc-addr".into(), addr.into()]);
    }
    for limit in &plan.limits {
        flags.extend(["--limit".into(), limit.into()]);
    }
    if !plan.partitions {
        return (program, flags);
    }
    let mut args: Vec<OsString> = Net::enter(&site.name).into_iter().map(Into::into).collect();
    args.push(program.into());
    args.extend(flags);
    ("ip".into(), args)
}
