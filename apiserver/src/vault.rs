//! Secrets at rest: what is stored of the kinds that are covered is sealed, and opened when it is
//! read. Everything behind this door (log, state files, snapshots, what replicas send each other)
//! holds sealed bytes alone; everything before it sees the plain layout of `object.rs`.
//!
//! Other kinds pay the comparison of one byte for a read and of one prefix for a write.
//! `seal.rs` and `ring.rs` are pure; drawing a data key is the one use of randomness here.

pub mod ring;

pub mod roots;

pub mod seal;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ::ring::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use store::{Change, Item, Store, View};

use crate::keys;
use crate::status::Failure;
use ring::Ring;
use roots::Roots;
use seal::{DataKey, SECRET_BYTES};

/// Kinds that can be sealed: nothing reads them but through this door.
pub const KINDS: [&str; 2] = ["secrets", "configmaps"];

/// Seals and opens. Its keys are wrapped in the store itself, by roots that only replicas have.
#[derive(Debug, Default)]
pub struct Vault {
    store: Option<Store>,
    roots: Roots,
    /// What the keys of covered objects begin with.
    prefixes: Vec<Bytes>,
    known: RwLock<Known>,
}

/// The data keys, as of the ring last seen.
#[derive(Debug, Default)]
struct Known {
    revision: u64,
    primary: u32,
    keys: BTreeMap<u32, Arc<DataKey>>,
}

/// The data keys in the store are wrapped by roots this replica has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of Secrets is wrapped by root {0}, which this replica does not have")]
pub struct MissingRoot(pub String);

impl Vault {
    /// A vault over the store, for kinds of the core group by their plurals.
    #[must_use]
    pub fn new(store: Store, roots: Roots, plurals: &[String]) -> Self {
        let prefixes = plurals.iter().map(|plural| keys::resource("", plural));
        Self {
            store: Some(store),
            roots,
            prefixes: prefixes.collect(),
            known: RwLock::default(),
        }
    }

    /// True if the object under this key is sealed when it is written.
    #[must_use]
    pub fn covers(&self, key: &[u8]) -> bool {
        self.prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// What the keys of covered objects begin with.
    #[must_use]
    pub fn prefixes(&self) -> &[Bytes] {
        &self.prefixes
    }

    /// The roots, as a joining server is given them.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// All keys of the ring can be used, or there is none yet.
    ///
    /// # Errors
    /// The root that is missing.
    pub fn check(&self, view: &View) -> Result<(), MissingRoot> {
        let Some(item) = view.get(&keys::data_keys()) else {
            return Ok(());
        };
        let ring = Ring::parse(&item.value).unwrap_or_default();
        ring.unwrap(&self.roots)
            .map(|_keys| ())
            .map_err(MissingRoot)
    }

    /// The object in the plain layout.
    #[must_use]
    pub fn open(&self, item: Item) -> Item {
        if item.value.first() != Some(&seal::LAYOUT) {
            return item;
        }
        let opened = seal::key_id(&item.value)
            .and_then(|id| self.key(id))
            .and_then(|key| key.open(&item.key, &item.value));
        match opened {
            Some(value) => Item { value, ..item },
            None => {
                let key = String::from_utf8_lossy(&item.key).into_owned();
                tracing::error!(%key, "a sealed object cannot be opened: its data key is not here, or it is damaged");
                item
            }
        }
    }

    /// The change with its objects in the plain layout.
    #[must_use]
    pub fn opened(&self, change: Arc<Change>) -> Arc<Change> {
        let sealed = |item: &Option<Item>| {
            item.as_ref()
                .is_some_and(|item| item.value.first() == Some(&seal::LAYOUT))
        };
        if !sealed(&change.old) && !sealed(&change.new) {
            return change;
        }
        let mut change = (*change).clone();
        change.old = change.old.map(|item| self.open(item));
        change.new = change.new.map(|item| self.open(item));
        Arc::new(change)
    }

    /// The key new objects are sealed with, given the ring as stored.
    ///
    /// # Errors
    /// 500 when this replica cannot unwrap it.
    pub fn primary(&self, ring: &Item) -> Result<Arc<DataKey>, Failure> {
        let found = |known: &Known| known.keys.get(&known.primary).cloned();
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(key) = found(&known).filter(|_| known.revision == ring.mod_revision) {
                return Ok(key);
            }
        }
        let fresh = self.unwrap(ring)?;
        let key = found(&fresh);
        self.learn(fresh);
        key.ok_or_else(|| Failure::internal("the ring of data keys has no primary key"))
    }

    /// A ring with a new key in front; the first ring of a cluster if there is none.
    ///
    /// # Errors
    /// 500 when there is no randomness, or the present ring cannot be unwrapped.
    pub fn next_ring(&self, present: Option<&Item>) -> Result<Ring, Failure> {
        let mut secret = [0; SECRET_BYTES];
        let no_dice = |_unspecified| Failure::internal("no randomness for a data key");
        SystemRandom::new().fill(&mut secret).map_err(no_dice)?;
        let ring = present.map(|item| Ring::parse(&item.value));
        let ring = match ring {
            None => Ring::default(),
            Some(Some(ring)) => ring,
            Some(None) => return Err(Failure::internal("the ring of data keys is damaged")),
        };
        ring.with_new(&secret, &self.roots)
            .map_err(|root| Failure::internal(MissingRoot(root)))
    }

    /// True unless the stored value is sealed by this key.
    #[must_use]
    pub fn is_stale(&self, value: &[u8], primary: &DataKey) -> bool {
        value.first() != Some(&seal::LAYOUT) || seal::key_id(value) != Some(primary.id())
    }

    fn key(&self, id: u32) -> Option<Arc<DataKey>> {
        let known = |vault: &Self| {
            let known = vault.known.read().unwrap_or_else(PoisonError::into_inner);
            known.keys.get(&id).cloned()
        };
        if let Some(key) = known(self) {
            return Some(key);
        }
        // Whatever was sealed, its key came into the store before it.
        let ring = self.store.as_ref()?.view().get(&keys::data_keys())?;
        match self.unwrap(&ring) {
            Ok(fresh) => self.learn(fresh),
            Err(failure) => tracing::error!(%failure, "the data keys cannot be used"),
        }
        known(self)
    }

    fn unwrap(&self, item: &Item) -> Result<Known, Failure> {
        let ring = Ring::parse(&item.value)
            .ok_or_else(|| Failure::internal("the ring of data keys is damaged"))?;
        let keys = ring
            .unwrap(&self.roots)
            .map_err(|root| Failure::internal(MissingRoot(root)))?;
        Ok(Known {
            revision: item.mod_revision,
            primary: ring.primary(),
            keys: keys
                .into_iter()
                .map(|key| (key.id(), Arc::new(key)))
                .collect(),
        })
    }

    fn learn(&self, fresh: Known) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if fresh.revision >= known.revision {
            *known = fresh;
        }
    }
}
