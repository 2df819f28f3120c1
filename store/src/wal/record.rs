//! Records, of which the log's files consist, and the checksum that ties each to its place.
//!
//! A head of 32 bytes, little-endian: checksum (4), length of the body (4), kind (1), flag (1), zeros (6),
//! term (8), index (8). Then the body, padded with zeros to 8 bytes. The checksum covers the segment's
//! number, the record's offset in it, and everything after the checksum, padding included.

use std::fmt;

use super::{Position, State, Vote};

/// Bytes of a head, and of a record without a body.
pub(crate) const HEAD: usize = 32;
/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
const STATE_BODY: usize = 80;
/// Bytes of a state record.
pub(crate) const STATE: usize = HEAD + STATE_BODY;

const ENTRY: u8 = 1;
const VOTE: u8 = 2;
const COMMITTED: u8 = 3;
const TRUNCATE: u8 = 4;
const PURGE: u8 = 5;
const STATE_KIND: u8 = 6;
const SEAL: u8 = 7;
const MARK: u8 = 8;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Entry(Position, &'a [u8]),
    Vote(Vote),
    Committed(Position),
    /// Entries after this one are gone; all of them when none.
    Truncate(Option<Position>),
    /// Entries up to this one are gone.
    Purge(Position),
    /// Opens every segment: the length of the log's segments, and everything that must be known when
    /// the segments before are gone.
    State(u64, State),
    /// Closes a full segment; the log goes on in the next.
    Seal,
    /// Everything before was synced.
    Mark,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    Zeros,
    Kind(u8),
    Length(u32),
    Checksum,
    /// The segment ends here.
    End,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zeros => f.write_str("zeros instead of a record"),
            Self::Kind(kind) => write!(f, "a record of unknown kind {kind}"),
            Self::Length(len) => write!(f, "a record with an impossible length of {len} bytes"),
            Self::Checksum => f.write_str("a record whose checksum does not match"),
            Self::End => f.write_str("the end of the segment instead of a record"),
        }
    }
}

/// The fields of a head that are not derived.
struct Head {
    kind: u8,
    flag: u8,
    term: u64,
    index: u64,
}

impl<'a> Record<'a> {
    /// Bytes it takes in a segment.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Entry(_, body) => size(body.len()),
            Self::State(..) => STATE,
            Self::Vote(_)
            | Self::Committed(_)
            | Self::Truncate(_)
            | Self::Purge(_)
            | Self::Seal
            | Self::Mark => HEAD,
        }
    }

    /// Appends the record as it must be at this offset of this segment.
    pub(crate) fn encode(&self, seq: u64, offset: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let head = self.head();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&[head.kind, head.flag, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&head.term.to_le_bytes());
        out.extend_from_slice(&head.index.to_le_bytes());
        match self {
            Self::Entry(_, body) => out.extend_from_slice(body),
            Self::State(segment_bytes, state) => encode_state(*segment_bytes, state, out),
            Self::Vote(_)
            | Self::Committed(_)
            | Self::Truncate(_)
            | Self::Purge(_)
            | Self::Seal
            | Self::Mark => {}
        }
        let len = out.len() - start - HEAD;
        let len = u32::try_from(len).expect("a body is shorter than a segment");
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
        let sum = checksum(seq, offset, &out[start + 4..]);
        out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
    }

    fn head(&self) -> Head {
        let head = |kind, flag, (term, index)| Head {
            kind,
            flag,
            term,
            index,
        };
        match self {
            Self::Entry(at, _) => head(ENTRY, 0, *at),
            Self::Vote(vote) => head(VOTE, u8::from(vote.committed), (vote.term, vote.node)),
            Self::Committed(at) => head(COMMITTED, 0, *at),
            Self::Truncate(after) => {
                head(TRUNCATE, u8::from(after.is_some()), after.unwrap_or((0, 0)))
            }
            Self::Purge(upto) => head(PURGE, 0, *upto),
            Self::State(..) => head(STATE_KIND, 0, (0, 0)),
            Self::Seal => head(SEAL, 0, (0, 0)),
            Self::Mark => head(MARK, 0, (0, 0)),
        }
    }

    /// The record at the beginning of `bytes`, which is the rest of the segment from `offset`, or of as much
    /// of it as was read.
    pub(crate) fn decode(seq: u64, offset: u64, bytes: &'a [u8]) -> Result<Self, Flaw> {
        let head = bytes.get(..HEAD).ok_or(Flaw::End)?;
        let (kind, flag, len) = (head[8], head[9], u32_at(head, 4));
        let known = (ENTRY..=MARK).contains(&kind);
        match kind {
            0 if head.iter().all(|byte| *byte == 0) => return Err(Flaw::Zeros),
            _ if !known => return Err(Flaw::Kind(kind)),
            _ => {}
        }
        let fits = match kind {
            ENTRY => true,
            STATE_KIND => len as usize == STATE_BODY,
            _ => len == 0,
        };
        let whole = bytes.get(..size(len as usize)).filter(|_| fits);
        let whole = whole.ok_or(Flaw::Length(len))?;
        if checksum(seq, offset, &whole[4..]) != u32_at(head, 0) {
            return Err(Flaw::Checksum);
        }
        let (term, index) = (u64_at(head, 16), u64_at(head, 24));
        let body = &whole[HEAD..HEAD + len as usize];
        Ok(match kind {
            ENTRY => Self::Entry((term, index), body),
            VOTE => Self::Vote(Vote {
                term,
                committed: flag != 0,
                node: index,
            }),
            COMMITTED => Self::Committed((term, index)),
            TRUNCATE => Self::Truncate((flag != 0).then_some((term, index))),
            PURGE => Self::Purge((term, index)),
            STATE_KIND => {
                let (segment_bytes, state) = decode_state(body);
                Self::State(segment_bytes, state)
            }
            SEAL => Self::Seal,
            _ => Self::Mark,
        })
    }
}

