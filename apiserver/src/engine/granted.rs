//! Which roles and bindings hold now: a function of the view, kept because reading them takes time.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use store::View;

use crate::keys;
use crate::object;
use crate::rbac::piece::Piece;
use crate::rbac::{GROUP, Rules};

/// Key and revision of a stored object.
type Mark = (Bytes, u64);

/// The rules that belong to the roles and bindings last seen.
#[derive(Debug, Default)]
pub struct Granted {
    latest: RwLock<Option<Latest>>,
}

#[derive(Debug)]
struct Latest {
    /// The newest view known to show these marks.
    revision: u64,
    marks: Vec<Mark>,
    pieces: BTreeMap<Mark, Arc<Piece>>,
    rules: Arc<Rules>,
}

impl Granted {
    /// The rules for a view.
    #[must_use]
    pub fn at(&self, view: &View) -> Arc<Rules> {
        let present = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let known = present.as_ref();
        if let Some(latest) = known.filter(|latest| latest.revision == view.revision()) {
            return Arc::clone(&latest.rules);
        }
        drop(present);
        let mut place = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        let before = place.take();
        let latest = match before {
            Some(latest) if latest.shows(view) => Latest {
                revision: view.revision(),
                ..latest
            },
            other => build(view, other),
        };
        let rules = Arc::clone(&latest.rules);
        *place = Some(latest);
        rules
    }
}

impl Latest {
    /// Compared without keeping anything: most writes concern no role.
    fn shows(&self, view: &View) -> bool {
        let mut marks = self.marks.iter();
        let same = view.keys(&prefix()).all(|seen| marks.next() == Some(&seen));
        same && marks.next().is_none()
    }
}

/// Reads what has changed, and puts everything together anew.
fn build(view: &View, before: Option<Latest>) -> Latest {
    let mut known = before.map(|latest| latest.pieces).unwrap_or_default();
    let mut pieces = BTreeMap::new();
    let mut marks = Vec::new();
    for item in view.prefix(&prefix()) {
        let mark = (item.key.clone(), item.mod_revision);
        marks.push(mark.clone());
        let piece = known.remove(&mark).or_else(|| {
            let parts = keys::parse(&item.key)?;
            Piece::read(&parts, &object::decode(&item)).map(Arc::new)
        });
        if let Some(piece) = piece {
            pieces.insert(mark, piece);
        }
    }
    let all: Vec<Arc<Piece>> = pieces.values().cloned().collect();
    Latest {
        revision: view.revision(),
        marks,
        rules: Arc::new(Rules::of(&all)),
        pieces,
    }
}

/// What the keys of all kinds of the group begin with.
fn prefix() -> Bytes {
    format!("/{GROUP}/").into()
}
