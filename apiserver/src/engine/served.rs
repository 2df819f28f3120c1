//! Which resources are served now: built-in kinds, our own, and every definition in the store.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde_json::Value;
use store::View;

use crate::keys;
use crate::object;
use crate::registry::builtin::{DEFINITIONS, DEFINITIONS_GROUP};
use crate::registry::{Descriptor, Registry, builtin, definition};

/// The registry that belongs to the definitions last seen. It is a function of the view, kept only
/// because compiling rules takes time.
#[derive(Debug, Default)]
pub struct Served {
    latest: RwLock<Option<Latest>>,
    /// Revision of a view that `latest` is known to belong to; changed only under its lock.
    fresh: AtomicU64,
}

#[derive(Debug)]
struct Latest {
    /// Of each definition its key and revision.
    marks: Vec<(Bytes, u64)>,
    descriptors: BTreeMap<(Bytes, u64), Vec<Arc<Descriptor>>>,
    registry: Arc<Registry>,
}

impl Served {
    /// The registry for a view.
    pub fn at(&self, view: &View) -> Arc<Registry> {
        let prefix = keys::resource(DEFINITIONS_GROUP, DEFINITIONS);
        let present = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(latest) = present.as_ref() {
            let fresh = self.fresh.load(Ordering::Relaxed) == view.revision();
            if fresh || latest.is_of(view, &prefix) {
                self.fresh.store(view.revision(), Ordering::Relaxed);
                return Arc::clone(&latest.registry);
            }
        }
        drop(present);
        let mut place = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        let latest = build(view, &prefix, place.take());
        let registry = Arc::clone(&latest.registry);
        *place = Some(latest);
        self.fresh.store(view.revision(), Ordering::Relaxed);
        registry
    }
}

/// What the registry of a view is known by, and changes with.
#[must_use]
pub fn hash(view: &View) -> u64 {
    let prefix = keys::resource(DEFINITIONS_GROUP, DEFINITIONS);
    hash_of(&marks(view, &prefix))
}

fn hash_of(marks: &[(Bytes, u64)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    marks.hash(&mut hasher);
    hasher.finish()
}

fn marks(view: &View, prefix: &[u8]) -> Vec<(Bytes, u64)> {
    view.keys(prefix).collect()
}

/// What is served before any definition was stored: built-in kinds and our own.
#[must_use]
pub fn initial() -> Registry {
    assemble(&BTreeMap::new(), &[])
}

impl Latest {
    /// True if the view holds the same definitions.
    fn is_of(&self, view: &View, prefix: &[u8]) -> bool {
        let mut marks = self.marks.iter();
        let same = view.keys(prefix).all(|seen| marks.next() == Some(&seen));
        same && marks.next().is_none()
    }
}

/// Builds the registry; definitions that have not changed keep their compiled descriptors.
fn build(view: &View, prefix: &[u8], before: Option<Latest>) -> Latest {
    let marks = marks(view, prefix);
    let mut known = before.map(|latest| latest.descriptors).unwrap_or_default();
    let mut descriptors = BTreeMap::new();
    for mark in &marks {
        let found = known.remove(mark).unwrap_or_else(|| {
            let stored = view
                .get(&mark.0)
                .map(|item| object::decode(&item))
                .unwrap_or_default();
            describe(&stored, Some(mark.1))
        });
        descriptors.insert(mark.clone(), found);
    }
    let registry = Arc::new(assemble(&descriptors, &marks));
    Latest {
        marks,
        descriptors,
        registry,
    }
}

fn describe(definition: &Value, defined_at: Option<u64>) -> Vec<Arc<Descriptor>> {
    let found = definition::descriptors(definition, defined_at).into_iter();
    found.map(Arc::new).collect()
}

/// Built-in kinds, then ours, then all others by group.
fn assemble(
    stored: &BTreeMap<(Bytes, u64), Vec<Arc<Descriptor>>>,
    marks: &[(Bytes, u64)],
) -> Registry {
    let mut ordered: Vec<Arc<Descriptor>> = builtin::descriptors().to_vec();
    let stored: Vec<Arc<Descriptor>> = stored.values().flatten().cloned().collect();
    let present: BTreeSet<(String, String)> = stored
        .iter()
        .map(|d| (d.group.clone(), d.plural.clone()))
        .collect();
    // Our own kinds are served before their definitions are stored.
    let missing = own()
        .iter()
        .filter(|d| !present.contains(&(d.group.clone(), d.plural.clone())));
    let mut defined: Vec<Arc<Descriptor>> = missing.cloned().chain(stored).collect();
    defined.sort_by_key(|d| (d.group != manifests::kinds::GROUP, d.group.clone()));
    ordered.extend(defined);
    Registry::new(ordered, hash_of(marks))
}

fn own() -> &'static [Arc<Descriptor>] {
    static OWN: std::sync::OnceLock<Vec<Arc<Descriptor>>> = std::sync::OnceLock::new();
    OWN.get_or_init(|| {
        let values = manifests::kinds::definitions()
            .into_iter()
            .map(|d| serde_json::to_value(d).expect("a definition is plain data and encodes"));
        values.flat_map(|value| describe(&value, None)).collect()
    })
}
