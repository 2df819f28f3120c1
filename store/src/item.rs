//! What the store keeps under a key: bytes and the revisions that created and last changed them.

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
