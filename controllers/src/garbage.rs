//! Owner references: dependents of what is gone go too; a foreground deletion waits for them, an
//! orphaning one sets them free.
//!
//! Our own kinds are known in full. Of all others only the heads are followed, and only those kept
//! that have owners or are held by a finalizer. That an owner is gone is never concluded from not
//! having seen it: either its deletion was seen, or the server was asked for its uid.

mod heads;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::effect::Write;
use crate::model::{
    FOREGROUND_FINALIZER, Head, Key, Meta, ORPHAN_FINALIZER, OURS, Owner, Sort, Thing, group,
};
use crate::world::{Change, Dated, Delta, Shelf, World};

/// Owners asked for at once.
const ASKS_MAX: usize = 256;

/// Who depends on whom.
#[derive(Debug, Default)]
pub struct Garbage {
    /// By uid of the owner.
    dependents: BTreeMap<String, BTreeSet<Thing>>,
    dirty: BTreeSet<Thing>,
    /// What discovery names; empty until it was heard.
    sorts: Vec<Arc<Sort>>,
    heads: BTreeMap<Arc<Sort>, Shelf<Key, Head>>,
    /// Uids of owners that are known to be gone; a uid never comes back.
    gone: BTreeSet<String>,
    /// Uids of owners of other kinds that the server was asked for and has.
    alive: BTreeMap<String, Arc<Sort>>,
    /// Being asked for.
    asked: BTreeSet<String>,
    asks: Vec<Owner>,
    /// Asked for without a usable answer.
    later: BTreeSet<String>,
    /// Held until the heads of all kinds are known.
    held: BTreeSet<Thing>,
}

/// What is known of an owner.
enum Fate {
    Gone,
    /// Or of a kind that nobody knows: taken to exist.
    Alive,
    Unknown(Owner),
}

impl Garbage {
    /// An object changed: it, its owners and its dependents are looked at again.
    pub fn observe(&mut self, change: &Change) {
        match change {
            Change::Framework(delta) => self.ours("frameworks", delta, |f| f.key.clone()),
            Change::Task(delta) => self.ours("tasks", delta, |t| t.key.clone()),
            Change::Group(delta) => self.ours("taskgroups", delta, |g| g.key.clone()),
            Change::Reservation(delta) => self.ours("reservations", delta, |r| r.key.clone()),
            Change::Pool(delta) => self.ours("resourcepools", delta, |p| Key::new("", &p.name)),
            Change::Agent(delta) => self.ours("agents", delta, |a| Key::new("", &a.name)),
            // Offers are the allocator's to remove, but may own something.
            Change::Offer(delta) => {
                if let (Some(old), None) = (&delta.old, &delta.new) {
                    self.departed(&old.meta.uid);
                }
            }
            // Emptied as a whole; as an owner it is followed like all kinds that are not ours.
            Change::Namespace(_) => {}
        }
    }

    fn ours<T: Dated>(&mut self, plural: &'static str, delta: &Delta<T>, key: impl Fn(&T) -> Key) {
        let Some(present) = delta.new.as_ref().or(delta.old.as_ref()) else {
            return;
        };
        let this = Thing::ours(plural, key(present));
        let old = delta.old.as_deref().map(Dated::meta);
        self.note(&this, old, delta.new.as_deref().map(Dated::meta));
    }

    fn note(&mut self, this: &Thing, old: Option<&Meta>, new: Option<&Meta>) {
        let same = old
            .zip(new)
            .is_some_and(|(old, new)| old.uid == new.uid && old.owners == new.owners);
        if let Some(old) = old.filter(|_| !same) {
            for owner in &old.owners {
                self.forget(owner, this);
            }
            if new.is_none_or(|new| new.uid != old.uid) {
                self.departed(&old.uid);
            }
        }
        let Some(new) = new else { return };
        for owner in new.owners.iter().filter(|_| !same) {
            let dependents = self.dependents.entry(owner.uid.clone()).or_default();
            dependents.insert(this.clone());
        }
        if !new.owners.is_empty() || (new.deleting && !new.finalizers.is_empty()) {
            self.dirty.insert(this.clone());
        }
    }

    /// Whoever had this uid is gone for good.
    fn departed(&mut self, uid: &str) {
        if let Some(dependents) = self.dependents.get(uid) {
            self.dirty.extend(dependents.iter().cloned());
            self.gone.insert(uid.to_owned());
        }
        self.alive.remove(uid);
    }

    fn forget(&mut self, owner: &OwnerReference, dependent: &Thing) {
        if let Some(set) = self.dependents.get_mut(&owner.uid) {
            set.remove(dependent);
            if set.is_empty() {
                self.dependents.remove(&owner.uid);
                self.gone.remove(&owner.uid);
                self.alive.remove(&owner.uid);
            }
        }
        // A foreground deletion may have waited for this one.
        self.dirty.extend(self.resolve(owner, dependent));
    }

    /// Where the owner of this dependent is to be found; none for a kind that nobody knows.
    fn resolve(&self, owner: &OwnerReference, dependent: &Thing) -> Option<Thing> {
        let of = |sort: &&Arc<Sort>| {
            sort.kind == owner.kind && sort.group() == group(&owner.api_version)
        };
        let sort = OURS
            .iter()
            .find(of)
            .or_else(|| self.sorts.iter().find(of))?;
        let key = if sort.namespaced {
            dependent.key.sibling(&owner.name)
        } else {
            Key::new("", &owner.name)
        };
        // What is in no namespace cannot depend on what is in one.
        let possible = !sort.namespaced || dependent.sort.namespaced;
        let sort = Arc::clone(sort);
        possible.then_some(Thing { sort, key })
    }

