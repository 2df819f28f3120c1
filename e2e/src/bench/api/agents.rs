//! Agents that each watch their own tasks by field selector, as agents do, while statuses change.
//!
//! No agent runs here: only its connection and its watch, with its own certificate's size and its
//! pings. Its one task is in a state the controllers leave alone, so that nothing but the updates of
//! this benchmark moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, StatusCode};
use tokio::task::JoinSet;

use super::load::{self, Make};
use super::wire::{Ask, JSON, Lane, Lines, MERGE_PATCH};
use super::{Bench, Figures, Options, Progress, line, resident_kib};
use crate::bench::figure::{milliseconds, number, percentile};
use crate::bench::usage;
use crate::{Fault, Outcome, fault, wait};

const NAMESPACE: &str = "default";

/// Agents ask an idle server this often whether it is there.
const PING: Duration = Duration::from_secs(5);

/// Handshakes under way at once.
const DIALING: usize = 64;

/// Connections that statuses are written over, and writes at once while tasks are made.
const WRITERS: usize = 8;
const MAKERS: usize = 64;

/// Until the servers have put away what the handshakes needed.
const SETTLE: Duration = Duration::from_secs(10);

/// Updates are sent this often, as many at a time as the rate asks for.
const TICK: Duration = Duration::from_millis(5);

/// Longest until a change is told.
const TOLD_MAX: Duration = Duration::from_secs(30);

/// The names of the lines, which depend on how connections are used.
struct Names {
    rate: &'static str,
    p50: &'static str,
    p99: &'static str,
    memory: &'static str,
}

const ALONE: Names = Names {
    rate: line::AGENTS_RATE,
    p50: line::AGENTS_P50,
    p99: line::AGENTS_P99,
    memory: line::AGENTS_MEMORY,
};

const SHARED: Names = Names {
    rate: line::SHARED_RATE,
    p50: line::SHARED_P50,
    p99: line::SHARED_P99,
    memory: line::SHARED_MEMORY,
};

/// What the far ends have seen.
struct Board {
    start: Instant,
    /// Microseconds after the start at which each agent's task was last changed; 0 once it was told.
    sent: Vec<AtomicU64>,
    told: Vec<AtomicU64>,
}

pub(super) async fn measure(
    bench: &Bench,
    doors: &[String],
    options: &Options,
    connections: usize,
    progress: Progress<'_>,
) -> Outcome<Figures> {
    let agents = options.agents;
    let names = if connections < agents { SHARED } else { ALONE };
    tokio::time::sleep(SETTLE).await;
    let before = total_kib(&bench.pids)?;
    let start = Instant::now();
    let lanes = dial(bench, doors, connections.min(agents)).await?;
    let board = Arc::new(Board {
        start,
        sent: (0..agents).map(|_| AtomicU64::new(0)).collect(),
        told: (0..agents).map(|_| AtomicU64::new(0)).collect(),
    });
    let mut watches = watch(&lanes, &board).await?;
    progress(&format!(
        "  {agents} watches over {} connections after {:?}",
        lanes.len(),
        start.elapsed()
    ));
    tokio::time::sleep(SETTLE).await;
    let grown = total_kib(&bench.pids)?.saturating_sub(before);
    let mut figures = Figures::new();
    figures.insert(names.memory, number(grown) * 1.024 / number(agents.max(1)));
    let writers = bench.dialer.dial_all(&bench.doors, WRITERS).await?;
    load::drive(&writers, MAKERS, 0..agents, StatusCode::CREATED, &created()).await?;
    all_told(&board, &mut watches).await?;
    load::drive(&writers, MAKERS, 0..agents, StatusCode::OK, &left_alone()).await?;
    all_told(&board, &mut watches).await?;
    let before = usage::times(&bench.pids)?;
    let (samples, rate) = update(&writers, &board, options, &mut watches).await?;
    let used = usage::since(&before, &bench.pids)?.each(samples.len());
    figures.insert(names.rate, rate);
    figures.insert(names.p50, milliseconds(percentile(&samples, 50)));
    figures.insert(names.p99, milliseconds(percentile(&samples, 99)));
    progress(&format!("  {figures:?}; {used}"));
    Ok(figures)
}

fn total_kib(pids: &[u32]) -> Outcome<usize> {
    pids.iter().map(|pid| resident_kib(*pid)).sum()
}

async fn dial(bench: &Bench, doors: &[String], count: usize) -> Outcome<Vec<Lane>> {
    let dialer = bench.dialer.clone().pinging(PING);
    let addresses: Vec<String> = doors.iter().cycle().take(count).cloned().collect();
    let dialing = futures::stream::iter(addresses).map(|address| {
        let dialer = dialer.clone();
        async move { dialer.dial(&address).await }
    });
    let dialed: Vec<Outcome<Lane>> = dialing.buffer_unordered(DIALING).collect().await;
    dialed.into_iter().collect()
}

/// Starts the watch of every agent; the tasks run for as long as the connections do.
async fn watch(lanes: &[Lane], board: &Arc<Board>) -> Outcome<JoinSet<Outcome<()>>> {
    let all = lanes.iter().cycle().take(board.sent.len()).enumerate();
    let opening = futures::stream::iter(all).map(|(agent, lane)| async move {
        let path = format!(
            "/apis/stoa.dev/v1/tasks?watch=1&allowWatchBookmarks=true&fieldSelector=spec.agent%3D{}",
            name(agent)
        );
        Ok::<_, Fault>((agent, Lines::open(lane, path).await?))
    });
    let mut opening = opening.buffer_unordered(DIALING);
    let mut watches = JoinSet::new();
    while let Some(opened) = opening.next().await {
        let (agent, lines) = opened?;
        watches.spawn(follow(agent, lines, Arc::clone(board)));
    }
    Ok(watches)
}