/// Bytes of a record whose body has this length.
pub(crate) fn size(body: usize) -> usize {
    HEAD + body.next_multiple_of(ALIGN)
}

/// The offset of the first valid mark at or after `from`.
pub(crate) fn find_mark(seq: u64, bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.next_multiple_of(ALIGN);
    while let Some(head) = bytes.get(at..at + HEAD) {
        // Almost nothing passes this, so the scan costs no checksums.
        let plausible = head[8] == MARK && head[4..8] == [0; 4];
        if plausible && Record::decode(seq, at as u64, head) == Ok(Record::Mark) {
            return Some(at);
        }
        at += ALIGN;
    }
    None
}

fn checksum(seq: u64, offset: u64, rest: &[u8]) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&seq.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place);
    hasher.update(rest);
    hasher.finalize()
}

fn encode_state(segment_bytes: u64, state: &State, out: &mut Vec<u8>) {
    let vote = state.vote;
    let flags = [
        vote.is_some(),
        vote.is_some_and(|vote| vote.committed),
        state.committed.is_some(),
        state.purged.is_some(),
        state.last.is_some(),
    ];
    let flags = flags
        .iter()
        .rev()
        .fold(0, |all, flag| all << 1 | u64::from(*flag));
    let pairs = [
        vote.map(|vote| (vote.term, vote.node)),
        state.committed,
        state.purged,
        state.last,
    ];
    let pairs = pairs.map(Option::unwrap_or_default);
    let words = [segment_bytes, flags].into_iter();
    for word in words.chain(pairs.into_iter().flat_map(|(term, index)| [term, index])) {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn decode_state(body: &[u8]) -> (u64, State) {
    let word = |n: usize| u64_at(body, n * 8);
    let flag = |n: u32| word(1) >> n & 1 == 1;
    let pair = |n: usize, there: bool| there.then(|| (word(n), word(n + 1)));
    let vote = pair(2, flag(0)).map(|(term, node)| Vote {
        term,
        committed: flag(1),
        node,
    });
    let state = State {
        vote,
        committed: pair(4, flag(2)),
        purged: pair(6, flag(3)),
        last: pair(8, flag(4)),
    };
    (word(0), state)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..at + 4].try_into();
    u32::from_le_bytes(word.expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..at + 8].try_into();
    u64::from_le_bytes(word.expect("eight bytes"))
}
