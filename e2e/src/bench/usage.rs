//! What processes use: processor time and memory, from `/proc`.

use std::fs;
use std::time::Duration;

use crate::bench::figure::number;
use crate::{Fault, Outcome, process};

/// Linux counts the processor time of processes in hundredths of a second, whatever its own clock.
const TICK: Duration = Duration::from_millis(10);

/// What was used meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time of all members together.
    pub(super) servers: Duration,
    /// Processor time of this process.
    pub(super) client: Duration,
    /// Memory of the largest member at the end.
    pub(super) resident_mb: f64,
}

impl Usage {
    /// Microseconds of the servers and of the client for each of so many.
    pub(super) fn each(&self, count: usize) -> String {
        let us = |time: Duration| time.as_secs_f64() * 1e6 / number(count.max(1));
        let (servers, client) = (us(self.servers), us(self.client));
        format!("processor time of each: servers {servers:.2} us, client {client:.2} us")
    }
}

/// Processor time so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    servers: Duration,
    client: Duration,
}

/// The times of the members and of this process.
pub(super) fn times(servers: &[u32]) -> Outcome<Times> {
    Ok(Times {
        servers: servers.iter().map(|pid| time(*pid)).sum::<Outcome<_>>()?,
        client: time(std::process::id())?,
    })
}

/// What was used since then, and what is resident now.
pub(super) fn since(before: &Times, servers: &[u32]) -> Outcome<Usage> {
    let now = times(servers)?;
    Ok(Usage {
        servers: now.servers.saturating_sub(before.servers),
        client: now.client.saturating_sub(before.client),
        resident_mb: largest(&memory_mb(servers, "VmRSS")?),
    })
}

/// Processor time a process has used, in user mode and in the kernel.
fn time(pid: u32) -> Outcome<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&text);
    ticks
        .map(|ticks| TICK * ticks)
        .ok_or_else(|| Fault::new(format!("/proc/{pid}/stat is not as proc(5) says")))
}

/// Fields 14 and 15; the second one is a name in brackets, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A figure of `/proc/PID/status` for each process.
pub(super) fn memory_mb(pids: &[u32], name: &str) -> Outcome<Vec<f64>> {
    let one = |pid: &u32| {
        let kib = process::memory_kib(*pid, name)?;
        Ok(number(usize::try_from(kib)?) * 1_024.0 / 1_000_000.0)
    };
    pids.iter().map(one).collect()
}

/// The largest; zero of none.
pub(super) fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 10 0 0 0 31 11 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (x) S 1"), None);
    }
}
