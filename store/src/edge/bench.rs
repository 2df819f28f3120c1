//! What one durable write costs, beside what the disk alone would take: the floor under every latency
//! the benchmarks print.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::edge::log::LogStore;
use crate::edge::metrics::Metrics;
use crate::edge::wal::{self, waiter::Waiter};
use crate::faults::Faults;

const SEGMENT_BYTES: u64 = 16 << 20;
/// The bare file is written round and round.
const FLOOR_BYTES: u64 = 16 << 20;
/// Not counted: the first writes find cold caches.
const WARM_UP: usize = 20;
/// Entries kept while the log grows, so that its segments are recycled.
const KEPT: u64 = 1000;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Entries that share one sync, as those of so many concurrent writers do.
    pub writers: usize,
    /// Bytes of each entry.
    pub bytes: usize,
    /// Median of one pwrite and one fdatasync of as many bytes, on a file filled with zeros before.
    pub floor_p50_us: f64,
    /// Median of one append to the log, until its callback.
    pub log_p50_us: f64,
}

/// Measures floor and log in turns, in this directory, which is left empty. Blocks; every row takes
/// `rounds` pairs of writes.
///
/// # Errors
/// When the directory cannot be written.
pub fn log_floor(dir: &Path, sizes: &[(usize, usize)], rounds: usize) -> io::Result<Vec<Row>> {
    let (path, bare_path) = (dir.join("bench-log"), dir.join("bench-floor"));
    wal::ensure(&path, SEGMENT_BYTES, None)?;
    let log = LogStore::new(
        wal::open(&path, &Faults::default())?,
        Arc::new(|_| {}),
        Metrics::default(),
    )?;
    let mut bench = Bench {
        floor: Floor::new(&bare_path)?,
        log: Log { log, next: 0 },
    };
    let rows = sizes
        .iter()
        .map(|(writers, bytes)| bench.row(*writers, *bytes, rounds));
    let rows = rows.collect();
    bench.log.log.close();
    futures::executor::block_on(bench.log.log.closed());
    std::fs::remove_dir_all(path)?;
    std::fs::remove_file(bare_path)?;
    rows
}

struct Bench {
    floor: Floor,
    log: Log,
}

struct Floor {
    file: File,
    offset: u64,
}

struct Log {
    log: LogStore,
    next: u64,
}

impl Bench {
    fn row(&mut self, writers: usize, bytes: usize, rounds: usize) -> io::Result<Row> {
        let (mut floor, mut log) = (Vec::new(), Vec::new());
        let payload = Bytes::from(vec![0x5a; bytes]);
        let bare = vec![0x5a; bytes * writers];
        for _ in 0..WARM_UP + rounds {
            floor.push(timed(|| self.floor.write(&bare))?);
            log.push(timed(|| self.log.write(&payload, writers))?);
            self.log.purge()?;
        }
        Ok(Row {
            writers,
            bytes,
            floor_p50_us: median_us(floor.split_off(WARM_UP)),
            log_p50_us: median_us(log.split_off(WARM_UP)),
        })
    }
}

impl Floor {
    fn new(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        for offset in (0..FLOOR_BYTES).step_by(1 << 20) {
            file.write_all_at(&vec![0; 1 << 20], offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.offset + bytes.len() as u64 > FLOOR_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.file.sync_data()
    }
}

impl Log {
    fn write(&mut self, payload: &Bytes, count: usize) -> io::Result<()> {
        let indexes = self.next..self.next + count as u64;
        let entries: Vec<_> = indexes.map(|index| ((1, index), payload.clone())).collect();
        self.next += count as u64;
        let (done, wait) = oneshot::channel();
        self.log.append_then(&entries, Waiter::Caller(done))?;
        wait.blocking_recv().map_err(io::Error::other)?
    }

    /// Now and then, and outside the measured time, as checkpoints do it.
    fn purge(&self) -> io::Result<()> {
        let purged = self.log.state().purged.map_or(0, |(_, index)| index);
        if self.next - purged > 10 * KEPT {
            self.log.forget((1, self.next - KEPT))?;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is a stop watch")]
fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let start = std::time::Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    median.as_secs_f64() * 1e6
}
