//! All processes of `up`: their command lines, the order in which they start and stop.

use std::ffi::OsString;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::child::{Keeper, Launch};
use super::layout::Layout;
use super::plan::{Machine, Plan, Replica};
use crate::exit::{Failure, Outcome};

/// First port that tasks may be given, as in Mesos.
const PORTS_FIRST: u16 = 31_000;

/// Ports of each agent: 99 agents fit below 65,536.
const PORTS_EACH: u16 = 300;

/// Messages kept while the display is busy.
const BACKLOG: usize = 64;

/// Memory arenas of the C library: its default of eight for each core keeps memory for nothing.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");

/// What a child's keeper tells.
#[derive(Debug)]
pub(crate) enum News {
    /// Something worth a line.
    Said(String),
    /// The process never worked; going on makes no sense.
    Hopeless(Failure),
}

/// What all agents or servers have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `--resources` of each agent.
    pub(crate) resources: Option<String>,
    /// `--agent-timeout` of each server.
    pub(crate) agent_timeout: String,
}

/// The processes.
#[derive(Debug)]
pub(crate) struct Fleet {
    layout: Layout,
    plan: Plan,
    settings: Settings,
    servers: JoinSet<()>,
    agents: JoinSet<()>,
    stop_servers: CancellationToken,
    stop_agents: CancellationToken,
    sender: Sender<News>,
    receiver: Receiver<News>,
}

impl Fleet {
    /// A fleet of nothing yet.
    pub(crate) fn new(layout: Layout, plan: Plan, settings: Settings) -> Self {
        let (sender, receiver) = channel(BACKLOG);
        Self {
            layout,
            plan,
            settings,
            servers: JoinSet::new(),
            agents: JoinSet::new(),
            stop_servers: CancellationToken::new(),
            stop_agents: CancellationToken::new(),
            sender,
            receiver,
        }
    }

    /// Starts the servers, all at once.
    pub(crate) fn start_servers(&mut self) -> Outcome {
        for replica in self.plan.replicas.clone() {
            let (layout, plan, settings) = (
                self.layout.clone(),
                self.plan.clone(),
                self.settings.clone(),
            );
            let title = format!("server {}", replica.name);
            let log = self.layout.log(&replica.name);
            let launch = move || server(&layout, &plan, &settings, &replica);
            let stop = self.stop_servers.clone();
            let keeper = Keeper {
                title,
                log,
                launch: Box::new(launch),
                news: self.sender.clone(),
                stop,
            };
            self.servers.spawn(keeper.run());
        }
        Ok(())
    }

    /// Starts the agents, once there is a token they can join with.
    pub(crate) fn start_agents(&mut self) -> Outcome {
        // From here on a replica without data has lost it.
        self.plan.formed = true;
        self.layout.remember(&self.plan)?;
        let token = self.layout.token(&self.plan, "agent").ok_or_else(|| {
            let folder = self.layout.root().display();
            Failure::new(format!("the servers wrote no join token below {folder}"))
        })?;
        for machine in self.plan.agents.clone() {
            let (layout, plan, settings) = (
                self.layout.clone(),
                self.plan.clone(),
                self.settings.clone(),
            );
            let title = format!("agent {}", machine.name);
            let log = self.layout.log(&machine.name);
            let token = token.clone();
            let launch = move || agent(&layout, &plan, &settings, &machine, &token);
            let stop = self.stop_agents.clone();
            let keeper = Keeper {
                title,
                log,
                launch: Box::new(launch),
                news: self.sender.clone(),
                stop,
            };
            self.agents.spawn(keeper.run());
        }
        Ok(())
    }

    /// The next piece of news.
    pub(crate) async fn news(&mut self) -> News {
        let lost = || News::Hopeless(Failure::new("the processes are not watched any more"));
        self.receiver.recv().await.unwrap_or_else(lost)
    }

    /// Stops everything: the agents first, as the servers must hear what became of their tasks.
    pub(crate) async fn stop(mut self) {
        self.receiver.close();
        self.stop_agents.cancel();
        while self.agents.join_next().await.is_some() {}
        self.stop_servers.cancel();
        while self.servers.join_next().await.is_some() {}
    }
}

