//! Memory of each member with many keys, when it has nothing to do any more.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::bench::figure::{Bar, number};
use crate::bench::store::load::{FILLERS, Lanes};
use crate::bench::store::system::Running;
use crate::bench::store::{Options, Progress, Row, Sides, System};
use crate::bench::usage;

/// Allocators and garbage collectors give back what the writing needed only after a while.
const SETTLE: Duration = Duration::from_secs(20);

/// What one system needs.
#[derive(Clone, Debug, Default)]
struct Filled {
    /// Keys written per second.
    rate: f64,
    /// `VmRSS` of each member.
    resident: Vec<f64>,
    /// `RssAnon` of each member: without mapped files, which the kernel may take back.
    own: Vec<f64>,
}

/// Fills each system with the same keys in turn.
///
/// # Errors
/// When a system cannot be started, or does not take a key.
pub async fn measure(options: &Options, progress: Progress<'_>) -> Outcome<Vec<Row>> {
    let mut filled = Sides::<Filled>::default();
    for system in System::BOTH {
        *filled.of(system) = fill(options, system).await?;
        progress(&format!(
            "{system} with {} keys: {:?}",
            options.keys,
            filled.of(system)
        ));
    }
    let row = |what: &str, unit, bar, of: &dyn Fn(&Filled) -> f64| {
        let name = format!("{} keys: {what}", options.keys);
        Row::new(name, unit, filled.map(of), bar)
    };
    let sum = |values: &[f64]| values.iter().sum();
    Ok(vec![
        row("filled", "/s", Bar::None, &|f| f.rate),
        row(
            "largest member, resident",
            "MB",
            Bar::AtMost(1.0 / 3.0),
            &|f| usage::largest(&f.resident),
        ),
        row(
            "largest member, without mapped files",
            "MB",
            Bar::None,
            &|f| usage::largest(&f.own),
        ),
        row("all members, resident", "MB", Bar::None, &|f| {
            sum(&f.resident)
        }),
        row("all members, without mapped files", "MB", Bar::None, &|f| {
            sum(&f.own)
        }),
    ])
}

async fn fill(options: &Options, system: System) -> Outcome<Filled> {
    let folder = options.folder(system)?;
    let running = Running::start(system, folder.path()).await?;
    let lanes = Lanes::connect(&running.doors(options.wire)?, FILLERS).await?;
    let start = Instant::now();
    lanes.fill(options.keys).await?;
    let rate = number(options.keys) / start.elapsed().as_secs_f64();
    drop(lanes);
    tokio::time::sleep(SETTLE.min(options.window * 4)).await;
    let filled = Filled {
        rate,
        resident: usage::memory_mb(&running.pids(), "VmRSS")?,
        own: usage::memory_mb(&running.pids(), "RssAnon")?,
    };
    running.stop().await?;
    Ok(filled)
}
