//! `stoa up`: a whole cluster on this machine, of real processes, with its manifests applied and followed.

mod agents;

mod child;

mod fleet;

mod layout;

mod plan;

mod ports;

mod verdict;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use apiserver::pki::Authority;
use manifests::duration::Span;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::{self, Applied};
use crate::cluster::{Ask, Cluster};
use crate::command::apply::{self as command, judge};
use crate::connect::Connect;
use crate::exit::{Code, Failure, Outcome};
use crate::progress::{Key, Progress};
use crate::runtime;
use crate::source::{Files, Loaded, Validation};
use crate::{ambient, output};
use fleet::{Fleet, News};
use layout::Layout;
use plan::Plan;
use ports::Ports;

/// Default data folder of a cluster that is there to stay. Commands look for a kubeconfig in it.
pub(crate) const DATA_DIR: &str = "stoa-data";

/// Longest start of the servers: the slow part is syncing the disk for the first log entries.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Stands for no bound: a year.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// Pause between two questions whether the servers are ready.
const POLL: Duration = Duration::from_millis(50);

/// Flags of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    manifests: Files,
    /// Number of server replicas [default: 1, or as many as the data folder remembers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: Option<u16>,
    /// Number of agents, all of them on this machine [default: 1, or as many as the data folder remembers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=99))]
    agents: Option<u16>,
    /// Where the cluster lives; started again on the same folder it goes on [default: stoa-data, or a fresh
    /// temporary folder with --exit-when-done]
    #[arg(long, env = "STOA_UP_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// End when all applied tasks have ended; the exit code says whether they ended well
    #[arg(long)]
    exit_when_done: bool,
    /// With --exit-when-done: give up after this time (exit code 124)
    #[arg(long, value_name = "TIME", requires = "exit_when_done")]
    timeout: Option<Span>,
    /// What each agent offers, e.g. 'cpus=4;mem=8Gi' [default: each offers all that this machine has]
    #[arg(long, value_name = "RESOURCES", value_parser = checked_resources)]
    agent_resources: Option<String>,
    /// An agent that is silent for longer is unreachable
    #[arg(long, value_name = "TIME", default_value = "75s")]
    agent_timeout: Span,
    /// What to do about unknown fields
    #[arg(long, default_value = "strict", value_name = "HOW")]
    validate: Validation,
}

/// The text stays text (agents parse it themselves), but a mistake is told before anything starts.
fn checked_resources(text: &str) -> Result<String, String> {
    crate::agent::resources(text).map(|_| text.to_owned())
}

/// Runs `up`.
pub(crate) async fn run(args: Args) -> Outcome {
    // Bad manifests are told before anything is started.
    let loaded = if args.manifests.files.is_empty() {
        Loaded::default()
    } else {
        let loaded = args.manifests.load(args.validate)?;
        judge(&loaded, false)?;
        loaded
    };
    let layout = Layout::new(&data_dir(&args)?)?;
    let _lock = layout.lock()?;
    // Held until the end: the ports are ours although nobody listens on them yet.
    let mut ports = Ports::default();
    let plan = plan(&args, &layout, &mut ports)?;
    let interrupted = runtime::shutdown(false)?;
    announce(&layout, &plan)?;
    let mut fleet = Fleet::new(
        layout.clone(),
        plan.clone(),
        fleet::Settings {
            resources: args.agent_resources.clone(),
            agent_timeout: args.agent_timeout.to_string(),
        },
    );
    let session = Session {
        args: &args,
        layout: &layout,
        plan: &plan,
        interrupted,
    };
    let outcome = session.run(&mut fleet, loaded).await;
    fleet.stop().await;
    outcome
}

