//! Resident memory of servers and agents that have nothing to do.

use std::time::Duration;

use crate::bench::figure::{Bar, Figure};
use crate::{Cluster, Outcome, process};

/// Allocators give back what start-up needed only after a while.
const SETTLE: Duration = Duration::from_secs(5);

/// The largest server and the largest agent, in MB, before any work was given to them.
///
/// # Errors
/// When a process has gone.
pub async fn idle(cluster: &Cluster) -> Outcome<Vec<Figure>> {
    tokio::time::sleep(SETTLE).await;
    let server = |what| largest(cluster, 's', what);
    let agent = |what| largest(cluster, 'a', what);
    let figure = |name, value, bar| Figure::new(name, value, "MB", bar);
    Ok(vec![
        figure("idle server, resident", server("VmRSS")?, Bar::AtMost(40.0)),
        figure(
            "idle server, of which its own (not mapped files)",
            server("RssAnon")?,
            Bar::None,
        ),
        figure("idle agent, resident", agent("VmRSS")?, Bar::AtMost(15.0)),
        figure(
            "idle agent, of which its own (not mapped files)",
            agent("RssAnon")?,
            Bar::None,
        ),
    ])
}

fn largest(cluster: &Cluster, initial: char, what: &str) -> Outcome<f64> {
    let mut largest = 0;
    for name in cluster.names().filter(|name| name.starts_with(initial)) {
        largest = largest.max(process::memory_kib(cluster.pid(name)?, what)?);
    }
    Ok(f64::from(u32::try_from(largest).unwrap_or(u32::MAX)) * 1_024.0 / 1_000_000.0)
}
