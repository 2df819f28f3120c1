//! What one write costs, beside the floor of the same disk in the same run.

use std::fmt;

use crate::Outcome;
use crate::bench::store::floor::{self, Floor};
use crate::bench::store::load::{Lanes, Load, Shape, VALUE_BYTES, Work};
use crate::bench::store::system::Running;
use crate::bench::store::{Options, Sides, System};

/// Writers at a time; as many values make up one write of the floor.
const WRITERS: [usize; 3] = [1, 16, 128];

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    writers: usize,
    floor: Floor,
    loads: Sides<Load>,
}

/// The floors first, with no system running, then each system.
///
/// # Errors
/// When a system cannot be started, or the disk refuses.
pub async fn measure(options: &Options) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for writers in WRITERS {
        let bytes = writers * VALUE_BYTES;
        rows.push(Row {
            writers,
            floor: floor::measure(&options.root, bytes, options.floor_rounds)?,
            loads: Sides::default(),
        });
    }
    for system in System::BOTH {
        drive(options, system, &mut rows).await?;
    }
    Ok(rows)
}

async fn drive(options: &Options, system: System, rows: &mut [Row]) -> Outcome<()> {
    let folder = options.folder(system)?;
    let running = Running::start(system, folder.path()).await?;
    for row in rows {
        let shape = Shape {
            work: Work::Put,
            clients: row.writers,
            warm_up: options.warm_up,
            window: options.window,
        };
        let mut lanes = Lanes::connect(&running.doors(options.wire)?, row.writers).await?;
        *row.loads.of(system) = lanes.drive(&shape, &running.pids()).await?;
    }
    running.stop().await
}

impl Row {
    /// The line above the table.
    #[must_use]
    pub fn heading() -> String {
        format!(
            "{:<8} {:>10} {:>10} | {:>9} {:>9} {:>9} {:>8} | {:>9} {:>9} {:>9} {:>8}",
            "writers",
            "floor p50",
            "floor p99",
            "etcd p50",
            "p99",
            "puts/s",
            "× floor",
            "stoa p50",
            "p99",
            "puts/s",
            "× floor"
        )
    }

    /// True when every write succeeded.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.loads.etcd.errors + self.loads.stoa.errors == 0
    }

    fn side(&self, load: &Load) -> String {
        let p50 = load.milliseconds(50);
        format!(
            "{p50:>9.3} {:>9.3} {:>9.0} {:>8.1}",
            load.milliseconds(99),
            load.rate(),
            p50 / self.floor.p50_ms
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {:>10.3} {:>10.3} | {} | {}",
            self.writers,
            self.floor.p50_ms,
            self.floor.p99_ms,
            self.side(&self.loads.etcd),
            self.side(&self.loads.stoa)
        )?;
        if self.is_good() {
            Ok(())
        } else {
            f.write_str("  ERRORS")
        }
    }
}