fn data_dir(args: &Args) -> Outcome<PathBuf> {
    if let Some(folder) = &args.data_dir {
        return Ok(folder.clone());
    }
    if !args.exit_when_done {
        return Ok(PathBuf::from(DATA_DIR));
    }
    // A fresh folder for each run: what an earlier run left must not pass for the result of this one.
    let parent = std::env::temp_dir();
    for _ in 0..16 {
        let folder = parent.join(format!("stoa-up-{:08x}", ambient::random() >> 96));
        if fs::create_dir(&folder).is_ok() {
            return Ok(folder);
        }
    }
    Err(
        Failure::new(format!("no folder can be made in {}", parent.display()))
            .hint("name one with --data-dir"),
    )
}

fn plan(args: &Args, layout: &Layout, ports: &mut Ports) -> Outcome<Plan> {
    let remembered = layout.remembered()?;
    let plan = Plan::make(remembered, args.replicas, args.agents, |wish, taken| {
        ports.pick(wish, taken)
    })?;
    layout.remember(&plan)?;
    // The replicas start together, so they must find a common CA.
    Authority::load_or_create(&layout.pki(), ambient::now_s()).map_err(|e| {
        Failure::new(format!(
            "the cluster CA in {} cannot be made",
            layout.pki().display()
        ))
        .because(e)
    })?;
    Ok(plan)
}

fn announce(layout: &Layout, plan: &Plan) -> Outcome {
    let count = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    let (servers, agents) = (plan.replicas.len(), plan.agents.len());
    output::line(&format!(
        "starting {} and {} in {}",
        count(servers, "server"),
        count(agents, "agent"),
        layout.root().display()
    ))?;
    output::line(&format!("  logs        {}/*.log", layout.logs().display()))?;
    output::line(&format!("  kubeconfig  {}", layout.kubeconfig().display()))
}

/// The tasks that the manifests ask for.
fn goals(cluster: &Cluster, loaded: &Loaded) -> Vec<Key> {
    let each = loaded.objects.iter().flat_map(|given| {
        let namespace = given.object["metadata"]["namespace"].as_str();
        command::goals(&given.object, namespace.unwrap_or(&cluster.namespace))
    });
    each.collect()
}

/// One run of `up`, from the first process to the verdict.
struct Session<'a> {
    args: &'a Args,
    layout: &'a Layout,
    plan: &'a Plan,
    interrupted: CancellationToken,
}

