//! In which order a batch reaches the disk, and the end of a log that was opened again.

use std::io;

use super::record::{HEAD, Record};
use super::replay::Recovered;
use super::writer::{Batch, Writer};

/// A row of segments.
pub(crate) trait Medium {
    /// Returns once the segment exists, durably. Called before anything points to it.
    fn enter(&mut self, seq: u64) -> io::Result<()>;
    fn write(&mut self, seq: u64, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything written to the segment is durable.
    fn sync(&mut self, seq: u64) -> io::Result<()>;
    /// Writes a mark, which needs no sync.
    fn mark(&mut self, seq: u64, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Overwrites the segment with zeros from the offset on.
    fn scrub(&mut self, seq: u64, offset: u64) -> io::Result<()>;
}

/// Makes the batch durable, segment by segment: nothing of a segment is written before all of the one
/// before it is durable. Whoever wrote the batch may be told after this returns.
pub(crate) fn commit(batch: &Batch, medium: &mut impl Medium) -> io::Result<()> {
    let mut rest = &batch.bytes[..];
    for chunk in &batch.chunks {
        if chunk.seals {
            medium.enter(chunk.seq + 1)?;
        }
        let (bytes, others) = rest.split_at(chunk.len);
        medium.write(chunk.seq, chunk.offset, bytes)?;
        medium.sync(chunk.seq)?;
        rest = others;
    }
    match batch.chunks.last() {
        Some(chunk) => mark(medium, chunk.seq, batch.mark),
        None => Ok(()),
    }
}

/// Makes what was read durable and continues there. Without this, what a process wrote and did not sync before
/// it ended would be counted as durable by the next one.
pub(crate) fn resume(recovered: Recovered, medium: &mut impl Medium) -> io::Result<Writer> {
    let Recovered {
        index,
        segment_bytes,
        seq,
        mut offset,
        rest_is_zero,
        marked,
    } = recovered;
    if offset == 0 {
        medium.sync(seq - 1)?;
    }
    if !rest_is_zero {
        // A record of the torn batch may be whole further on, where it could one day seem to follow.
        medium.scrub(seq, offset)?;
    }
    medium.sync(seq)?;
    let seal = HEAD as u64;
    let room = offset + HEAD as u64 + seal <= segment_bytes;
    if !marked && room && offset > 0 {
        mark(medium, seq, offset)?;
        offset += HEAD as u64;
    }
    Ok(Writer::new(index, segment_bytes, seq, offset))
}

fn mark(medium: &mut impl Medium, seq: u64, offset: u64) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD);
    Record::Mark.encode(seq, offset, &mut bytes);
    medium.mark(seq, offset, &bytes)
}
