//! The state together with the log position and membership it stands for.

use serde::{Deserialize, Serialize};

use crate::raft::{LogId, Membership};
use crate::state::{Counters, State};

/// A consistent whole: what a checkpoint holds, what a snapshot carries. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: Membership,
    pub(crate) state: State,
}

/// An image without its items and requests: enough to check that they arrived whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) cluster_id: u128,
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: Membership,
    pub(crate) counters: Counters,
    pub(crate) items: u64,
    pub(crate) requests: u64,
    pub(crate) digest: u128,
}

impl Image {
    pub(crate) fn header(&self, cluster_id: u128) -> Header {
        Header {
            cluster_id,
            applied: self.applied,
            membership: self.membership.clone(),
            counters: self.state.counters(),
            items: self.state.view().len() as u64,
            requests: self.state.dedupe().len() as u64,
            digest: self.state.digest(),
        }
    }

    /// About what a file with all of it takes. Looks at each item.
    pub(crate) fn bytes(&self) -> u64 {
        /// Of an item beside its key and value, or of a request.
        const OVERHEAD_BYTES: u64 = 48;
        let (view, requests) = (self.state.view(), self.state.dedupe().len());
        view.bytes() + (view.len() + requests) as u64 * OVERHEAD_BYTES
    }

    pub(crate) fn applied_index(&self) -> Option<u64> {
        self.applied.map(|id| id.index)
    }
}

impl Header {
    /// An image being refilled under this header.
    pub(crate) fn begin(&self) -> Image {
        Image {
            applied: self.applied,
            membership: self.membership.clone(),
            state: State::default(),
        }
    }

    /// Sets the counters and checks that the refilled image is the one described.
    pub(crate) fn finish(&self, mut image: Image) -> Result<Image, String> {
        image.state.restore_counters(self.counters);
        let found = image.header(self.cluster_id);
        if found == *self {
            Ok(image)
        } else {
            Err(format!(
                "expected {} items and digest {:032x}, found {} and {:032x}",
                self.items, self.digest, found.items, found.digest
            ))
        }
    }
}
