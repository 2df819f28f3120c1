//! The central promise, broken at on purpose: whatever process is killed and whatever disk is lost,
//! every task runs exactly once, every acknowledged object is there, and all replicas agree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::{Client, ResourceExt};
use manifests::kinds::Task;
use manifests::lifecycle::TaskState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{Cluster, Fault, Outcome, Plan, fault, members, objects, wait};

/// Longest the cluster may take to finish everything once the last fault is healed.
const HEAL_MAX: Duration = Duration::from_secs(180);

/// Writers at work at once.
const WRITERS: usize = 6;

/// What is done, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tasks that must each run once.
    pub tasks: usize,
    /// Rounds of: kill the leader, kill an agent, wipe a follower.
    pub rounds: usize,
    /// Decides who is hit, and when.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tasks: 300,
            rounds: 1,
            seed: 1,
        }
    }
}

/// What a campaign that held has seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// Tasks that ran exactly once.
    pub tasks: usize,
    /// Faults, in words, in order.
    pub faults: Vec<String>,
    /// Revision all replicas ended with.
    pub revision: u64,
    /// Digest all replicas ended with.
    pub digest: String,
}

/// The run in progress.
struct Campaign {
    cluster: Cluster,
    options: Options,
    random: StdRng,
    file: PathBuf,
    faults: Vec<String>,
}

/// Runs a campaign on a cluster of three servers and three agents.
///
/// # Errors
/// When the promise did not hold, with what was seen instead.
pub async fn run(options: Options) -> Outcome<Report> {
    // Room for twelve at once, so that launching goes on through all the faults.
    let plan = Plan::new(3, 3)
        .resources("cpus=4;mem=8Gi;disk=8Gi")
        .server_flags(&["--agent-timeout", "60s"]);
    let cluster = Cluster::start(plan).await?;
    objects::create_tenant(&cluster.client("s1").await?, "campaign", 1.0).await?;
    let mut campaign = Campaign {
        file: cluster.root().join("ran.txt"),
        random: StdRng::seed_from_u64(options.seed),
        cluster,
        options,
        faults: Vec::new(),
    };
    let clients = campaign.cluster.clients().await?;
    let writing = write_all(clients, campaign.options.tasks, campaign.file.clone());
    let (acknowledged, ()) = tokio::try_join!(writing, campaign.break_things())?;
    campaign.judge(&acknowledged).await
}

/// Creates every task through all servers in turn; the uid that each was acknowledged with.
async fn write_all(
    clients: Vec<Client>,
    count: usize,
    file: PathBuf,
) -> Outcome<BTreeMap<String, String>> {
    let script = format!("echo \"$STOA_TASK\" >> {}; sleep 0.3", file.display());
    let writes = stream::iter(0..count).map(|number| {
        let task = objects::task(&format!("t{number:04}"), "campaign", &script, "1");
        let clients = clients.clone();
        async move {
            let created = objects::create_surely(&clients, number, &task).await?;
            let uid = created
                .uid()
                .ok_or_else(|| Fault::new("created without a uid"))?;
            Ok((task.name_any(), uid))
        }
    });
    writes.buffer_unordered(WRITERS).try_collect().await
}

impl Campaign {
    async fn break_things(&mut self) -> Outcome<()> {
        let steps = self.options.rounds * 3;
        for round in 0..self.options.rounds {
            self.progress(round * 3, steps).await?;
            self.kill_the_leader().await?;
            self.progress(round * 3 + 1, steps).await?;
            self.kill_an_agent().await?;
            self.progress(round * 3 + 2, steps).await?;
            self.wipe_a_follower().await?;
        }
        Ok(())
    }

    /// Waits until so large a part of the tasks has run that step `step` of `steps` is due. The
    /// last fault comes at two thirds, so that there is work left for the healed cluster.
    async fn progress(&mut self, step: usize, steps: usize) -> Outcome<()> {
        let due = self.options.tasks * (step + 1) / (steps * 3 / 2 + 1);
        let due = due + self.random.random_range(0..=self.options.tasks / 30);
        let file = self.file.clone();
        wait::until(&format!("{due} tasks to have run"), HEAL_MAX, async || {
            let ran = lines(&file).len();
            fault::ensure(ran >= due, || format!("{ran} have"))
        })
        .await
    }

    fn note(&mut self, what: &str) {
        let line = format!("after {} runs: {what}", lines(&self.file).len());
        eprintln!("{line}");
        self.faults.push(line);
    }

    async fn kill_the_leader(&mut self) -> Outcome<()> {
        self.cluster.whole().await?;
        let leader = self.cluster.leader().await?;
        self.cluster.kill(&leader).await?;
        self.note(&format!("SIGKILL of the leader {leader}"));
        let next = self.cluster.leader().await?;
        self.note(&format!("{next} leads, {leader} starts again"));
        self.cluster.restart(&leader)?;
        self.cluster.servers_ready().await
    }

