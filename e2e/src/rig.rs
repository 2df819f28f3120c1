//! Several store nodes as one cluster of real processes: started, killed, paused, wiped and rejoined
//! by name, and asked who leads and whether they agree.

mod node;
pub mod plan;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use rustix::process::Signal;
use store::{NewMember, NodeId, Role, Status};

use crate::nemesis::Net;
use crate::node::wire::{Mode, Report, Request};
use crate::node::{Client, pki};
use crate::rig::node::Replica;
use crate::{Fault, Outcome, fault, wait};

pub use plan::Plan;

/// Longest until a started node answers, its restart from a large state included.
const READY_MAX: Duration = Duration::from_secs(60);
/// Longest until nodes that run and reach each other agree.
const AGREE_MAX: Duration = Duration::from_secs(60);

/// A cluster of store nodes; dropping it kills them.
#[derive(Debug)]
pub struct Stores {
    nodes: BTreeMap<String, Replica>,
    net: Option<Net>,
}

impl Stores {
    /// Starts all nodes of the plan and waits until each serves.
    ///
    /// # Errors
    /// When one does not come up, with the end of its log.
    pub async fn start(plan: Plan) -> Outcome<Self> {
        pki::create(&plan.pki())?;
        let net = if plan.partitions {
            Some(Net::create(&plan.names)?)
        } else {
            None
        };
        let sites = plan.sites(net.as_ref())?;
        let mut nodes = BTreeMap::new();
        for site in &sites {
            let replica = Replica::start(&plan, site.clone(), &sites)?;
            nodes.insert(site.name.clone(), replica);
        }
        let mut stores = Self { nodes, net };
        stores.ready().await?;
        Ok(stores)
    }

    /// Names of all nodes, whether they run or not.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Names of the nodes whose process runs, paused ones among them.
    #[must_use]
    pub fn live(&self) -> Vec<String> {
        let live = self.nodes.iter().filter(|(_, node)| node.is_running());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// The client of a node. It outlives restarts of the node.
    ///
    /// # Errors
    /// When there is no node of this name.
    pub fn client(&self, name: &str) -> Outcome<Client> {
        Ok(self.node(name)?.client.clone())
    }

    /// The clients of all nodes, in the order of their names.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.nodes
            .values()
            .map(|node| node.client.clone())
            .collect()
    }

    /// Where each node takes etcd's gRPC, in the order of their names.
    ///
    /// # Errors
    /// When the plan did not ask for it.
    pub fn grpc_addrs(&self) -> Outcome<Vec<SocketAddr>> {
        let addr = |node: &Replica| {
            let addr = node.site.grpc_addr.as_deref();
            let addr = addr.ok_or_else(|| Fault::new("these nodes take no gRPC"))?;
            Ok(addr.parse()?)
        };
        self.nodes.values().map(addr).collect()
    }

