//! Writes one state file, durably, without getting in the way of the log.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::edge::files;
use crate::faults::{Faults, Point};
use crate::values::Unread;

const BUFFER_BYTES: usize = 1 << 20;
/// Dirty pages never pile up beyond this: the log's fdatasync would have to wait for them.
const UNSYNCED_BYTES: usize = 512 << 10;
/// Rest after each sync, in times of what it took.
const REST: u32 = 3;
/// Longest rest between two syncs.
const REST_MAX: Duration = Duration::from_millis(50);

/// Leaves the disk to the log for three quarters of the time, unless there is reason to hurry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<AtomicBool>);

impl Pace {
    pub(crate) fn hurry(&self, hurry: bool) {
        self.0.store(hurry, Ordering::Relaxed);
    }

    pub(super) fn rest(&self, worked: Duration) {
        if !self.0.load(Ordering::Relaxed) {
            std::thread::sleep((worked * REST).min(REST_MAX));
        }
    }
}

/// Returns the file's length once file and directory entry are durable. Blocks.
pub(super) fn write(
    path: &Path,
    blocks: impl Iterator<Item = Result<Vec<u8>, Unread>>,
    faults: &Faults,
    pace: &Pace,
) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
    let (mut bytes, mut unsynced) = (0, 0);
    let mut began = Instant::now();
    for block in blocks {
        let block = block?;
        faults.hit(Point::CheckpointWrite)?;
        out.write_all(&block)?;
        bytes += block.len() as u64;
        unsynced += block.len();
        if unsynced >= UNSYNCED_BYTES {
            out.flush()?;
            out.get_ref().sync_data()?;
            unsynced = 0;
            pace.rest(began.elapsed());
            began = Instant::now();
        }
    }
    out.flush()?;
    faults.hit(Point::CheckpointSync)?;
    out.get_ref().sync_all()?;
    files::sync_dir(files::parent(path))?;
    Ok(bytes)
}
