//! What the store keeps under a key: bytes and the revisions that created and last changed them.

use std::borrow::Borrow;
use std::cmp::Ordering;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use triomphe::ThinArc;

/// A point in the store's history. 0 is the empty store; every changed object takes the next one.
pub type Revision = u64;

/// A replica's id in the Raft group. Ids are never reused, also not after a replica is removed.
pub type NodeId = u64;

/// One stored object. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key, opaque and ordered bytewise.
    pub key: Bytes,
    /// The value, opaque.
    pub value: Bytes,
    /// Revision of the put that created the key.
    pub create_revision: Revision,
    /// Revision of the last put that changed the value.
    pub mod_revision: Revision,
    /// Number of changes since creation; 1 for a fresh key.
    pub version: u64,
}

/// An item inside the map, ordered and found by its key alone.
///
/// One word that owns one allocation: the numbers, then the key, then the value. At a million small
/// objects that is two thirds of what separate buffers cost, and a path copy in the persistent tree
/// bumps one count per neighbour.
#[derive(Clone)]
pub(crate) struct Slot(ThinArc<Head, u8>);

#[derive(Debug)]
struct Head {
    create_revision: Revision,
    mod_revision: Revision,
    version: u64,
    /// Keys are bounded by the log entry that carries them.
    key_len: u32,
}

/// The numbers of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) create_revision: Revision,
    pub(crate) mod_revision: Revision,
    pub(crate) version: u64,
}

impl Slot {
    /// `scratch` is only reused memory: key and value must lie side by side for a moment.
    pub(crate) fn new(key: &[u8], value: &[u8], numbers: Numbers, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.extend_from_slice(key);
        scratch.extend_from_slice(value);
        let head = Head {
            create_revision: numbers.create_revision,
            mod_revision: numbers.mod_revision,
            version: numbers.version,
            key_len: u32::try_from(key.len()).unwrap_or(u32::MAX),
        };
        let slot = Self(ThinArc::from_header_and_slice(head, scratch));
        scratch.shrink_to(SCRATCH_BYTES);
        slot
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.split().0
    }

    pub(crate) fn value(&self) -> &[u8] {
        self.split().1
    }

    pub(crate) fn numbers(&self) -> Numbers {
        let head = self.head();
        Numbers {
            create_revision: head.create_revision,
            mod_revision: head.mod_revision,
            version: head.version,
        }
    }

    /// The item as readers see it; its bytes are shared with the map.
    pub(crate) fn item(&self) -> Item {
        let at = self.key().len();
        let bytes = Bytes::from_owner(self.clone());
        let numbers = self.numbers();
        Item {
            key: bytes.slice(..at),
            value: bytes.slice(at..),
            create_revision: numbers.create_revision,
            mod_revision: numbers.mod_revision,
            version: numbers.version,
        }
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn split(&self) -> (&[u8], &[u8]) {
        self.0.slice.split_at(self.head().key_len as usize)
    }
}

/// Kept between two uses of the scratch memory; larger values give theirs back.
const SCRATCH_BYTES: usize = 64 << 10;

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.item().fmt(f)
    }
}

impl AsRef<[u8]> for Slot {
    /// Key and value, side by side.
    fn as_ref(&self) -> &[u8] {
        &self.0.slice
    }
}

impl Borrow<[u8]> for Slot {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Slot {}

impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}
