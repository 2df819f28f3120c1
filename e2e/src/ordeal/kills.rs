//! The leader is killed again and again under load: writes go on within moments, nothing that was
//! acknowledged is lost, and no watch on a survivor notices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Outcome;
use crate::bench::Figure;
use crate::bench::figure::{Bar, milliseconds, percentile};
use crate::ordeal::Verdict;
use crate::ordeal::ledger::{Ledger, dump};
use crate::ordeal::load::{Load, Log, Shape};
use crate::ordeal::witness::Witness;
use crate::rig::{Plan, Stores};

/// Every write has a key of its own.
const KEYS: u64 = u64::MAX;
/// Longest a killed node stays away, by the dice.
const AWAY_MAX_MS: u64 = 300;
/// Bars of the time from a kill to the next acknowledged write.
const P99_MAX_MS: f64 = 400.0;
const WORST_MAX_MS: f64 = 1_000.0;

/// What is done, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kills of the leader.
    pub kills: usize,
    /// Writes each second.
    pub rate: u32,
    /// Decides how long the killed stay away.
    pub seed: u64,
}

/// Nodes, writers and watchers.
struct Ordeal {
    stores: Stores,
    load: Load,
    witnesses: BTreeMap<String, Witness>,
    random: StdRng,
    gaps: Vec<Duration>,
}

/// Kills as often as told.
///
/// # Errors
/// When a promise did not hold.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let stores = Stores::start(Plan::new(3, root.path())).await?;
    let shape = Shape {
        rate: options.rate,
        keys: KEYS,
        value_bytes: 100,
        first: 0,
    };
    let mut ordeal = Ordeal {
        witnesses: watch_all(&stores).await?,
        load: Load::start(stores.clients(), shape),
        stores,
        random: StdRng::seed_from_u64(options.seed),
        gaps: Vec::new(),
    };
    for kill in 1..=options.kills {
        ordeal.round(kill).await?;
    }
    ordeal.judge().await
}

async fn watch_all(stores: &Stores) -> Outcome<BTreeMap<String, Witness>> {
    let mut all = BTreeMap::new();
    for name in stores.names() {
        let witness = Witness::start(&name, &stores.client(&name)?).await?;
        all.insert(name, witness);
    }
    Ok(all)
}

impl Ordeal {
    async fn round(&mut self, number: usize) -> Outcome<()> {
        let leader = self.stores.leader().await?;
        self.check_witnesses().await?;
        // Its watchers are cut with it.
        self.witnesses.remove(&leader);
        let killed = Instant::now();
        self.stores.kill(&leader).await?;
        let gap = self.load.first_after(killed).await?;
        eprintln!("kill {number}: `{leader}` led; writes went on after {gap:.0?}");
        self.gaps.push(gap);
        let away = self.random.random_range(0..AWAY_MAX_MS);
        tokio::time::sleep(Duration::from_millis(away)).await;
        self.stores.restart(&leader)?;
        self.stores.serving(&leader).await?;
        let witness = Witness::start(&leader, &self.stores.client(&leader)?).await?;
        self.witnesses.insert(leader, witness);
        self.stores.ensure_alive()
    }

    async fn check_witnesses(&mut self) -> Outcome<()> {
        for witness in self.witnesses.values_mut() {
            witness.check().await?;
        }
        Ok(())
    }

    async fn judge(mut self) -> Outcome<Verdict> {
        let log = self.load.stop().await?;
        let end = self.stores.converged().await?;
        for witness in std::mem::take(&mut self.witnesses).into_values() {
            witness.finish(end.revision).await?;
        }
        judge_all(&self.stores, &log).await?;
        Ok(Verdict {
            words: format!(
                "{} kills of the leader: {} acknowledged writes are on all replicas under their \
                 revisions, {} were not acknowledged; no watch on a survivor was interrupted; \
                 revision {}, digest {:032x} everywhere",
                self.gaps.len(),
                log.acks.len(),
                log.failed.len(),
                end.revision,
                end.digest
            ),
            figures: figures(&self.gaps),
        })
    }
}

/// Holds every replica to what was acknowledged.
pub(super) async fn judge_all(stores: &Stores, log: &Log) -> Outcome<()> {
    let mut ledger = Ledger::new(KEYS);
    ledger.absorb(log)?;
    for name in stores.names() {
        let there = dump(&stores.client(&name)?).await?;
        ledger
            .judge(&there)
            .map_err(|fault| fault.while_doing(&format!("replica `{name}`")))?;
    }
    Ok(())
}

fn figures(gaps: &[Duration]) -> Vec<Figure> {
    let figure = |percent: usize, bar| {
        let name = format!("kill of the leader to the next acknowledged write, p{percent}");
        Figure::new(name, milliseconds(percentile(gaps, percent)), "ms", bar)
    };
    vec![
        figure(50, Bar::None),
        figure(99, Bar::AtMost(P99_MAX_MS)),
        figure(100, Bar::AtMost(WORST_MAX_MS)),
    ]
}
