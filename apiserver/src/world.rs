//! The state a write computes on: a view of the store, what was read of it, and what will be
//! written. Everything read becomes a guard, so a plan made on a stale view cannot be committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use store::{Guard, Item, Op, Txn, View};

use crate::keys;
use crate::object::{self, Form};
use crate::status::Failure;
use crate::vault::Vault;
use crate::vault::seal::DataKey;

/// Largest stored object. etcd's limit, which people know.
pub const OBJECT_BYTES_MAX: usize = 1_572_864;

/// A view, and the changes planned on top of it.
#[derive(Debug)]
pub struct World {
    view: View,
    touched: BTreeMap<Bytes, Touched>,
    /// Keys in the order in which they were first written.
    written: Vec<Bytes>,
    epochs: Vec<u64>,
    vault: Arc<Vault>,
}

#[derive(Debug)]
struct Touched {
    before: Option<Item>,
    after: After,
    written: bool,
}

#[derive(Debug)]
enum After {
    /// As before; not looked into yet.
    Unread,
    /// As before; parsed.
    Same(Option<Arc<Value>>),
    Put(Arc<Value>),
    Gone,
}

impl World {
    /// A world that is as the view shows it.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self {
            view,
            touched: BTreeMap::new(),
            written: Vec::new(),
            epochs: Vec::new(),
            vault: Arc::default(),
        }
    }

    /// The world in which Secrets are sealed.
    #[must_use]
    pub fn with_vault(mut self, vault: &Arc<Vault>) -> Self {
        self.vault = Arc::clone(vault);
        self
    }

    /// What seals and opens.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// True if something is to be sealed and no key was ever made.
    pub fn lacks_key(&mut self) -> bool {
        let seals = self.seals();
        seals && self.touch(&keys::data_keys()).before.is_none()
    }

    fn seals(&self) -> bool {
        self.written.iter().any(|key| {
            let put = self.touched.get(key).map(|touched| &touched.after);
            self.vault.covers(key) && matches!(put, Some(After::Put(_)))
        })
    }

    /// The key that seals what is written; none if nothing has to be. The commit will demand that it
    /// is still the newest.
    fn sealer(&mut self) -> Result<Option<Arc<DataKey>>, Failure> {
        if !self.seals() {
            return Ok(None);
        }
        let vault = Arc::clone(&self.vault);
        let ring = self.touch(&keys::data_keys()).before.as_ref();
        let ring =
            ring.ok_or_else(|| Failure::unavailable("there is no data key yet: try again"))?;
        vault.primary(ring).map(Some)
    }

    /// The view below.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The object under the key. The commit will demand that it has not changed.
    pub fn read(&mut self, key: &Bytes) -> Option<Arc<Value>> {
        let touched = self.touch(key);
        match &touched.after {
            After::Unread => {
                let parsed = touched.before.as_ref().map(object::decode).map(Arc::new);
                touched.after = After::Same(parsed.clone());
                parsed
            }
            After::Same(object) => object.clone(),
            After::Put(object) => Some(Arc::clone(object)),
            After::Gone => None,
        }
    }

    /// True if the key's last change is this one; none: it is absent. As with a read, the commit
    /// will demand that it has not changed, but nothing is parsed.
    pub fn is_at(&mut self, key: &Bytes, revision: Option<u64>) -> bool {
        let touched = self.touch(key);
        let present = touched.before.as_ref().map(|item| item.mod_revision);
        !touched.written && present == revision
    }

    /// Plans to store the object. Its resourceVersion, if any, is that of the version read.
    pub fn put(&mut self, key: &Bytes, object: Value) {
        self.write(key, After::Put(Arc::new(object)));
    }

    /// Plans to remove the object.
    pub fn remove(&mut self, key: &Bytes) {
        self.write(key, After::Gone);
    }

    /// Demands that the entry is ordered by the leader of this epoch.
    pub fn require_epoch(&mut self, epoch: u64) {
        self.epochs.push(epoch);
    }

    /// Keys with this prefix, planned changes included.
    #[must_use]
    pub fn keys(&self, prefix: &[u8]) -> Vec<Bytes> {
        let mut keys: BTreeSet<Bytes> = self.view.keys(prefix).map(|(key, _)| key).collect();
        for (key, touched) in &self.touched {
            if key.starts_with(prefix) {
                match touched.after {
                    After::Put(_) => _ = keys.insert(key.clone()),
                    After::Gone => _ = keys.remove(key),
                    After::Unread | After::Same(_) => {}
                }
            }
        }
        keys.into_iter().collect()
    }

    fn touch(&mut self, key: &Bytes) -> &mut Touched {
        let (view, vault) = (&self.view, &self.vault);
        self.touched.entry(key.clone()).or_insert_with(|| Touched {
            before: view.get(key).map(|item| vault.open(item)),
            after: After::Unread,
            written: false,
        })
    }

    fn write(&mut self, key: &Bytes, after: After) {
        let touched = self.touch(key);
        touched.after = after;
        if !std::mem::replace(&mut touched.written, true) {
            self.written.push(key.clone());
        }
    }

    /// The object as a dry run shows it.
    #[must_use]
    pub fn preview(&self, key: &Bytes) -> Form {
        match self
            .touched
            .get(key)
            .map(|touched| (&touched.after, &touched.before))
        {
            Some((After::Put(object), _)) => Form::Value((**object).clone()),
            Some((After::Unread | After::Same(_), Some(item))) => Form::Stored(item.clone()),
            Some((After::Unread | After::Same(_) | After::Gone, _)) | None => {
                Form::Value(Value::Null)
            }
        }
    }

    /// The transaction that makes the plan true, if nothing that was read has changed.
    ///
    /// # Errors
    /// 413 when an object is too large to be stored.
    pub fn commit(mut self, request_id: u128, stamp_ms: u64) -> Result<Commit, Failure> {
        let sealer = self.sealer()?;
        let epochs = self.epochs.iter().map(|epoch| Guard::Epoch(*epoch));
        let reads = self
            .touched
            .iter()
            .map(|(key, touched)| guard(key, touched.before.as_ref()));
        let guards: Vec<Guard> = epochs.chain(reads).collect();
        let mut ops = Vec::with_capacity(self.written.len());
        let mut places = BTreeMap::new();
        for key in self.written {
            let Some(touched) = self.touched.get_mut(&key) else {
                continue;
            };
            let sealer = sealer.as_deref().filter(|_| self.vault.covers(&key));
            if let Some(op) = operation(&key, touched, sealer)? {
                places.insert(key, ops.len());
                ops.push(op);
            }
        }
        let untouched = self
            .touched
            .into_iter()
            .filter_map(|(key, t)| Some((key, t.before?)));
        Ok(Commit {
            epochs: self.epochs.len(),
            view_revision: self.view.revision(),
            before: untouched.collect(),
            vault: self.vault,
            places,
            txn: Txn {
                request_id,
                stamp_ms,
                guards,
                ops,
            },
        })
    }
}

