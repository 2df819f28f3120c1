//! Which objects a list, or a watch that begins with the state, has to look at when it asks for one value
//! of a field: thousands of agents that list their own tasks must not each look at all tasks.
//!
//! A shelf is made when somebody first asks, and catches up with the store's history whenever somebody
//! asks again; nobody pays for fields nobody asks for. Its answer may name too many objects, never too
//! few: whoever asks looks at each in the view.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use store::{Change, Revision, Store, View};

use super::Engine;
use crate::keys;
use crate::read;
use crate::registry::Descriptor;
use crate::selector::Selector;
use crate::selector::shelf::Shelf;
use crate::vault::Vault;

/// Shelves kept; the one that was not asked for longest goes first.
const MOST: usize = 16;

/// A list of fewer objects is read whole.
const FEW: usize = 128;

/// Changes that are read one by one; beyond, reading all objects anew may be less.
const CHANGES: u64 = 4096;

/// All shelves, last asked last.
#[derive(Debug, Default)]
pub struct Shelves(Mutex<Vec<Arc<Place>>>);

#[derive(Debug)]
struct Place {
    /// What all keys of the resource begin with.
    prefix: Bytes,
    path: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The shelf shows the objects as of this revision.
    revision: Revision,
    shelf: Option<Shelf>,
}

/// What is followed, and what opens it.
#[derive(Clone, Copy)]
struct Source<'a> {
    store: &'a Store,
    vault: &'a Vault,
    prefix: &'a Bytes,
}

impl Engine {
    /// Keys of all objects that may be selected in the view, in order; none: look at the whole list.
    #[must_use]
    pub fn candidates(
        &self,
        view: &View,
        place: (&Descriptor, Option<&str>),
        selector: &Selector,
    ) -> Option<Vec<Bytes>> {
        if let Some(key) = read::named(place.0, place.1, selector) {
            return Some(vec![key]);
        }
        let source = (&self.store, &*self.vault);
        self.shelves.candidates(source, view, place, selector)
    }
}

impl Shelves {
    fn candidates(
        &self,
        (store, vault): (&Store, &Vault),
        view: &View,
        (resource, namespace): (&Descriptor, Option<&str>),
        selector: &Selector,
    ) -> Option<Vec<Bytes>> {
        let (path, value) = selector.narrowest()?;
        let prefix = keys::list(resource, None);
        view.keys(&prefix).nth(FEW)?;
        let place = self.place(&prefix, path);
        let source = Source {
            store,
            vault,
            prefix: &prefix,
        };
        let mut kept = place.lock();
        let later = kept.reach(source, view, path)?;
        let own = keys::list(resource, namespace);
        let mut found = within(kept.shelf.as_ref()?.keys(value), &own);
        drop(kept);
        if !later.is_empty() {
            found.extend(later.into_iter().filter(|key| key.starts_with(&own)));
            found.sort();
            found.dedup();
        }
        Some(found)
    }

    fn place(&self, prefix: &Bytes, path: &str) -> Arc<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all
            .iter()
            .position(|place| place.prefix == *prefix && place.path == path);
        let place = match known {
            Some(at) => all.remove(at),
            None => Arc::new(Place {
                prefix: prefix.clone(),
                path: path.to_owned(),
                kept: Mutex::default(),
            }),
        };
        all.push(Arc::clone(&place));
        if all.len() > MOST {
            all.remove(0);
        }
        place
    }
}

impl Place {
    /// After a panic the shelf may be half changed: it is made anew.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| {
            self.kept.clear_poison();
            let mut kept = poisoned.into_inner();
            kept.shelf = None;
            kept
        })
    }
}

impl Kept {
    /// Brings the shelf up to the view. Answers the keys that changed after an older view, and so may
    /// lie elsewhere now; none if that cannot be told.
    fn reach(&mut self, source: Source<'_>, view: &View, path: &str) -> Option<Vec<Bytes>> {
        let wanted = view.revision();
        if self.shelf.is_some() && wanted < self.revision {
            return self.changed_since(source, wanted);
        }
        if !self.follow(source, wanted) {
            self.build(source, view, path);
        }
        Some(Vec::new())
    }

    /// False if reading everything is the only way, or the shorter one.
    fn follow(&mut self, source: Source<'_>, wanted: Revision) -> bool {
        let Some(shelf) = &mut self.shelf else {
            return false;
        };
        let most = CHANGES.max(u64::try_from(shelf.len()).unwrap_or(u64::MAX));
        if wanted - self.revision > most {
            return false;
        }
        let followed = changes(source, self.revision, wanted, |change| {
            let change = source.vault.opened(change);
            shelf.change(change.old.as_ref(), change.new.as_ref());
        });
        self.revision = wanted;
        followed.is_some()
    }

    fn build(&mut self, source: Source<'_>, view: &View, path: &str) {
        let mut shelf = Shelf::new(path);
        for item in view.prefix(source.prefix) {
            shelf.change(None, Some(&source.vault.open(item)));
        }
        self.shelf = Some(shelf);
        self.revision = view.revision();
    }

    fn changed_since(&self, source: Source<'_>, past: Revision) -> Option<Vec<Bytes>> {
        if self.revision - past > CHANGES {
            return None;
        }
        let mut found = Vec::new();
        changes(source, past, self.revision, |change| {
            found.push(change.key.clone());
        })?;
        Some(found)
    }
}

/// Shows the resource's changes in `(after, until]`; none if history does not reach that far back.
fn changes(
    source: Source<'_>,
    after: Revision,
    until: Revision,
    mut show: impl FnMut(Arc<Change>),
) -> Option<()> {
    if after == until {
        return Some(());
    }
    let mut cursor = source.store.changes(after).ok()?;
    loop {
        // All of it has happened: there is nothing to wait for.
        for change in cursor.next().now_or_never()?.ok()? {
            if change.revision > until {
                return Some(());
            }
            let is_last = change.revision == until;
            if change.key.starts_with(source.prefix) {
                show(change);
            }
            if is_last {
                return Some(());
            }
        }
    }
}

fn within(keys: Option<&BTreeSet<Bytes>>, prefix: &Bytes) -> Vec<Bytes> {
    let Some(keys) = keys else {
        return Vec::new();
    };
    let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
    let after = keys.range(from);
    after
        .take_while(|key| key.starts_with(prefix))
        .cloned()
        .collect()
}
