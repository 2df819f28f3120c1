//! Who has a say in writes now: the webhooks and policies this replica has seen.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use store::View;

use crate::admission::snapshot::{Snapshot, marks};

/// The snapshot that belongs to the configurations last seen. It is a function of the view, kept
/// only because compiling takes time.
#[derive(Debug, Default)]
pub struct Hooked {
    latest: RwLock<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    marks: Vec<(Bytes, u64)>,
    snapshot: Arc<Snapshot>,
}

impl Hooked {
    /// The snapshot for a view.
    pub fn at(&self, view: &View) -> Arc<Snapshot> {
        let marks = marks(view);
        let present = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        if present.marks == marks {
            return Arc::clone(&present.snapshot);
        }
        drop(present);
        let snapshot = Arc::new(Snapshot::of(view));
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        *latest = Latest {
            marks,
            snapshot: Arc::clone(&snapshot),
        };
        snapshot
    }
}