impl Session<'_> {
    async fn run(&self, fleet: &mut Fleet, loaded: Loaded) -> Outcome {
        fleet.start_servers()?;
        let clusters = tokio::select! {
            clusters = self.ready() => clusters?,
            failure = self.hopeless(fleet) => return Err(failure),
            () = self.interrupted.cancelled() => return Ok(()),
        };
        fleet.start_agents()?;
        let missing = tokio::select! {
            missing = agents::missing(&clusters[0], self.plan) => missing,
            failure = self.hopeless(fleet) => return Err(failure),
            () = self.interrupted.cancelled() => return Ok(()),
        };
        output::line(&format!("ready at {}", self.plan.url(0)))?;
        for name in missing {
            let log = self.layout.log(&name);
            eprintln!(
                "warning: agent {name} is not ready yet; its log is {}",
                log.display()
            );
        }
        self.follow(fleet, clusters, loaded).await
    }

    /// Waits until every server answers; one client for each.
    async fn ready(&self) -> Outcome<Vec<Cluster>> {
        let deadline = Instant::now() + START_LIMIT;
        let mut clusters = Vec::new();
        for (index, replica) in self.plan.replicas.iter().enumerate() {
            let source = self.layout.data(&replica.name).join("kubeconfig");
            loop {
                if source.is_file()
                    && let Ok(cluster) = self.connect(index, &source).await
                    && cluster.send(Ask::get("/readyz")).await.is_ok()
                {
                    clusters.push(cluster);
                    break;
                }
                if Instant::now() > deadline {
                    let log = self.layout.log(&replica.name);
                    return Err(Failure::new(format!(
                        "server {} does not become ready",
                        replica.name
                    ))
                    .hint(format!("its log is {}", log.display())));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        self.layout.adopt_kubeconfig(self.plan)?;
        Ok(clusters)
    }

    async fn connect(&self, index: usize, kubeconfig: &std::path::Path) -> Outcome<Cluster> {
        let connect = Connect {
            kubeconfig: Some(kubeconfig.to_path_buf()),
            server: Some(self.plan.url(index)),
            ..Connect::default()
        };
        connect.cluster().await
    }

    /// Resolves only when a process cannot run at all.
    async fn hopeless(&self, fleet: &mut Fleet) -> Failure {
        loop {
            match fleet.news().await {
                News::Hopeless(failure) => return failure,
                News::Said(text) => eprintln!("{text}"),
            }
        }
    }

    /// Applies the manifests while the display already follows their tasks from the first state on.
    async fn apply(&self, cluster: &Cluster, loaded: Loaded, progress: &mut Progress) -> Outcome {
        let options = apply::Options {
            validation: self.args.validate,
            ..apply::Options::default()
        };
        let (sender, mut results) = mpsc::unbounded_channel();
        let mut told = |one: &Applied| {
            let line = format!("{} {}", one.label(), one.change.as_str());
            sender
                .send(line)
                .map_err(|e| Failure::new("the display has gone").because(e))
        };
        let mut applying = std::pin::pin!(apply::all(cluster, loaded.objects, options, &mut told));
        let outcome = loop {
            tokio::select! {
                biased;
                Some(line) = results.recv() => progress.say(&line),
                outcome = &mut applying => break outcome,
                () = self.interrupted.cancelled() => break Err(Failure::new("interrupted while applying")),
                _ = progress.step() => {}
            }
        };
        while let Ok(line) = results.try_recv() {
            progress.say(&line);
        }
        if outcome.is_err() {
            progress.stop();
        }
        outcome.map(|_| ())
    }

    /// Applies, and shows how the tasks fare until they have ended (if that is to be the end), or
    /// until Ctrl-C.
    async fn follow(&self, fleet: &mut Fleet, clusters: Vec<Cluster>, loaded: Loaded) -> Outcome {
        if self.args.exit_when_done {
            verdict::make_room(&clusters[0], &loaded.objects).await?;
        }
        let goals = goals(&clusters[0], &loaded);
        let mut open = !goals.is_empty();
        let mut progress = Progress::start(clusters.clone(), goals);
        if !loaded.objects.is_empty() {
            progress.first_list(START_LIMIT).await;
            self.apply(&clusters[0], loaded, &mut progress).await?;
        }
        if !self.args.exit_when_done {
            progress.say(&format!(
                "running until Ctrl-C; in another terminal: export KUBECONFIG={}",
                self.layout.kubeconfig().display()
            ));
        }
        let limit = self.args.timeout.map(Span::as_duration);
        let deadline = Instant::now() + limit.unwrap_or(FOREVER);
        while open || !self.args.exit_when_done {
            tokio::select! {
                done = progress.step(), if open => {
                    open = !done;
                    if done {
                        progress.say(&format!("all ended: {}", progress.summary()));
                    }
                }
                news = fleet.news() => match news {
                    News::Said(text) => progress.say(&text),
                    News::Hopeless(failure) => return Err(failure),
                },
                () = tokio::time::sleep_until(deadline) => {
                    progress.stop();
                    return Err(Failure::new(format!("not done in time; {}", progress.summary()))
                        .with_code(Code::Timeout)
                        .hint(progress.unfinished().join("\n")));
                }
                () = self.interrupted.cancelled() => {
                    progress.stop();
                    return self.interruption(&mut progress, open);
                }
            }
        }
        verdict::print(&clusters, &progress, self.layout).await
    }

    /// Ctrl-C ends a cluster that is there to stay; it cuts short a run that was to end by itself.
    fn interruption(&self, progress: &mut Progress, open: bool) -> Outcome {
        if self.args.exit_when_done && open {
            let unfinished = progress.unfinished().join("\n");
            return Err(
                Failure::new(format!("interrupted; {}", progress.summary())).hint(unfinished)
            );
        }
        // Whoever read our output may be gone; that is no failure any more.
        progress.say("stopping");
        Ok(())
    }
}
