//! Which credentials are revoked now: a function of the view, kept because requests ask all the time.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use manifests::kinds::GROUP;
use store::View;

use crate::authn::revoked::Revoked;
use crate::keys;
use crate::object;

/// Plural of the objects that revoke.
pub const PLURAL: &str = "revocations";

/// What the revocations last seen say.
#[derive(Debug, Default)]
pub struct Revocations {
    latest: RwLock<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// The newest view known to show these marks.
    revision: u64,
    /// Key and revision of each.
    marks: Vec<(Bytes, u64)>,
    revoked: Arc<Revoked>,
}

impl Revocations {
    /// What is revoked in a view.
    #[must_use]
    pub fn at(&self, view: &View) -> Arc<Revoked> {
        let present = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        if present.revision == view.revision() {
            return Arc::clone(&present.revoked);
        }
        drop(present);
        let prefix = keys::resource(GROUP, PLURAL);
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        if !latest.shows(view, &prefix) {
            let items: Vec<_> = view.prefix(&prefix).collect();
            let mark = |item: &store::Item| (item.key.clone(), item.mod_revision);
            latest.marks = items.iter().map(mark).collect();
            latest.revoked = Arc::new(Revoked::of(items.iter().map(object::decode)));
        }
        latest.revision = view.revision();
        Arc::clone(&latest.revoked)
    }
}

impl Latest {
    fn shows(&self, view: &View, prefix: &[u8]) -> bool {
        let mut marks = self.marks.iter();
        let same = view.keys(prefix).all(|seen| marks.next() == Some(&seen));
        same && marks.next().is_none()
    }
}