fn guard(key: &Bytes, before: Option<&Item>) -> Guard {
    let key = key.clone();
    match before {
        Some(item) => Guard::Revision {
            key,
            revision: item.mod_revision,
        },
        None => Guard::Absent(key),
    }
}

fn operation(
    key: &Bytes,
    touched: &Touched,
    sealer: Option<&DataKey>,
) -> Result<Option<Op>, Failure> {
    match &touched.after {
        After::Put(object) => {
            let value = object::encode(object);
            if value.len() > OBJECT_BYTES_MAX {
                let text = "Request entity too large: a stored object may have at most";
                return Err(Failure::too_large(format!(
                    "{text} {OBJECT_BYTES_MAX} bytes"
                )));
            }
            Ok(Some(Op::Put {
                key: key.clone(),
                value: match sealer {
                    Some(sealer) => sealer.seal(key, &value),
                    None => value,
                },
            }))
        }
        After::Gone if touched.before.is_some() => Ok(Some(Op::Delete { key: key.clone() })),
        After::Gone | After::Unread | After::Same(_) => Ok(None),
    }
}

/// A plan ready for the store, and what is needed to word its answer.
#[derive(Debug)]
pub struct Commit {
    /// What the store is given.
    pub txn: Txn,
    /// Revision of the view the plan was made on.
    pub view_revision: u64,
    epochs: usize,
    before: BTreeMap<Bytes, Item>,
    vault: Arc<Vault>,
    places: BTreeMap<Bytes, usize>,
}

impl Commit {
    /// True if the refused guard was one on the leader's epoch.
    #[must_use]
    pub fn is_epoch(&self, guard: usize) -> bool {
        guard < self.epochs
    }

    /// True if nothing would be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.txn.ops.is_empty()
    }

    /// The object under a key as committed, given the revisions of the operations.
    #[must_use]
    pub fn committed(&self, ops: &[Op], key: &Bytes, revisions: &[u64]) -> Option<Item> {
        let before = self.before.get(key);
        let Some(&place) = self.places.get(key) else {
            return before.cloned();
        };
        let mod_revision = revisions.get(place).copied()?;
        match ops.get(place)? {
            Op::Put { value, .. } => Some(self.vault.open(Item {
                key: key.clone(),
                value: value.clone(),
                create_revision: before.map_or(mod_revision, |item| item.create_revision),
                mod_revision,
                version: before.map_or(1, |item| item.version + 1),
            })),
            Op::Delete { .. } => None,
        }
    }

    /// The revision of the operation on a key.
    #[must_use]
    pub fn revision(&self, key: &Bytes, revisions: &[u64]) -> Option<u64> {
        revisions.get(*self.places.get(key)?).copied()
    }
}
