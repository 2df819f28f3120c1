//! A replica that granted a vote must know it after a crash: one that forgets may grant another in the
//! same epoch, and then two leaders decide differently.
//!
//! Clients see an epoch only in what a replica says of itself, so that is what is held to its word:
//! killed the moment it reports an epoch it voted in, and started alone, it must report no earlier one.

use std::time::{Duration, Instant};

use store::Role;

use crate::node::Client;
use crate::ordeal::Verdict;
use crate::rig::{Plan, Stores};
use crate::{Fault, Outcome, fault, wait};

/// Longest until somebody votes after the leader's death.
const VOTE_MAX: Duration = Duration::from_secs(20);
/// Longest until a replica that stands alone says how it is.
const WORD_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks, far below the time messages are held up.
const LOOK: Duration = Duration::from_millis(2);
/// Messages between replicas take this long, so that a vote is granted well before anything that
/// follows it arrives.
const SLOW: &str = "peer-send=delay:60";

/// What is done, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Elections that are broken off.
    pub elections: usize,
    /// Failpoints of all nodes, for the proof that a lie is caught.
    pub faults: String,
}

/// Breaks off as many elections as told.
///
/// # Errors
/// When a replica forgot an epoch in which it had voted.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let faults = [SLOW, &options.faults].join(",");
    let mut stores = Stores::start(Plan::new(3, root.path()).faults(&faults)).await?;
    for election in 1..=options.elections {
        let held = break_off(&mut stores, election).await;
        held.map_err(|fault| fault.while_doing(&format!("election {election}")))?;
    }
    stores.converged().await?;
    Ok(Verdict {
        words: format!(
            "{} elections broken off: no replica forgot an epoch in which it had voted",
            options.elections
        ),
        figures: Vec::new(),
    })
}

async fn break_off(stores: &mut Stores, election: usize) -> Outcome<()> {
    let leader = stores.leader().await?;
    let epoch = stores.client(&leader)?.status().await?.status.epoch;
    stores.kill(&leader).await?;
    let (voter, voted) = voter(stores, epoch).await?;
    stores.kill_all().await?;
    eprintln!("election {election}: `{voter}` reported epoch {voted}, and all were killed");
    stores.restart(&voter)?;
    let known = alone(&stores.client(&voter)?).await?;
    fault::ensure(known >= voted, || {
        format!("`{voter}` had voted in epoch {voted} and came back in epoch {known}")
    })?;
    for name in stores.names() {
        if name != voter {
            stores.restart(&name)?;
        }
    }
    stores.ready().await
}

/// The first follower that reports an epoch after this one, and the epoch.
async fn voter(stores: &Stores, epoch: u64) -> Outcome<(String, u64)> {
    let start = Instant::now();
    while start.elapsed() < VOTE_MAX {
        for (name, report) in stores.statuses().await {
            let status = report.status;
            if status.role == Role::Follower && status.epoch > epoch {
                return Ok((name, status.epoch));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Fault::new(format!("nobody votes within {VOTE_MAX:?}")))
}

/// The epoch a replica knows that reaches nobody.
async fn alone(client: &Client) -> Outcome<u64> {
    wait::until("a word of the replica", WORD_MAX, async || {
        Ok(client.status().await?.status.epoch)
    })
    .await
}
