//! Every node is stopped in order and started again, one after another, under load: nobody who has
//! one retry sees an error, and writes hardly pause.

use std::time::Duration;

use crate::bench::Figure;
use crate::bench::figure::{Bar, milliseconds};
use crate::ordeal::Verdict;
use crate::ordeal::kills::judge_all;
use crate::ordeal::load::{Ack, Load, Shape};
use crate::rig::{Plan, Stores};
use crate::{Outcome, fault};

/// Bar of the longest time between two acknowledged writes.
const GAP_MAX_MS: f64 = 300.0;

/// What is done, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rolling restarts of all nodes.
    pub rounds: usize,
    /// Writes each second.
    pub rate: u32,
}

/// Restarts all nodes as often as told.
///
/// # Errors
/// When a request fails, or a promise did not hold.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let mut stores = Stores::start(Plan::new(3, root.path())).await?;
    let shape = Shape {
        rate: options.rate,
        keys: u64::MAX,
        value_bytes: 100,
        first: 0,
    };
    let load = Load::start(stores.clients(), shape);
    for round in 1..=options.rounds {
        for name in stores.names() {
            let led = stores.leader().await? == name;
            stores.stop(&name).await?;
            stores.restart(&name)?;
            stores.serving(&name).await?;
            let role = if led { "the leader" } else { "a follower" };
            eprintln!("round {round}: `{name}`, {role}, was stopped and is back");
        }
    }
    let log = load.stop().await?;
    let end = stores.converged().await?;
    fault::ensure(log.failed.is_empty(), || {
        let (failed, first) = (log.failed.len(), log.failed.first());
        format!("{failed} writes failed in spite of a retry, the first: {first:?}")
    })?;
    judge_all(&stores, &log).await?;
    let gap = milliseconds(longest_gap(&log.acks));
    Ok(Verdict {
        words: format!(
            "{} rolling restarts: {} writes, none failed, all are on all replicas; revision {}, \
             digest {:032x} everywhere",
            options.rounds,
            log.acks.len(),
            end.revision,
            end.digest
        ),
        figures: vec![Figure::new(
            "longest time between two acknowledged writes",
            gap,
            "ms",
            Bar::AtMost(GAP_MAX_MS),
        )],
    })
}

fn longest_gap(acks: &[Ack]) -> Duration {
    let pairs = acks.windows(2).map(|pair| (pair[0].ended, pair[1].ended));
    let gaps = pairs.map(|(earlier, later)| later.saturating_duration_since(earlier));
    gaps.max().unwrap_or_default()
}