    /// Process ids of the nodes that run.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let nodes = self.nodes.values();
        nodes.filter_map(|node| node.process.pid()).collect()
    }

    /// The data directory of a node.
    ///
    /// # Errors
    /// When there is no node of this name.
    pub fn dir(&self, name: &str) -> Outcome<PathBuf> {
        Ok(self.node(name)?.site.dir.clone())
    }

    /// Where a node's output goes.
    ///
    /// # Errors
    /// When there is no node of this name.
    pub fn log(&self, name: &str) -> Outcome<&Path> {
        Ok(self.node(name)?.process.log())
    }

    /// The network between the nodes, when the plan asked for one that can be cut.
    ///
    /// # Errors
    /// When it did not.
    pub fn net(&self) -> Outcome<&Net> {
        let net = self.net.as_ref();
        net.ok_or_else(|| Fault::new("these nodes have no network of their own"))
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self, name: &str) -> Outcome<()> {
        self.node_mut(name)?.process.kill().await
    }

    /// SIGKILL to all that run, at the same moment.
    ///
    /// # Errors
    /// When one cannot be killed.
    pub async fn kill_all(&mut self) -> Outcome<()> {
        for name in self.live() {
            self.node(&name)?.signal(Signal::KILL)?;
        }
        for name in self.live() {
            self.kill(&name).await?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the orderly end.
    ///
    /// # Errors
    /// When it does not run, does not end, or ends with an error.
    pub async fn stop(&mut self, name: &str) -> Outcome<()> {
        let code = self.node_mut(name)?.process.stop().await?;
        fault::ensure(code == Some(0), || {
            format!("`{name}` ended with {code:?} after SIGTERM")
        })
    }

    /// Starts it again on its data directory; does not wait until it serves.
    ///
    /// # Errors
    /// When it runs still or cannot be started.
    pub fn restart(&mut self, name: &str) -> Outcome<()> {
        self.node_mut(name)?.process.restart(None)
    }

    /// SIGSTOP: it holds its connections and says nothing.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, name: &str) -> Outcome<()> {
        self.node(name)?.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, name: &str) -> Outcome<()> {
        self.node(name)?.signal(Signal::CONT)
    }

    /// Empties the data directory of a node that does not run.
    ///
    /// # Errors
    /// When it runs, or the directory cannot be emptied.
    pub fn wipe(&self, name: &str) -> Outcome<()> {
        self.node(name)?.wipe()
    }

    /// Takes a wiped node in again under a new id and starts it; does not wait until it serves.
    ///
    /// # Errors
    /// When no other node announces it, or it cannot be started.
    pub async fn rejoin(&mut self, name: &str) -> Outcome<NodeId> {
        let (id, report) = self.announce(name).await?;
        let peers: Vec<_> = self.peers_of(name);
        let node = self.node_mut(name)?;
        let args = node.joining(id, report.cluster_id, &peers);
        node.process.restart(Some(args))?;
        Ok(id)
    }

    async fn announce(&self, name: &str) -> Outcome<(NodeId, Report)> {
        let site = &self.node(name)?.site;
        let member = NewMember {
            name: name.to_owned(),
            peer_addr: site.peer_addr.clone(),
            api_addr: site.client_addr.clone(),
        };
        let through = self.client(&self.leader().await?)?;
        let id = through.add_member(member).await?;
        Ok((id, through.status().await?))
    }

    fn peers_of(&self, name: &str) -> Vec<String> {
        let others = self.nodes.iter().filter(|(other, _)| *other != name);
        others
            .map(|(_, node)| node.site.peer_addr.clone())
            .collect()
    }

    /// Arms failpoints of a running node.
    ///
    /// # Errors
    /// When it does not understand, or does not answer.
    pub async fn arm(&self, name: &str, faults: &str) -> Outcome<()> {
        let order = Request::Arm(faults.to_owned());
        Ok(self.client(name)?.order(order).await?)
    }

    /// What each running node says of itself; those that do not answer are missing.
    pub async fn statuses(&self) -> BTreeMap<String, Report> {
        let running = self.nodes.iter().filter(|(_, node)| node.is_running());
        let asked = running.map(async |(name, node)| {
            let report = node.client.status().await.ok()?;
            Some((name.clone(), report))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The node that leads; of two that believe so, the one of the later epoch.
    ///
    /// # Errors
    /// When none leads in time.
    pub async fn leader(&self) -> Outcome<String> {
        wait::until("a leader", AGREE_MAX, async || {
            let all = self.statuses().await;
            let leading = all
                .iter()
                .filter(|(_, report)| report.status.role == Role::Leader);
            let latest = leading.max_by_key(|(_, report)| report.status.epoch);
            let none = || Fault::new(format!("none of {:?} leads", roles(&all)));
            latest.map(|(name, _)| name.clone()).ok_or_else(none)
        })
        .await
    }

    /// Waits until the node answers a linearizable read.
    ///
    /// # Errors
    /// When it does not in time, or has ended.
    pub async fn serving(&mut self, name: &str) -> Outcome<()> {
        let client = self.client(name)?;
        let what = format!("`{name}` to serve");
        wait::until(&what, READY_MAX, async || {
            Ok(client.get(Vec::new(), Mode::Linearizable).await.map(drop)?)
        })
        .await
        .map_err(|fault| self.blame(name, fault))
    }

    /// Waits until a node that was taken in anew is a member like the others: it votes, and the one
    /// it replaces is gone. Until then the old members decide too, and one of them is missing.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn voting(&self, name: &str) -> Outcome<()> {
        let client = self.client(name)?;
        wait::until(&format!("the vote of `{name}`"), AGREE_MAX, async || {
            let members = client.members().await?;
            let votes = |role| matches!(role, Role::Leader | Role::Follower | Role::Candidate);
            let all_vote = members.iter().all(|member| votes(member.role));
            fault::ensure(all_vote && members.len() == self.nodes.len(), || {
                format!("the members are {members:?}")
            })
        })
        .await
    }

    /// Waits until every running node serves.
    ///
    /// # Errors
    /// When one does not in time, or has ended.
    pub async fn ready(&mut self) -> Outcome<()> {
        for name in self.live() {
            self.serving(&name).await?;
        }
        Ok(())
    }

    /// Waits until all running nodes have the same index, revision and digest. Only to be asked
    /// when nobody writes.
    ///
    /// # Errors
    /// When they do not agree in time.
    pub async fn converged(&self) -> Outcome<Status> {
        let live = self.live();
        wait::until("all nodes to agree", AGREE_MAX, async || {
            let all = self.statuses().await;
            let first = all.values().next().map(|report| report.status.clone());
            let first = first.ok_or_else(|| Fault::new("none answers"))?;
            let key = |status: &Status| (status.applied_index, status.revision, status.digest);
            let equal = all.values().all(|one| key(&one.status) == key(&first));
            fault::ensure(equal && all.len() == live.len(), || {
                format!("they differ: {:?}", roles(&all))
            })?;
            Ok(first)
        })
        .await
    }

    /// An error when a node that was not stopped by us has ended.
    ///
    /// # Errors
    /// As said, with the end of its log.
    pub fn ensure_alive(&mut self) -> Outcome<()> {
        let mut nodes = self.nodes.values_mut();
        nodes.try_for_each(|node| node.process.ensure_alive())
    }

    /// Says also that the node has ended, if that is why.
    fn blame(&mut self, name: &str, fault: Fault) -> Fault {
        match self.node_mut(name).map(|node| node.process.ensure_alive()) {
            Ok(Err(ended)) => Fault::new(format!("{fault}\n{ended}")),
            Ok(Ok(())) | Err(_) => fault,
        }
    }

    fn node(&self, name: &str) -> Outcome<&Replica> {
        let node = self.nodes.get(name);
        node.ok_or_else(|| Fault::new(format!("there is no node `{name}`")))
    }

    fn node_mut(&mut self, name: &str) -> Outcome<&mut Replica> {
        let node = self.nodes.get_mut(name);
        node.ok_or_else(|| Fault::new(format!("there is no node `{name}`")))
    }
}

fn roles(all: &BTreeMap<String, Report>) -> Vec<String> {
    let line = |(name, report): (&String, &Report)| {
        let status = &report.status;
        let index = status.applied_index.unwrap_or(0);
        format!(
            "{name} {:?} in epoch {}, entry {index}, revision {}, digest {:08x}",
            status.role,
            status.epoch,
            status.revision,
            status.digest >> 96
        )
    };
    all.iter().map(line).collect()
}
