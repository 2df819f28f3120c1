//! Measures durable puts per second and memory on one replica and on three in this process, over TLS
//! on loopback.
//!
//! `cargo run -p stoa-store --release --example puts [-- <replicas>]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and prints"
)]

#[path = "../tests/cluster/support.rs"]
mod support;

use std::time::{Duration, Instant};

/// As in `stoa-e2e`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use store::Store;
use support::{Cluster, Replica, converged, leader, must_put};

const RUN: Duration = Duration::from_secs(3);
const VALUE: usize = 1024;
/// Checkpoints end and idle threads go in this time.
const QUIET: Duration = Duration::from_secs(12);

#[tokio::main]
async fn main() {
    let only: Option<usize> = std::env::args().nth(1).and_then(|arg| arg.parse().ok());
    let clusters = [&["a"][..], &["a", "b", "c"]];
    for names in clusters
        .into_iter()
        .filter(|names| only.is_none_or(|only| only == names.len()))
    {
        let mut cluster = Cluster::new(names).await;
        cluster.limits = store::Limits::default();
        let replicas = cluster.start_all().await;
        let leading = leader(&replicas).await;
        rss("idle");
        let follower = (leading + 1) % replicas.len();
        for writers in [1, 64, 256] {
            measure("leader", names.len(), &replicas[leading].store, writers).await;
            measure("follower", names.len(), &replicas[follower].store, writers).await;
        }
        stages(&replicas[leading].store);
        barriers(&replicas[follower].store).await;
        rss("loaded");
        tokio::time::sleep(QUIET).await;
        rss("quiet");
        let replicas = if replicas.len() == 3 {
            fail_over(&cluster, replicas).await
        } else {
            replicas
        };
        converged(
            &replicas
                .iter()
                .map(|replica| &replica.store)
                .collect::<Vec<_>>(),
        )
        .await;
    }
}

fn rss(when: &str) {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status
            .lines()
            .filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"))
            .for_each(|line| println!("{when}: {line}"));
    }
}

/// Kills the leader a few times and measures until a follower's write is acknowledged.
async fn fail_over(cluster: &Cluster, mut replicas: Vec<Replica>) -> Vec<Replica> {
    for _ in 0..5 {
        let leading = leader(&replicas).await;
        let victim = replicas.remove(leading);
        let name = victim.store.status().name;
        let killed = Instant::now();
        victim.kill().await;
        must_put(&replicas[0].store, "failover", name.clone()).await;
        println!(
            "leader killed, next write acknowledged after {:?}",
            killed.elapsed()
        );
        replicas.push(cluster.start(&name).await);
        converged(
            &replicas
                .iter()
                .map(|replica| &replica.store)
                .collect::<Vec<_>>(),
        )
        .await;
    }
    replicas
}

/// Processor time of this process so far.
fn processor() -> Duration {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        usage.tv_sec.unsigned_abs(),
        u32::try_from(usage.tv_nsec).unwrap_or(0),
    )
}

async fn measure(through: &str, replicas: usize, store: &Store, writers: usize) {
    let started = Instant::now();
    let before = processor();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| tokio::spawn(write(store.clone(), writer, started)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
    let cost = (processor() - before).as_secs_f64() * 1e6 / latencies.len() as f64;
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    println!(
        "{replicas} replicas, {writers} writers through the {through}: {rate:.0} puts/s, p50 {:?}, p99 {:?}, {cost:.0} µs of processor each",
        at(50),
        at(99)
    );
}

async fn write(store: Store, writer: usize, started: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    while started.elapsed() < RUN {
        let begun = Instant::now();
        let value = vec![latencies.len() as u8; VALUE];
        must_put(
            &store,
            format!("key-{writer}-{}", latencies.len() % 100),
            value,
        )
        .await;
        latencies.push(begun.elapsed());
    }
    latencies
}

async fn barriers(store: &Store) {
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < RUN {
        store.barrier().await.unwrap();
        count += 1;
    }
    println!(
        "barriers one by one: {:.0}/s",
        f64::from(count) / started.elapsed().as_secs_f64()
    );
}

/// Sums and counts of the store's own figures: what a stage cost is one by the other.
fn stages(store: &Store) {
    let mut registry = prometheus_client::registry::Registry::default();
    store.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in text
        .lines()
        .filter(|l| !l.starts_with('#') && (l.contains("_sum") || l.contains("_count")))
    {
        println!("  {line}");
    }
}
