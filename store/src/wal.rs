//! The write-ahead log, as far as it needs no disk: what its records look like, where each goes, and what
//! a damaged file may and may not be taken for.
//!
//! The log is a row of segments of one fixed length, which exist, zeroed or recycled, before they are
//! needed. A batch of records is written at once and synced at once; then a mark follows it, before anybody is
//! told. So a valid mark proves that everything before it was synced: what cannot be read before a mark is
//! damage and stops the replica, what cannot be read after the last mark is the torn end of a batch nobody was
//! told about. A checksum covers a record, its segment's number and its place, so that what an earlier
//! use left in a recycled segment is never valid.

// In reading order.
pub(crate) mod record;

pub(crate) mod index;

mod cache;
pub(crate) mod writer;

pub(crate) mod commit;
pub(crate) mod replay;

#[cfg(test)]
mod tests;

/// Term, then index: the order of log ids.
pub(crate) type Position = (u64, u64);

/// The number of a log's first segment.
pub(crate) const FIRST: u64 = 1;

/// A durable vote: term, voted for, granted by a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) term: u64,
    pub(crate) committed: bool,
    pub(crate) node: u64,
}

/// The ends of the log and what is saved beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<Position>,
    pub(crate) purged: Option<Position>,
    pub(crate) last: Option<Position>,
}

/// Where an entry's record lies, and the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// The file name of a segment.
pub(crate) fn name(seq: u64) -> String {
    format!("{seq:016x}.seg")
}

/// The sequence number in a segment's file name.
pub(crate) fn seq(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|it| it.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}
