//! The frame: prologue, block heads and their checksums.

use crate::archive::Flaw;

pub(crate) const PROLOGUE_BYTES: usize = 16;
pub(crate) const HEAD_BYTES: usize = 16;

const MAGIC: &[u8; 8] = b"stoa-img";
const VERSION: u32 = 1;

/// What a block holds. In a file the kinds come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Items = 1,
    Deleted = 2,
    Requests = 3,
    End = 4,
}

/// What precedes a block's payload. Nothing in it is to be believed before `check`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    raw: [u8; HEAD_BYTES],
}

/// The first bytes of every file.
pub(super) fn prologue() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(crate) fn check_prologue(bytes: &[u8; PROLOGUE_BYTES]) -> Result<(), Flaw> {
    if !bytes.starts_with(MAGIC) {
        return Err(Flaw::Foreign);
    }
    if crc32fast::hash(&bytes[..12]) != number(&bytes[12..]) {
        return Err(Flaw::Checksum);
    }
    match number(&bytes[8..12]) {
        VERSION => Ok(()),
        other => Err(Flaw::Version(other)),
    }
}

/// Room for a head, before the payload is appended and `seal` fills it in.
pub(super) fn begin(payload_bytes: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(HEAD_BYTES + payload_bytes);
    block.resize(HEAD_BYTES, 0);
    block
}

/// Fills in the head of a block whose payload is complete.
pub(super) fn seal(block: &mut [u8], ordinal: u64, kind: Kind, count: u32) {
    let (head, payload) = block.split_at_mut(HEAD_BYTES);
    // A log entry, which is what brings an item, is smaller by orders of magnitude.
    let len = u32::try_from(payload.len()).expect("a block holds no item of 4 GiB");
    head[4..8].copy_from_slice(&len.to_le_bytes());
    head[8..12].copy_from_slice(&count.to_le_bytes());
    head[12] = kind as u8;
    let crc = checksum(ordinal, &head[4..], payload);
    head[..4].copy_from_slice(&crc.to_le_bytes());
}

impl Head {
    pub(crate) fn new(raw: [u8; HEAD_BYTES]) -> Self {
        Self { raw }
    }

    /// Length of the payload that follows.
    pub(crate) fn len(&self) -> u32 {
        number(&self.raw[4..8])
    }

    pub(super) fn count(&self) -> u32 {
        number(&self.raw[8..12])
    }

    /// The block's kind, if the block is the one written at this place.
    pub(super) fn check(&self, ordinal: u64, payload: &[u8]) -> Result<Kind, Flaw> {
        if number(&self.raw) != checksum(ordinal, &self.raw[4..], payload) {
            return Err(Flaw::Checksum);
        }
        let kinds = [Kind::Items, Kind::Deleted, Kind::Requests, Kind::End];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == self.raw[12]);
        kind.ok_or(Flaw::Undecodable)
    }
}

fn checksum(ordinal: u64, head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&ordinal.to_le_bytes());
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// The number in the first four bytes.
fn number(bytes: &[u8]) -> u32 {
    let four = bytes.first_chunk().expect("the caller gives four bytes");
    u32::from_le_bytes(*four)
}