    async fn kill_an_agent(&mut self) -> Outcome<()> {
        let agent = format!("a{}", self.random.random_range(1..=3));
        self.cluster.kill(&agent).await?;
        self.note(&format!("SIGKILL of the agent {agent}"));
        self.cluster.restart(&agent)?;
        self.cluster.agents_ready().await?;
        self.note(&format!("{agent} is back"));
        Ok(())
    }

    async fn wipe_a_follower(&mut self) -> Outcome<()> {
        self.cluster.whole().await?;
        let leader = self.cluster.leader().await?;
        let mut followers = self.cluster.server_names();
        followers.retain(|name| *name != leader);
        let follower = followers.swap_remove(self.random.random_range(0..followers.len()));
        self.cluster.kill(&follower).await?;
        self.note(&format!(
            "SIGKILL of the follower {follower}, its disk is lost"
        ));
        self.cluster.rejoin_wiped(&follower)?;
        self.cluster.servers_ready().await?;
        self.cluster.whole().await?;
        self.note(&format!("{follower} has joined anew"));
        Ok(())
    }

    async fn judge(mut self, acknowledged: &BTreeMap<String, String>) -> Outcome<Report> {
        self.cluster.servers_ready().await?;
        let mut held = None;
        for client in self.cluster.clients().await? {
            let tasks = self.all_finished(&client).await?;
            exactly_once(&lines(&self.file), acknowledged)?;
            all_are_there(&tasks, acknowledged)?;
            let replicas = self.cluster.server_names().len();
            let agreed = wait::until("replicas to agree", HEAL_MAX, async || {
                members::agreed(&client, replicas).await
            });
            held = Some(agreed.await?);
        }
        let (revision, digest) = held.ok_or_else(|| Fault::new("there is no server"))?;
        self.cluster.finish();
        Ok(Report {
            tasks: acknowledged.len(),
            faults: self.faults,
            revision,
            digest,
        })
    }

    async fn all_finished(&self, client: &Client) -> Outcome<Vec<Task>> {
        wait::until("every task to be Finished", HEAL_MAX, async || {
            let tasks = objects::list_tasks(client).await?;
            let mut others = tasks
                .iter()
                .filter(|t| objects::state(t) != TaskState::Finished);
            match others.next() {
                None => Ok(tasks),
                Some(task) => Err(Fault::new(format!(
                    "{} and {} others are not, it is {:?}",
                    task.name_any(),
                    others.count(),
                    task.status
                ))),
            }
        })
        .await
    }
}

/// The lines that tasks appended; none while there is no file.
fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Every acknowledged task ran once, and nothing else ran.
fn exactly_once(ran: &[String], acknowledged: &BTreeMap<String, String>) -> Outcome<()> {
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for name in ran {
        *runs.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = runs.iter().filter(|&(_, &count)| count != 1).collect();
    let never: Vec<_> = acknowledged
        .keys()
        .filter(|n| !runs.contains_key(n.as_str()))
        .collect();
    let strange: Vec<_> = runs
        .keys()
        .filter(|n| !acknowledged.contains_key(**n))
        .collect();
    fault::ensure(
        twice.is_empty() && never.is_empty() && strange.is_empty(),
        || format!("ran more than once: {twice:?}; never: {never:?}; never asked for: {strange:?}"),
    )
}

/// Every acknowledged object is there, as itself, in its first run.
fn all_are_there(tasks: &[Task], acknowledged: &BTreeMap<String, String>) -> Outcome<()> {
    let there: BTreeMap<_, _> = tasks.iter().map(|t| (t.name_any(), t)).collect();
    for (name, uid) in acknowledged {
        let task = there
            .get(name)
            .ok_or_else(|| Fault::new(format!("{name} is lost")))?;
        fault::ensure(task.uid().as_ref() == Some(uid), || {
            format!("{name} has another uid")
        })?;
        let attempt = task.status.as_ref().map_or(0, |s| s.attempt);
        fault::ensure(attempt == 0, || format!("{name} is in attempt {attempt}"))?;
    }
    fault::ensure(tasks.len() == acknowledged.len(), || {
        format!("{} tasks are there", tasks.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_too_many_or_too_few_is_noticed() {
        let acknowledged: BTreeMap<_, _> = ["a", "b"]
            .map(|n| (n.to_owned(), "uid".to_owned()))
            .into_iter()
            .collect();
        let judge = |ran: &str| {
            let ran: Vec<_> = ran.split_whitespace().map(str::to_owned).collect();
            exactly_once(&ran, &acknowledged).map_err(|f| f.to_string())
        };
        assert_eq!(judge("a b"), Ok(()));
        assert!(judge("a").unwrap_err().contains("never: [\"b\"]"));
        assert!(
            judge("a b a")
                .unwrap_err()
                .contains("more than once: [(\"a\", 2)]")
        );
        assert!(
            judge("a b c")
                .unwrap_err()
                .contains("never asked for: [\"c\"]")
        );
    }
}