    /// A write about the thing was refused: it and its owners are looked at again.
    pub fn again(&mut self, world: &World, thing: &Thing) {
        let owners = self.meta(world, thing).map(|meta| meta.owners.clone());
        for owner in owners.unwrap_or_default() {
            self.dirty.extend(self.resolve(&owner, thing));
        }
        self.dirty.insert(thing.clone());
    }

    /// What has to be deleted or set free.
    pub fn reconcile(&mut self, world: &World) -> Vec<Write> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty
            .iter()
            .flat_map(|thing| self.look(world, thing))
            .collect()
    }

    /// Owners that the server has to be asked for.
    pub fn asks(&mut self) -> Option<Vec<Owner>> {
        let count = self.asks.len().min(ASKS_MAX);
        (count > 0).then(|| self.asks.drain(..count).collect())
    }

    /// Takes in what the server said of owners. True if some have to be asked for again later.
    pub fn verified(&mut self, answers: Vec<(Owner, Option<bool>)>) -> bool {
        for (Owner { uid, thing }, there) in answers {
            self.asked.remove(&uid);
            let Some(dependents) = self.dependents.get(&uid) else {
                continue;
            };
            match there {
                Some(false) => _ = self.gone.insert(uid.clone()),
                Some(true) if !thing.sort.is_ours() => {
                    self.alive.insert(uid.clone(), thing.sort);
                }
                // One of ours that is there is about to be seen, or is gone again by then.
                Some(true) | None => {
                    self.later.insert(uid);
                    continue;
                }
            }
            self.dirty.extend(dependents.iter().cloned());
        }
        !self.later.is_empty()
    }

    /// Time to look again at what had no usable answer.
    pub fn look_later(&mut self) {
        for uid in std::mem::take(&mut self.later) {
            let dependents = self.dependents.get(&uid);
            self.dirty.extend(dependents.into_iter().flatten().cloned());
        }
    }

    fn look(&mut self, world: &World, thing: &Thing) -> Vec<Write> {
        let Some(meta) = self.meta(world, thing).cloned() else {
            return Vec::new();
        };
        if meta.deleting {
            return self.release(world, thing, &meta);
        }
        let mut unknown = Vec::new();
        for owner in &meta.owners {
            match self.fate(world, thing, owner) {
                Fate::Alive => return Vec::new(),
                Fate::Unknown(owner) => unknown.push(owner),
                Fate::Gone => {}
            }
        }
        if unknown.is_empty() && !meta.owners.is_empty() {
            return vec![writes::remove(thing, &meta)];
        }
        for owner in unknown {
            if self.asked.insert(owner.uid.clone()) {
                self.asks.push(owner);
            }
        }
        Vec::new()
    }

    fn fate(&self, world: &World, dependent: &Thing, owner: &OwnerReference) -> Fate {
        if self.gone.contains(&owner.uid) {
            return Fate::Gone;
        }
        let Some(thing) = self.resolve(owner, dependent) else {
            return Fate::Alive;
        };
        let seen = self.meta(world, &thing);
        if seen.is_some_and(|meta| meta.uid == owner.uid) || self.alive.contains_key(&owner.uid) {
            return Fate::Alive;
        }
        let uid = owner.uid.clone();
        Fate::Unknown(Owner { uid, thing })
    }

    fn release(&mut self, world: &World, thing: &Thing, meta: &Meta) -> Vec<Write> {
        let has = |finalizer: &str| meta.finalizers.iter().any(|f| f == finalizer);
        let finalizer = match (has(FOREGROUND_FINALIZER), has(ORPHAN_FINALIZER)) {
            (false, false) => return Vec::new(),
            (true, _) => FOREGROUND_FINALIZER,
            (false, true) => ORPHAN_FINALIZER,
        };
        if !self.is_whole() {
            self.held.insert(thing.clone());
            return Vec::new();
        }
        let Some(dependents) = self.dependents.get(&meta.uid) else {
            return vec![writes::unfinalize(thing, meta, finalizer)];
        };
        let each = dependents.iter().filter_map(|thing| {
            let dependent = self.meta(world, thing)?;
            match finalizer {
                FOREGROUND_FINALIZER => {
                    (!dependent.deleting).then(|| writes::remove(thing, dependent))
                }
                _orphan => Some(writes::set_free(thing, dependent, &meta.uid)),
            }
        });
        each.collect()
    }

    fn meta<'a>(&'a self, world: &'a World, Thing { sort, key }: &Thing) -> Option<&'a Meta> {
        if !sort.is_ours() {
            return self.heads.get(sort)?.get(key).map(|head| &head.meta);
        }
        match sort.plural.as_str() {
            "frameworks" => world.frameworks.get(key).map(|f| &f.meta),
            "tasks" => world.tasks.get(key).map(|t| &t.meta),
            "taskgroups" => world.groups.get(key).map(|g| &g.meta),
            "reservations" => world.reservations.get(key).map(|r| &r.meta),
            "resourcepools" => world.pools.get(&key.name).map(|p| &p.meta),
            "agents" => world.agents.get(&key.name).map(|a| &a.meta),
            "offers" => world.offers.get(key).map(|o| &o.meta),
            _other => None,
        }
    }
}
