//! Reads a log back, segment by segment, and tells a torn end from damage.

use super::index::{Illegal, Index};
use super::record::{self, Flaw, Record};
use super::{Place, name};

/// Enough of a segment to see whether it was ever begun.
pub(crate) const PEEK_BYTES: usize = 4096;

/// Why a log must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("there is no segment")]
    Empty,
    #[error("{} is missing", name(*seq))]
    Missing { seq: u64 },
    #[error("{} has {found} bytes, it must have {expected}", name(*seq))]
    Length { seq: u64, found: u64, expected: u64 },
    #[error("{}, byte {offset}: {flaw}; {} shows at byte {proof} that this was synced once", name(*seq), name(*by))]
    Record {
        seq: u64,
        offset: u64,
        flaw: Flaw,
        by: u64,
        proof: u64,
    },
    #[error("{}, byte 0: {flaw}; it is the first segment", name(*seq))]
    First { seq: u64, flaw: Flaw },
    #[error("{}, byte {offset}: {illegal}", name(*seq))]
    Illegal {
        seq: u64,
        offset: u64,
        illegal: Illegal,
    },
    #[error("{}, byte {offset}: a record that must not be there", name(*seq))]
    Misplaced { seq: u64, offset: u64 },
    #[error("{}, byte 0: its account of the log is not what the segments before it say", name(*seq))]
    State { seq: u64 },
    #[error("entries {from} to {to} are missing: segments before {} are gone", name(*first))]
    Entries { from: u64, to: u64, first: u64 },
}

/// A log that was read, and where it goes on.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) segment_bytes: u64,
    pub(crate) seq: u64,
    /// 0 when the segment was not begun.
    pub(crate) offset: u64,
    /// Nothing lies behind the end.
    pub(crate) rest_is_zero: bool,
    /// The last record is a mark.
    pub(crate) marked: bool,
}

/// Takes the segments in order.
#[derive(Debug)]
pub(crate) struct Replay {
    index: Index,
    segment_bytes: u64,
    first: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No segment yet.
    Start,
    /// The last one was full, so this one must come.
    Sealed { next: u64 },
    /// The log ends there; only segments that were not begun may follow.
    Ended { end: End, next: u64 },
}

#[derive(Clone, Copy, Debug)]
struct End {
    seq: u64,
    offset: u64,
    flaw: Flaw,
    rest_is_zero: bool,
    marked: bool,
}

impl Replay {
    pub(crate) fn new() -> Self {
        Self {
            index: Index::default(),
            segment_bytes: 0,
            first: 0,
            phase: Phase::Start,
        }
    }

    /// Whether the end was found, so that of further segments `PEEK_BYTES` will do.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// The next segment: its number, its file's length, and its content.
    pub(crate) fn take(&mut self, seq: u64, len: u64, bytes: &[u8]) -> Result<(), Damage> {
        match self.phase {
            Phase::Start => self.begin(seq, bytes)?,
            Phase::Sealed { next } | Phase::Ended { next, .. } if seq != next => {
                return Err(Damage::Missing { seq: next });
            }
            Phase::Sealed { .. } | Phase::Ended { .. } => {}
        }
        if len != self.segment_bytes {
            return Err(Damage::Length {
                seq,
                found: len,
                expected: self.segment_bytes,
            });
        }
        let next = seq + 1;
        self.phase = match self.phase {
            Phase::Start | Phase::Sealed { .. } => match self.replay(seq, bytes)? {
                Some(end) => Phase::Ended { end, next },
                None => Phase::Sealed { next },
            },
            Phase::Ended { end, .. } if Record::decode(seq, 0, bytes).is_ok() => {
                return Err(end.damage(seq, 0));
            }
            Phase::Ended { end, .. } => Phase::Ended { end, next },
        };
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Recovered, Damage> {
        let end = match self.phase {
            Phase::Start => return Err(Damage::Empty),
            Phase::Sealed { next } => return Err(Damage::Missing { seq: next }),
            Phase::Ended { end, .. } => end,
        };
        if let Some((from, to)) = self.index.missing() {
            let first = self.first;
            return Err(Damage::Entries { from, to, first });
        }
        Ok(Recovered {
            index: self.index,
            segment_bytes: self.segment_bytes,
            seq: end.seq,
            offset: end.offset,
            rest_is_zero: end.rest_is_zero,
            marked: end.marked,
        })
    }

    /// The first segment's account is all there is of segments that were purged.
    fn begin(&mut self, seq: u64, bytes: &[u8]) -> Result<(), Damage> {
        match Record::decode(seq, 0, bytes) {
            Ok(Record::State(segment_bytes, state)) => {
                self.segment_bytes = segment_bytes;
                self.index = Index::resumed(state);
                self.first = seq;
                Ok(())
            }
            Ok(_) => Err(Damage::Misplaced { seq, offset: 0 }),
            Err(flaw) => Err(Damage::First { seq, flaw }),
        }
    }

    /// None when the segment is sealed.
    fn replay(&mut self, seq: u64, bytes: &[u8]) -> Result<Option<End>, Damage> {
        let (mut at, mut marked) = (0, false);
        loop {
            let offset = at as u64;
            let record = match Record::decode(seq, offset, &bytes[at..]) {
                Ok(Record::Seal) => return Ok(None),
                Ok(record) => record,
                Err(flaw) => return End::new(seq, at, flaw, bytes, marked).map(Some),
            };
            self.apply(seq, offset, record)?;
            marked = record == Record::Mark;
            at += record.size();
        }
    }

    fn apply(&mut self, seq: u64, offset: u64, record: Record<'_>) -> Result<(), Damage> {
        if (offset == 0) != matches!(record, Record::State(..)) {
            return Err(Damage::Misplaced { seq, offset });
        }
        let index = &mut self.index;
        let applied = match record {
            Record::Entry(at, body) => {
                let place = Place {
                    seq,
                    offset: offset as u32,
                    len: body.len() as u32,
                };
                index.append(at, place)
            }
            Record::Truncate(to) => index.truncate(to),
            Record::Purge(upto) => index.purge(upto),
            Record::Vote(vote) => {
                index.vote(vote);
                Ok(())
            }
            Record::Committed(at) => {
                index.recall_commit(at);
                Ok(())
            }
            Record::State(segment_bytes, state) => {
                // The commit may be known here first: of several only the latest is written.
                if let Some(at) = state.committed {
                    index.recall_commit(at);
                }
                let same = segment_bytes == self.segment_bytes && index.state() == state;
                return same.then_some(()).ok_or(Damage::State { seq });
            }
            Record::Seal | Record::Mark => Ok(()),
        };
        applied.map_err(|illegal| Damage::Illegal {
            seq,
            offset,
            illegal,
        })
    }
}

impl End {
    /// An end, unless a mark behind it shows that the log went on.
    fn new(seq: u64, at: usize, flaw: Flaw, bytes: &[u8], marked: bool) -> Result<Self, Damage> {
        let end = Self {
            seq,
            offset: at as u64,
            flaw,
            rest_is_zero: bytes[at..].iter().all(|byte| *byte == 0),
            marked,
        };
        match record::find_mark(seq, bytes, at) {
            Some(mark) => Err(end.damage(seq, mark as u64)),
            None => Ok(end),
        }
    }

    fn damage(&self, by: u64, proof: u64) -> Damage {
        Damage::Record {
            seq: self.seq,
            offset: self.offset,
            flaw: self.flaw,
            by,
            proof,
        }
    }
}
