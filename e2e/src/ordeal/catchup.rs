//! A large store: how fast a replica is back, and what writers notice while one that lost everything
//! catches up.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use store::{Op, Txn};

use crate::bench::Figure;
use crate::bench::figure::{Bar, milliseconds, percentile};
use crate::node::Client;
use crate::ordeal::Verdict;
use crate::ordeal::load::{Load, Log, Shape, key, now_ms, value};
use crate::rig::{Plan, Stores};
use crate::{Fault, Outcome};

/// Items in one transaction while the store is filled, and transactions under way.
const FILL_BATCH: u64 = 100;
const FILL_WIDTH: usize = 16;
/// How long writers are measured while nothing happens.
const QUIET: Duration = Duration::from_secs(15);
/// Bars: seconds from the start of the process, and how much slower writers may become.
const COLD_MAX_S: f64 = 5.0;
const SLOWER_MAX: f64 = 2.0;

/// How large, and how busy.
#[derive(Clone, Debug)]
pub struct Options {
    /// Items in the store.
    pub items: u64,
    /// Bytes of each value.
    pub value: usize,
    /// Writes each second.
    pub rate: u32,
    /// How long writers are measured while nothing happens.
    pub quiet: Duration,
}

impl Options {
    /// The usual time of quiet.
    #[must_use]
    pub fn new(items: u64, value: usize, rate: u32) -> Self {
        Self {
            items,
            value,
            rate,
            quiet: QUIET,
        }
    }
}

/// Fills, restarts, wipes and rejoins.
///
/// # Errors
/// When a node does not come back, or replicas differ.
pub async fn run(options: &Options) -> Outcome<Verdict> {
    let root = tempfile::tempdir()?;
    let mut stores = Stores::start(Plan::new(3, root.path())).await?;
    let start = Instant::now();
    fill(&stores.client(&stores.leader().await?)?, options).await?;
    stores.converged().await?;
    eprintln!("{} items after {:.1?}", options.items, start.elapsed());

    let victim = follower(&stores).await?;
    let cold = cold_start(&mut stores, &victim).await?;
    eprintln!("`{victim}` served {cold:.1?} after its start");

    let writers = others(&stores, &victim)?;
    let quiet = Load::start(writers.clone(), shape(options, options.items));
    tokio::time::sleep(options.quiet).await;
    let quiet = quiet.stop().await?;

    stores.kill(&victim).await?;
    stores.wipe(&victim)?;
    let load = Load::start(writers, shape(options, quiet.next));
    let start = Instant::now();
    stores.rejoin(&victim).await?;
    stores.serving(&victim).await?;
    let took = start.elapsed();
    let busy = load.stop().await?;
    let end = stores.converged().await?;
    let failed = quiet.failed.len() + busy.failed.len();
    Ok(Verdict {
        words: format!(
            "{} items of {} bytes: a wiped replica caught up under {} writes a second, {failed} \
             failed; revision {}, digest {:032x} everywhere",
            options.items, options.value, options.rate, end.revision, end.digest
        ),
        figures: figures(cold, took, &quiet, &busy),
    })
}

fn shape(options: &Options, first: u64) -> Shape {
    Shape {
        rate: options.rate,
        keys: options.items,
        value_bytes: options.value,
        first,
    }
}

async fn fill(client: &Client, options: &Options) -> Outcome<()> {
    let batches = (0..options.items).step_by(usize::try_from(FILL_BATCH).unwrap_or(1));
    let writes = batches.map(async |first| {
        let last = options.items.min(first + FILL_BATCH);
        let put = |number| Op::Put {
            key: key(number),
            value: value(number, options.value),
        };
        let txn = Txn {
            request_id: 0,
            stamp_ms: now_ms(),
            guards: Vec::new(),
            ops: (first..last).map(put).collect(),
        };
        client.txn(txn).await.map(drop)
    });
    let writes = stream::iter(writes).buffer_unordered(FILL_WIDTH);
    Ok(writes.try_collect::<()>().await?)
}

async fn follower(stores: &Stores) -> Outcome<String> {
    let leader = stores.leader().await?;
    let mut names = stores.names().into_iter();
    let follower = names.find(|name| *name != leader);
    follower.ok_or_else(|| Fault::new("there is no follower"))
}

fn others(stores: &Stores, victim: &str) -> Outcome<Vec<Client>> {
    let names = stores.names();
    let others = names.iter().filter(|name| *name != victim);
    others.map(|name| stores.client(name)).collect()
}

async fn cold_start(stores: &mut Stores, name: &str) -> Outcome<Duration> {
    stores.stop(name).await?;
    let start = Instant::now();
    stores.restart(name)?;
    stores.serving(name).await?;
    Ok(start.elapsed())
}

fn figures(cold: Duration, took: Duration, quiet: &Log, busy: &Log) -> Vec<Figure> {
    let p99 = |log: &Log| {
        let latencies = log
            .acks
            .iter()
            .map(|ack| ack.ended.duration_since(ack.began));
        milliseconds(percentile(&latencies.collect::<Vec<_>>(), 99))
    };
    let (quiet, busy) = (p99(quiet), p99(busy));
    let bar = Bar::AtMost((quiet * SLOWER_MAX).round());
    vec![
        Figure::new(
            "start of a replica's process to its first read",
            cold.as_secs_f64(),
            "s",
            Bar::AtMost(COLD_MAX_S),
        ),
        Figure::new("writes while nothing happens, p99", quiet, "ms", Bar::None),
        Figure::new("writes while a replica catches up, p99", busy, "ms", bar),
        Figure::new(
            "an empty replica to its first read",
            took.as_secs_f64(),
            "s",
            Bar::None,
        ),
    ]
}
