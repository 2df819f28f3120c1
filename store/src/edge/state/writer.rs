//! Writes one state file, durably, without getting in the way of the log.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::edge::files;
use crate::faults::{Faults, Point};

const BUFFER_BYTES: usize = 1 << 20;
/// Dirty pages never pile up beyond this: the log's fdatasync would have to wait for them.
const UNSYNCED_BYTES: usize = 8 << 20;

/// Returns the file's length once file and directory entry are durable. Blocks.
pub(super) fn write(
    path: &Path,
    blocks: impl Iterator<Item = Vec<u8>>,
    faults: &Faults,
) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
    let (mut bytes, mut unsynced) = (0, 0);
    for block in blocks {
        faults.hit(Point::CheckpointWrite)?;
        out.write_all(&block)?;
        bytes += block.len() as u64;
        unsynced += block.len();
        if unsynced >= UNSYNCED_BYTES {
            out.flush()?;
            out.get_ref().sync_data()?;
            unsynced = 0;
        }
    }
    out.flush()?;
    faults.hit(Point::CheckpointSync)?;
    out.get_ref().sync_all()?;
    files::sync_dir(files::parent(path))?;
    Ok(bytes)
}
