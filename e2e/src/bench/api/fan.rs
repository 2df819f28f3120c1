//! Watch fan-out: every create is told to every watcher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;

use super::load::{self, Make};
use super::wire::{Lane, Lines};
use super::{Bench, Figures, Options, Progress, line, objects};
use crate::bench::figure::number;
use crate::bench::usage;
use crate::{Fault, Outcome, wait};

/// Connections that the watchers share.
const CONNECTIONS: usize = 32;

/// Those who create meanwhile.
const CREATORS: usize = 64;

/// Longest until the last watcher has everything.
const DELIVERED_MAX: Duration = Duration::from_secs(300);

/// Puts down what it has when one of the fan-outs fails, too.
pub(super) async fn measure(
    bench: &Bench,
    options: &Options,
    figures: &mut Figures,
    progress: Progress<'_>,
) -> Outcome<()> {
    let names = [line::FAN_FEW, line::FAN_MANY];
    for (turn, ((watchers, events), name)) in options.fans.into_iter().zip(names).enumerate() {
        let namespace = format!("fan-{turn}");
        bench.create_namespace(&namespace).await?;
        let before = usage::times(&bench.pids)?;
        let rate = run(bench, &namespace, watchers, events).await?;
        let used = usage::since(&before, &bench.pids)?.each(watchers * events);
        progress(&format!(
            "  {watchers} watchers, {events} events: {rate:.0}/s; {used}"
        ));
        figures.insert(name, rate);
    }
    figures.insert(line::FANNED, bench.resident_mb()?);
    Ok(())
}

/// Deliveries a second, from the first create to the last watcher having everything.
async fn run(bench: &Bench, namespace: &str, watchers: usize, events: usize) -> Outcome<f64> {
    let lanes = bench.dialer.dial_all(&bench.doors, CONNECTIONS).await?;
    let creators = bench.dialer.dial_all(&bench.doors, CONNECTIONS).await?;
    let mut watches = JoinSet::new();
    for lane in lanes.iter().cycle().take(watchers) {
        let lines = open(lane, namespace).await?;
        watches.spawn(follow(lines, events));
    }
    let create: Make = Arc::new({
        let namespace = namespace.to_owned();
        move |n| objects::post(&namespace, n)
    });
    let start = Instant::now();
    load::drive(&creators, CREATORS, 0..events, StatusCode::CREATED, &create).await?;
    while let Some(one) = watches.join_next().await {
        one??;
    }
    Ok(number(watchers * events) / start.elapsed().as_secs_f64())
}

async fn open(lane: &Lane, namespace: &str) -> Outcome<Lines> {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps?watch=1");
    Lines::open(lane, path).await
}

async fn follow(mut lines: Lines, events: usize) -> Outcome<()> {
    let all = async {
        let mut seen = 0;
        while seen < events {
            match lines.next().await? {
                Some(more) => seen += more,
                None => return Err(Fault::new(format!("a watch ended after {seen} events"))),
            }
        }
        Ok(())
    };
    wait::at_most("the delivery of all events", DELIVERED_MAX, all).await?
}