async fn follow(agent: usize, mut lines: Lines, board: Arc<Board>) -> Outcome<()> {
    while let Some(count) = lines.next().await? {
        if count > 0 {
            board.tell(agent);
        }
    }
    Err(Fault::new("a watch ended"))
}

impl Board {
    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn send(&self, agent: usize) {
        self.sent[agent].store(self.now_us(), Ordering::Relaxed);
    }

    /// A change was told; how long it took stays on the board.
    fn tell(&self, agent: usize) {
        let sent = self.sent[agent].swap(0, Ordering::Relaxed);
        // Somebody else's change counts only where ours is not told of yet.
        if sent > 0 || !self.is_told(agent) {
            let took = if sent == 0 { 1 } else { self.now_us() - sent };
            self.told[agent].store(took.max(1), Ordering::Relaxed);
        }
    }

    fn is_told(&self, agent: usize) -> bool {
        self.told[agent].load(Ordering::Relaxed) > 0
    }

    fn take(&self, agent: usize) -> Duration {
        Duration::from_micros(self.told[agent].swap(0, Ordering::Relaxed))
    }
}

/// Waits until every agent was told of something, and clears the board.
async fn all_told(board: &Board, watches: &mut JoinSet<Outcome<()>>) -> Outcome<()> {
    wait_for_all(board, watches).await?;
    for agent in 0..board.told.len() {
        board.take(agent);
    }
    Ok(())
}

async fn wait_for_all(board: &Board, watches: &mut JoinSet<Outcome<()>>) -> Outcome<()> {
    wait::until("every agent to be told of its task", TOLD_MAX, async || {
        none_ended(watches)?;
        let silent = (0..board.told.len()).filter(|agent| !board.is_told(*agent));
        match silent.count() {
            0 => Ok(()),
            silent => Err(Fault::new(format!("{silent} were told nothing"))),
        }
    })
    .await
}

fn none_ended(watches: &mut JoinSet<Outcome<()>>) -> Outcome<()> {
    match watches.try_join_next() {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

/// One task for each agent, bound to it.
fn created() -> Make {
    Arc::new(|agent| {
        let name = name(agent);
        let text = format!(
            "{{\"metadata\":{{\"name\":\"{name}\"}},\"spec\":{{\"framework\":\"bench\",\"command\":[\"/bin/true\"],\
             \"resources\":{{\"cpus\":\"1\",\"mem\":\"16Mi\"}},\"agent\":\"{name}\"}}}}"
        );
        let path = format!("/apis/stoa.dev/v1/namespaces/{NAMESPACE}/tasks");
        Ask::new(Method::POST, path, JSON, text.into())
    })
}

/// Brought into a state that controllers leave alone.
fn left_alone() -> Make {
    Arc::new(|agent| patch(agent, "{\"status\":{\"state\":\"Unknown\"}}"))
}

/// Updates the statuses in turn at the rate asked for; how long each took to be told, and the rate.
async fn update(
    lanes: &[Lane],
    board: &Arc<Board>,
    options: &Options,
    watches: &mut JoinSet<Outcome<()>>,
) -> Outcome<(Vec<Duration>, f64)> {
    let agents = options.agents;
    let total = options.updates_per_s * options.agents_s;
    let start = Instant::now();
    let mut writes = JoinSet::new();
    let mut samples = Vec::with_capacity(total);
    let mut ticks = tokio::time::interval(TICK);
    let mut sent = 0;
    while sent < total {
        ticks.tick().await;
        let due = options.updates_per_s * start.elapsed().as_millis() as usize / 1_000;
        while sent < due.min(total) {
            let agent = sent % agents;
            if sent >= agents {
                samples.push(told(board, agent).await?);
            }
            board.send(agent);
            let lane = lanes[sent % lanes.len()].clone();
            let ask = patch(agent, &format!("{{\"status\":{{\"message\":\"{sent}\"}}}}"));
            writes.spawn(async move { lane.call(ask, StatusCode::OK).await });
            sent += 1;
        }
        while let Some(written) = writes.try_join_next() {
            written??;
        }
        none_ended(watches)?;
    }
    let rate = number(total) / start.elapsed().as_secs_f64();
    for written in writes.join_all().await {
        written?;
    }
    let last = sent.saturating_sub(agents)..sent;
    for n in last {
        samples.push(told(board, n % agents).await?);
    }
    fault::ensure(samples.len() == total, || {
        format!("{} of {total} were told", samples.len())
    })?;
    Ok((samples, rate))
}

/// How long the last change of this agent's task took to be told; waits for it if need be.
async fn told(board: &Board, agent: usize) -> Outcome<Duration> {
    if !board.is_told(agent) {
        let what = format!("{} to be told", name(agent));
        wait::until(&what, TOLD_MAX, async || {
            fault::ensure(board.is_told(agent), || "it was not".to_owned())
        })
        .await?;
    }
    Ok(board.take(agent))
}

fn patch(agent: usize, body: &str) -> Ask {
    let path = format!(
        "/apis/stoa.dev/v1/namespaces/{NAMESPACE}/tasks/{}/status",
        name(agent)
    );
    let body = Bytes::copy_from_slice(body.as_bytes());
    Ask::new(Method::PATCH, path, MERGE_PATCH, body)
}

fn name(agent: usize) -> String {
    format!("agent-{agent:05}")
}
