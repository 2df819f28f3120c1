//! The power fails: file systems are shut down at random moments under load, so that everything
//! which was not synced is gone. What was acknowledged must be there when the power is back.

use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::Outcome;
use crate::nemesis::Disks;
use crate::ordeal::Verdict;
use crate::ordeal::ledger::{Ledger, dump};
use crate::ordeal::load::{Load, Shape};
use crate::rig::{Plan, Stores};

/// Room for log and state of the few keys that are written.
const DISK_MEBIBYTES: u64 = 192;
/// When the power fails, in milliseconds after the first write of a trial.
const MOMENT_MS: std::ops::Range<u64> = 200..2_000;
/// Keys are few, so that trials do not fill the disks.
const KEYS: u64 = 2_000;

/// Whose power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hit {
    /// One node's, often the leader's.
    One,
    /// Everybody's, at once.
    All,
    /// The one and the other in turn.
    Both,
}

/// What is done, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Failures of the power.
    pub trials: usize,
    /// Whose power fails.
    pub nodes: Hit,
    /// Writes each second.
    pub rate: u32,
    /// Failpoints of all nodes, for the proof that a lie is caught.
    pub faults: String,
    /// Decides when the power fails, and whose.
    pub seed: u64,
}

/// Nodes on disks of their own.
struct Ordeal<'a> {
    options: &'a Options,
    // Dropped first: a disk cannot be unmounted under a process.
    stores: Stores,
    disks: Disks,
    ledger: Ledger,
    random: StdRng,
    next: u64,
}

/// Fails the power as often as told.
///
/// # Errors
/// When an acknowledged write is lost, replicas differ, or a node does not come back.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let mut ordeal = Ordeal::start(options, root.path()).await?;
    let mut all_at_once = 0;
    for trial in 1..=options.trials {
        let everybody = match options.nodes {
            Hit::One => false,
            Hit::All => true,
            Hit::Both => trial % 2 == 0,
        };
        all_at_once += usize::from(everybody);
        let held = ordeal.trial(trial, everybody).await;
        held.map_err(|fault| fault.while_doing(&format!("trial {trial}")))?;
    }
    let end = ordeal.stores.converged().await?;
    Ok(Verdict {
        words: format!(
            "{} failures of the power, {all_at_once} of them everywhere at once: all of {} \
             acknowledged writes were there each time; revision {}, digest {:032x} everywhere",
            options.trials,
            ordeal.ledger.count(),
            end.revision,
            end.digest
        ),
        figures: Vec::new(),
    })
}

impl<'a> Ordeal<'a> {
    async fn start(options: &'a Options, root: &Path) -> Outcome<Self> {
        let mut plan = Plan::new(3, root).faults(&options.faults);
        plan = plan.limit("resident-bytes", 0);
        let disks = Disks::below(&mut plan, root, DISK_MEBIBYTES)?;
        Ok(Self {
            options,
            stores: Stores::start(plan).await?,
            disks,
            ledger: Ledger::new(KEYS),
            random: StdRng::seed_from_u64(options.seed),
            next: 0,
        })
    }

    async fn trial(&mut self, trial: usize, everybody: bool) -> Outcome<()> {
        let victims = self.victims(everybody).await?;
        let shape = Shape {
            rate: self.options.rate,
            keys: KEYS,
            value_bytes: 200,
            first: self.next,
        };
        let load = Load::start(self.stores.clients(), shape);
        let moment = self.random.random_range(MOMENT_MS);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        self.fail(&victims).await?;
        for name in &victims {
            self.disks.of(name)?.restore()?;
            self.stores.restart(name)?;
        }
        self.stores.ready().await?;
        let log = load.stop().await?;
        self.next = log.next;
        let acks = log.acks.len();
        eprintln!("trial {trial}: power of {victims:?} failed after {moment} ms; {acks} writes");
        self.ledger.absorb(&log)?;
        self.judge().await
    }

    async fn victims(&mut self, everybody: bool) -> Outcome<Vec<String>> {
        let names = self.stores.names();
        if everybody {
            return Ok(names);
        }
        let leader = self.stores.leader().await?;
        let any = names.choose(&mut self.random).cloned();
        let hit = if self.random.random_bool(0.5) {
            Some(leader)
        } else {
            any
        };
        Ok(hit.into_iter().collect())
    }

    async fn fail(&mut self, victims: &[String]) -> Outcome<()> {
        for name in victims {
            self.disks.of(name)?.fail()?;
        }
        for name in victims {
            self.stores.kill(name).await?;
        }
        Ok(())
    }

    async fn judge(&mut self) -> Outcome<()> {
        self.stores.converged().await?;
        for name in self.stores.names() {
            let there = dump(&self.stores.client(&name)?).await?;
            let judged = self.ledger.judge(&there);
            judged.map_err(|fault| fault.while_doing(&format!("replica `{name}`")))?;
        }
        Ok(())
    }
}
