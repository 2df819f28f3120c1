//! Random transactions, reads and watches against all replicas while they are killed, paused and cut
//! off from one another; the whole history is then judged by `check`, which knows nothing of the store.

mod client;
mod scene;
mod speech;
mod trouble;
mod watcher;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::check::history::{Event, Final, History, Snapshot};
use crate::check::{self, Summary};
use crate::node::wire::Mode;
use crate::ordeal::Verdict;
use crate::rig::{Plan, Stores};
use crate::{Fault, Outcome, nemesis, wait};

use scene::Scene;
pub use trouble::Trouble;
use watcher::Scribe;

/// Clients that call, and clients that watch.
const CALLERS: u32 = 6;
const WATCHERS: u32 = 4;
/// Longest until the last read is answered once everything has healed.
const LAST_MAX: Duration = Duration::from_secs(30);
/// A page that holds the whole store, which has few keys.
const EVERYTHING: usize = 100_000;

/// What is done, and how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides what is called and broken.
    pub seed: u64,
    /// How long.
    pub seconds: u64,
    /// What is broken.
    pub trouble: Trouble,
    /// Failpoints of all nodes, for the proof that a lie is caught.
    pub faults: String,
}

/// Runs, heals, and judges.
///
/// # Errors
/// With the violations, or with what kept the run from its end.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let (plan, partitions) = plan(options, &root);
    let mut stores = Stores::start(plan).await?;
    let scene = Arc::new(Scene::new(&stores)?);
    let scribe = Scribe::start(Arc::clone(&scene));
    let mut people = JoinSet::new();
    for id in 0..CALLERS {
        let seed = options.seed.wrapping_mul(1_000).wrapping_add(id.into());
        people.spawn(client::run(Arc::clone(&scene), id, seed));
    }
    for id in CALLERS..CALLERS + WATCHERS {
        people.spawn(watcher::run(Arc::clone(&scene), id, options.seed));
    }
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut trouble = trouble::Maker::new(&mut stores, &scene, options, partitions);
    let faults = trouble.run(end).await?;
    scene.stop.cancel();
    while let Some(ended) = people.join_next().await {
        ended?;
    }
    let end = finish(&mut stores, scribe).await?;
    judge(&scene.history(end), &faults)
}

/// The nodes, and whether the network between them can be cut.
fn plan(options: &Options, root: &tempfile::TempDir) -> (Plan, bool) {
    let plan = Plan::new(3, root.path()).faults(&options.faults);
    // All values that a checkpoint has are read from its files.
    let plan = plan.limit("resident-bytes", 0);
    // Checkpoints and purged logs come into play only when they are frequent.
    let plan = match options.trouble {
        Trouble::Everything => plan
            .limit("checkpoint-entries", 1_000)
            .limit("keep-entries", 200),
        Trouble::KillAll | Trouble::IsolateLeader | Trouble::ForgetChanges | Trouble::Peace => plan,
    };
    match nemesis::obstacle() {
        _ if !options.trouble.cuts() => (plan, false),
        None => (plan.partitions(), true),
        Some(obstacle) => {
            eprintln!("SKIPPED: partitions, since {obstacle}");
            (plan, false)
        }
    }
}

/// What is there when everything has healed.
async fn finish(stores: &mut Stores, scribe: Scribe) -> Outcome<Final> {
    stores.ready().await?;
    stores.converged().await?;
    let client = stores.client(&stores.leader().await?)?;
    let read = wait::until("the last read", LAST_MAX, async || {
        let all = client.list(Bytes::new(), Mode::Linearizable, EVERYTHING, None);
        Ok(all.await?)
    })
    .await?;
    let log: Vec<Event> = scribe.finish(read.revision).await?;
    let snapshot: Snapshot = speech::snapshot(&read);
    Ok(Final { snapshot, log })
}

fn judge(history: &History, faults: &[String]) -> Outcome<Verdict> {
    let summary = check::judge(history).map_err(|violations| {
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        Fault::new(format!(
            "{}\nfaults: {}",
            lines.join("\n"),
            faults.join("; ")
        ))
    })?;
    let Summary {
        applied,
        refused,
        found,
        without_effect,
        reads,
        events,
        changes,
        revision,
    } = summary;
    Ok(Verdict {
        words: format!(
            "{} faults: linearizable. {applied} transactions applied, {refused} refused, of those \
             without an answer {found} applied and {without_effect} did not; {reads} reads, {events} \
             events of watches, {changes} changes up to revision {revision}",
            faults.len()
        ),
        figures: Vec::new(),
    })
}
