//! Gives every record its place and gathers records into the next batch.

use bytes::Bytes;

use super::cache::Cache;
use super::index::{Illegal, Index};
use super::record::{self, HEAD, Record, STATE};
use super::{FIRST, Place, Position, State, Vote};

/// Payloads kept in memory.
const CACHE_BYTES: usize = 4 << 20;
/// A seal and a mark always fit behind what is written.
const RESERVE: u64 = 2 * HEAD as u64;
/// Writes end at page boundaries, filled with zeros: a write to a part of a page that is not in memory
/// would have to read it first, which recycled segments would pay for.
const PAGE: u64 = 4096;
/// A buffer that grew beyond this for one batch is given back.
const BUFFER_KEEP: usize = 4 << 20;

/// Why an entry cannot be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("an entry of {bytes} bytes does not fit the log, whose segments take at most {max}")]
    TooLarge { bytes: usize, max: u64 },
    #[error("the log does not take {0}")]
    Illegal(#[from] Illegal),
}

/// Records for one write and one sync per segment, and the mark that follows.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    /// All chunks, one after another.
    pub(crate) bytes: Vec<u8>,
    pub(crate) chunks: Vec<Chunk>,
    /// Where the mark goes, in the last chunk's segment.
    pub(crate) mark: u64,
    /// Once this batch is durable, segments before this one are not needed.
    pub(crate) free_below: Option<u64>,
}

/// The part of a batch that goes into one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) seq: u64,
    pub(crate) offset: u64,
    pub(crate) len: usize,
    /// It ends the segment; the next chunk opens the next one.
    pub(crate) seals: bool,
}

/// An entry's payload, or where to read it.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    Disk(Place),
}

/// The end of the log.
#[derive(Debug)]
pub(crate) struct Writer {
    segment_bytes: u64,
    index: Index,
    cache: Cache,
    seq: u64,
    offset: u64,
    batch: Batch,
    /// The commit moved and no record says so yet.
    commit_due: bool,
}

impl Batch {
    /// Keeps the buffers, unless they grew beyond use.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_KEEP);
        self.chunks.clear();
        self.free_below = None;
    }
}