/// The command line of a server.
fn server(layout: &Layout, plan: &Plan, settings: &Settings, replica: &Replica) -> Launch {
    let data = layout.data(&replica.name);
    let mut args = vec![OsString::from("server"), "--exit-with-parent".into()];
    let mut flag = |name: &str, value: OsString| args.extend([OsString::from(name), value]);
    flag("--name", replica.name.clone().into());
    flag("--data-dir", data.clone().into());
    flag("--pki-dir", layout.pki().into());
    flag("--listen", format!("127.0.0.1:{}", replica.api).into());
    flag(
        "--peer-listen",
        format!("127.0.0.1:{}", replica.peer).into(),
    );
    flag("--agent-timeout", settings.agent_timeout.clone().into());
    let mut env = vec![(ARENAS.0, ARENAS.1.to_owned())];
    let lost = was_formed(layout) && !data.join("store").exists();
    let others = || (0..plan.replicas.len()).find(|&i| plan.replicas[i].name != replica.name);
    match (lost, others(), layout.token(plan, "server")) {
        // A voter that lost its disk may have promised what it forgot: it comes back as a new one.
        (true, Some(other), Some(token)) => {
            flag("--join", plan.url(other).into());
            env.push(("STOA_TOKEN", token));
        }
        (true | false, _, _) if plan.replicas.len() > 1 => {
            flag("--initial-cluster", plan.initial_cluster().into());
        }
        (true | false, _, _) => {}
    }
    Launch { args, env }
}

/// Whether the cluster had been formed: read at each start, as it changes while we run.
fn was_formed(layout: &Layout) -> bool {
    layout
        .remembered()
        .is_ok_and(|plan| plan.is_some_and(|plan| plan.formed))
}

/// The command line of an agent.
fn agent(
    layout: &Layout,
    plan: &Plan,
    settings: &Settings,
    machine: &Machine,
    token: &str,
) -> Launch {
    let urls: Vec<_> = (0..plan.replicas.len())
        .map(|index| plan.url(index))
        .collect();
    let mut args: Vec<OsString> = ["agent", "--exit-with-parent", "--kill-tasks-on-exit"]
        .map(OsString::from)
        .to_vec();
    let mut flag = |name: &str, value: OsString| args.extend([OsString::from(name), value]);
    flag("--name", machine.name.clone().into());
    flag("--data-dir", layout.data(&machine.name).into());
    flag("--server", urls.join(",").into());
    flag("--listen", format!("127.0.0.1:{}", machine.port).into());
    // So that constraints and reservations can be tried out: a1 is in rack r1, and so on.
    flag(
        "--attribute",
        format!("rack=r{}", machine.name.trim_start_matches('a')).into(),
    );
    flag("--resources", resources(settings, machine).into());
    Launch {
        args,
        env: vec![
            (ARENAS.0, ARENAS.1.to_owned()),
            ("STOA_TOKEN", token.to_owned()),
        ],
    }
}

/// What an agent offers. Agents of one machine must not give away the same ports.
fn resources(settings: &Settings, machine: &Machine) -> String {
    let number: u16 = machine.name.trim_start_matches('a').parse().unwrap_or(1);
    let first = PORTS_FIRST + PORTS_EACH * (number - 1);
    let ports = format!("ports=[{first}-{}]", first + PORTS_EACH - 1);
    match &settings.resources {
        Some(resources) if resources.contains("ports") => resources.clone(),
        Some(resources) => format!("{resources};{ports}"),
        None => ports,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(launch: &Launch) -> String {
        let words: Vec<_> = launch
            .args
            .iter()
            .map(|a| a.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    #[test]
    fn a_replica_that_lost_its_disk_joins_anew() {
        let folder = std::env::temp_dir().join(format!("stoa-fleet-{}", std::process::id()));
        let layout = Layout::new(&folder).unwrap();
        let mut plan = Plan::make(None, Some(3), Some(1), |wish, _| Ok(wish)).unwrap();
        let settings = Settings {
            resources: None,
            agent_timeout: "75s".into(),
        };
        layout.remember(&plan).unwrap();
        let line = |plan: &Plan| text(&server(&layout, plan, &settings, &plan.replicas[1]));
        assert!(line(&plan).contains("--initial-cluster s1=127.0.0.1:7444,"));
        plan.formed = true;
        layout.remember(&plan).unwrap();
        std::fs::create_dir_all(layout.data("s1").join("tokens")).unwrap();
        std::fs::write(layout.data("s1").join("tokens/server"), "secret\n").unwrap();
        assert!(
            line(&plan).contains("--join https://127.0.0.1:7443"),
            "{}",
            line(&plan)
        );
        assert!(
            !line(&plan).contains("secret"),
            "tokens do not belong on a command line"
        );
        std::fs::create_dir_all(layout.data("s2").join("store")).unwrap();
        assert!(line(&plan).contains("--initial-cluster"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
