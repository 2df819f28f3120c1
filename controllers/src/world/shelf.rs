//! `Shelf`: the objects of one kind, kept through lists and changes.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Delta;
use crate::model::{Agent, Framework, Group, Meta, Namespace, Offer, Pool, Reservation, Task};

/// What has a version.
pub trait Dated {
    /// The common part.
    fn meta(&self) -> &Meta;
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Shelf<K, T> {
    entries: BTreeMap<K, (u64, Arc<T>)>,
    /// Counts the lists: an entry not seen in the present list when it ends is gone.
    generation: u64,
    /// Version of the last complete list.
    listed: Option<u64>,
}

impl<K, T> Default for Shelf<K, T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            generation: 0,
            listed: None,
        }
    }
}

impl<K: Ord + Clone, T: Dated> Shelf<K, T> {
    /// True once a list was complete.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.listed.is_some()
    }

    /// Version of the last complete list: everything up to it is known here.
    #[must_use]
    pub fn listed(&self) -> u64 {
        self.listed.unwrap_or(0)
    }

    /// The object of this key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&Arc<T>>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.entries.values().map(|(_, value)| value)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A list begins.
    pub fn reset(&mut self) {
        self.generation += 1;
    }

    /// Takes in an object; `None` when a newer one is known already.
    pub fn put(&mut self, key: K, value: T) -> Option<Delta<T>> {
        let known = self.entries.get_mut(&key);
        if let Some((seen, old)) = known
            && old.meta().version > value.meta().version
        {
            *seen = self.generation;
            return None;
        }
        let new = Arc::new(value);
        let old = self
            .entries
            .insert(key, (self.generation, Arc::clone(&new)));
        Some(Delta {
            old: old.map(|(_, old)| old),
            new: Some(new),
        })
    }

    /// Forgets an object; `None` when it was not known.
    pub fn remove(&mut self, key: &K) -> Option<Delta<T>> {
        self.entries.remove(key).map(|(_, old)| Delta {
            old: Some(old),
            new: None,
        })
    }

    /// The list is complete: what it did not name is gone.
    pub fn sync(&mut self, version: u64) -> Vec<Delta<T>> {
        self.listed = Some(version);
        let stale = |(_, (seen, _)): &(&K, &(u64, Arc<T>))| *seen < self.generation;
        let gone: Vec<K> = self
            .entries
            .iter()
            .filter(stale)
            .map(|(key, _)| key.clone())
            .collect();
        gone.iter().filter_map(|key| self.remove(key)).collect()
    }
}

macro_rules! dated {
    ($($kind:ty),*) => {$(
        impl Dated for $kind {
            fn meta(&self) -> &Meta {
                &self.meta
            }
        }
    )*};
}

dated!(
    Pool,
    Framework,
    Task,
    Group,
    Reservation,
    Offer,
    Agent,
    Namespace
);