impl Writer {
    /// Continues a log at this place. An offset of 0 is a segment without its state record.
    pub(crate) fn new(index: Index, segment_bytes: u64, seq: u64, offset: u64) -> Self {
        Self {
            segment_bytes,
            index,
            cache: Cache::new(CACHE_BYTES),
            seq,
            offset,
            batch: Batch::default(),
            commit_due: false,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.index.state()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.batch.chunks.is_empty()
    }

    /// Whether what was gathered needs another segment.
    pub(crate) fn seals(&self) -> bool {
        self.batch.chunks.iter().any(|chunk| chunk.seals)
    }

    /// The segment in use, and how much of it is taken.
    pub(crate) fn end(&self) -> (u64, u64) {
        (self.seq, self.offset)
    }

    /// All of them or none.
    pub(crate) fn append(&mut self, entries: &[(Position, Bytes)]) -> Result<(), AppendError> {
        let mut last = self.state().last;
        for (at, payload) in entries {
            Index::check_append(last, *at)?;
            let (bytes, max) = (payload.len(), entry_max(self.segment_bytes));
            if bytes as u64 > max {
                return Err(AppendError::TooLarge { bytes, max });
            }
            last = Some(*at);
        }
        for (at, payload) in entries {
            let (seq, offset) = self.put(Record::Entry(*at, payload));
            let place = Place {
                seq,
                offset: u32::try_from(offset).expect("segments are shorter than 4 GiB"),
                len: u32::try_from(payload.len()).expect("and so are entries"),
            };
            self.index.append(*at, place)?;
            self.cache.push(self.batch.number, payload.clone());
        }
        Ok(())
    }

    /// Removes entries at and after the index. False when there are none.
    pub(crate) fn truncate(&mut self, from: u64) -> Result<bool, Illegal> {
        let Some(to) = self.index.truncation(from) else {
            return Ok(false);
        };
        let before = self.index.next();
        self.put(Record::Truncate(to));
        self.index.truncate(to)?;
        self.cache.truncate(before - self.index.next());
        Ok(true)
    }

    /// Forgets entries up to and including the position, which may lie beyond the end.
    pub(crate) fn purge(&mut self, upto: Position) -> Result<(), Illegal> {
        if self.state().purged >= Some(upto) {
            return Ok(());
        }
        self.put(Record::Purge(upto));
        self.index.purge(upto)?;
        self.cache.purge(self.index.len());
        // What the segment in use says of entries that are gone already is needed no more either.
        self.batch.free_below = Some(self.index.oldest().unwrap_or(self.seq));
        Ok(())
    }

    pub(crate) fn vote(&mut self, vote: Vote) {
        self.put(Record::Vote(vote));
        self.index.vote(vote);
    }

    /// Written with the next batch that there is anyway; of several only the latest.
    pub(crate) fn commit(&mut self, at: Position) {
        self.commit_due |= self.index.commit(at);
    }

    /// Writes the commit without waiting for a batch, at the end of the log's use.
    pub(crate) fn flush_commit(&mut self) {
        if std::mem::take(&mut self.commit_due)
            && let Some(committed) = self.state().committed
        {
            self.put(Record::Committed(committed));
        }
    }

    /// Takes what was gathered, in exchange for the last batch's buffers.
    pub(crate) fn cut(&mut self, taken: &mut Batch) {
        self.flush_commit();
        self.batch.mark = self.offset;
        self.offset += HEAD as u64;
        self.pad();
        let number = self.batch.number + 1;
        taken.clear();
        std::mem::swap(&mut self.batch, taken);
        self.batch.number = number;
    }

    fn pad(&mut self) {
        if let Some(chunk) = self.batch.chunks.last_mut() {
            let end = chunk.offset + chunk.len as u64;
            let zeros = end.next_multiple_of(PAGE).min(self.segment_bytes) - end;
            let zeros = usize::try_from(zeros).unwrap_or_default();
            chunk.len += zeros;
            self.batch.bytes.resize(self.batch.bytes.len() + zeros, 0);
        }
    }

    /// The batch can be read from disk.
    pub(crate) fn written(&mut self, batch: u64) {
        self.cache.written(batch);
    }

    /// Entries with `from <= index < to`, in order, stopping after about `bytes_max` but never before the
    /// first.
    pub(crate) fn find(&self, from: u64, to: u64, bytes_max: usize) -> Vec<(Position, Source)> {
        let next = self.index.next();
        let mut bytes = 0;
        let range = from.max(self.index.first())..to.min(next);
        let found = range.map_while(|index| {
            let (position, place) = self.index.get(index)?;
            let full = bytes >= bytes_max && bytes > 0;
            bytes += place.len as usize;
            let source = match self.cache.get(next - index) {
                Some(payload) => Source::Memory(payload.clone()),
                None => Source::Disk(place),
            };
            (!full).then_some((position, source))
        });
        found.collect()
    }

    /// The last entry that has more than this many bytes of the log between it and the entry `at`.
    pub(crate) fn behind(&self, at: u64, bytes: u64) -> Option<u64> {
        self.index.behind(at, bytes, self.segment_bytes)
    }

    /// Whether the entry is still there.
    pub(crate) fn holds(&self, at: Position, place: Place) -> bool {
        self.index.get(at.1) == Some((at, place))
    }

    /// Adds the record to the batch and tells where it will be.
    fn put(&mut self, record: Record<'_>) -> (u64, u64) {
        let size = record.size() as u64;
        if self.offset + size + RESERVE > self.segment_bytes {
            self.push(Record::Seal);
            if let Some(chunk) = self.batch.chunks.last_mut() {
                chunk.seals = true;
            }
            self.seq += 1;
            self.offset = 0;
        }
        if self.offset == 0 {
            self.push(Record::State(self.segment_bytes, self.index.state()));
        }
        self.push(record)
    }

    fn push(&mut self, record: Record<'_>) -> (u64, u64) {
        let (seq, offset) = (self.seq, self.offset);
        if self
            .batch
            .chunks
            .last()
            .is_none_or(|chunk| chunk.seq != seq)
        {
            self.batch.chunks.push(Chunk {
                seq,
                offset,
                len: 0,
                seals: false,
            });
        }
        record.encode(seq, offset, &mut self.batch.bytes);
        self.offset += record.size() as u64;
        if let Some(chunk) = self.batch.chunks.last_mut() {
            chunk.len += record.size();
        }
        (seq, offset)
    }
}

/// The largest payload a log with such segments takes.
pub(crate) fn entry_max(segment_bytes: u64) -> u64 {
    let overhead = (STATE + HEAD) as u64 + RESERVE;
    let room = segment_bytes.saturating_sub(overhead);
    room - room % record::ALIGN as u64
}

/// What a new log's first segment begins with. Entries up to `purged` are not part of it.
pub(crate) fn first_bytes(segment_bytes: u64, purged: Option<Position>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let state = State {
        purged,
        last: purged,
        ..State::default()
    };
    Record::State(segment_bytes, state).encode(FIRST, 0, &mut bytes);
    // True as soon as the file has its name, since it is synced before.
    Record::Mark.encode(FIRST, bytes.len() as u64, &mut bytes);
    bytes
}
