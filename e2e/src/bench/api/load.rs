//! Clients in closed loops over shared connections, until so many requests are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;

use super::wire::{Ask, Lane};
use crate::bench::figure::{milliseconds, number, percentile};
use crate::{Outcome, wait};

/// Longest one call may take: beyond this a server is not slow but stuck.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Makes the n-th request.
pub(super) type Make = Arc<dyn Fn(usize) -> Ask + Send + Sync>;

/// What came of it.
pub(super) struct Load {
    samples: Vec<Duration>,
    took: Duration,
}

impl Load {
    /// Calls per second.
    pub(super) fn rate(&self) -> f64 {
        number(self.samples.len()) / self.took.as_secs_f64()
    }

    /// The time within which `percent` of the calls were answered.
    pub(super) fn milliseconds(&self, percent: usize) -> f64 {
        milliseconds(percentile(&self.samples, percent))
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms, longest {:.1} ms",
            self.rate(),
            self.milliseconds(50),
            self.milliseconds(99),
            self.milliseconds(100)
        )
    }
}

/// Sends the requests of this range, each answered with this status, from so many clients at once.
pub(super) async fn drive(
    lanes: &[Lane],
    clients: usize,
    range: std::ops::Range<usize>,
    expected: StatusCode,
    make: &Make,
) -> Outcome<Load> {
    let next = Arc::new(AtomicUsize::new(range.start));
    let start = Instant::now();
    let mut running = JoinSet::new();
    for lane in lanes.iter().cycle().take(clients) {
        let (lane, next, make) = (lane.clone(), Arc::clone(&next), Arc::clone(make));
        running.spawn(client(lane, next, range.end, expected, make));
    }
    let mut samples = Vec::with_capacity(range.len());
    while let Some(one) = running.join_next().await {
        samples.extend(one??);
    }
    Ok(Load {
        samples,
        took: start.elapsed(),
    })
}

async fn client(
    lane: Lane,
    next: Arc<AtomicUsize>,
    end: usize,
    expected: StatusCode,
    make: Make,
) -> Outcome<Vec<Duration>> {
    let mut samples = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            return Ok(samples);
        }
        let asked = Instant::now();
        let call = lane.call(make(number), expected);
        wait::at_most("a call", CALL_MAX, call).await??;
        samples.push(asked.elapsed());
    }
}
