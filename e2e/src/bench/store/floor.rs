//! The floor under every durable write on this disk: a bare pwrite and fdatasync of as many bytes.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::fdatasync;
use rustix::io::pwrite;

use crate::Outcome;
use crate::bench::figure::{milliseconds, percentile};

/// How long one write takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Floor {
    pub(in crate::bench) p50_ms: f64,
    pub(in crate::bench) p99_ms: f64,
}

/// Writes `rounds` batches of `bytes` one behind the other into a file that is all zeros already, so
/// that fdatasync has no metadata to write: what a preallocated log costs at best.
pub(in crate::bench) fn measure(folder: &Path, bytes: usize, rounds: usize) -> Outcome<Floor> {
    let path = folder.join("floor");
    std::fs::write(&path, vec![0; bytes * rounds])?;
    let file = File::options().write(true).open(&path)?;
    file.sync_all()?;
    let batch = vec![0xa5; bytes];
    let mut samples = Vec::with_capacity(rounds);
    for round in 0..rounds {
        samples.push(write(&file, &batch, (round * bytes) as u64)?);
    }
    std::fs::remove_file(&path)?;
    Ok(Floor {
        p50_ms: milliseconds(percentile(&samples, 50)),
        p99_ms: milliseconds(percentile(&samples, 99)),
    })
}

fn write(file: &File, batch: &[u8], offset: u64) -> Outcome<Duration> {
    let start = Instant::now();
    let mut written = 0;
    while written < batch.len() {
        written += pwrite(file, &batch[written..], offset + written as u64)?;
    }
    fdatasync(file)?;
    Ok(start.elapsed())
}
