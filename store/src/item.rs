//! What the store keeps under a key: bytes and the revisions that created and last changed them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
/// A set of pointers rather than a map of keys to values: a path copy in the persistent tree
/// then bumps one count per neighbour instead of cloning its key.
#[derive(Clone, Debug)]
pub(crate) struct Slot(pub(crate) Arc<Stored>);

/// The item with the digest it contributes, kept so that its removal costs no hashing.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) item: Item,
    pub(crate) digest: u128,
}

impl Slot {
    pub(crate) fn item(&self) -> &Item {
        &self.0.item
    }
}

impl Borrow<[u8]> for Slot {
    fn borrow(&self) -> &[u8] {
        &self.0.item.key
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.0.item.key == other.0.item.key
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
        self.0.item.key.cmp(&other.0.item.key)
    }
}
