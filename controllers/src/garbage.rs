//! Owner references: dependents of what is gone go too; a foreground deletion waits for them, an
//! orphaning one sets them free. For the kinds of `stoa.dev`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::effect::{Token, Write};
use crate::model::{FOREGROUND_FINALIZER, Key, Meta, ORPHAN_FINALIZER};
use crate::ops;
use crate::world::{Change, Dated, Delta, World};

/// Plural and name; cluster-scoped kinds have an empty namespace.
type Thing = (&'static str, Key);

/// Who depends on whom.
#[derive(Debug, Default)]
pub struct Garbage {
    /// By uid of the owner.
    dependents: BTreeMap<String, BTreeSet<Thing>>,
    dirty: BTreeSet<Thing>,
}

impl Garbage {
    /// An object changed: it, its owners and its dependents are looked at again.
    pub fn observe(&mut self, change: &Change) {
        match change {
            Change::Framework(delta) => self.note(delta, |f| ("frameworks", f.key.clone())),
            Change::Task(delta) => self.note(delta, |t| ("tasks", t.key.clone())),
            Change::Group(delta) => self.note(delta, |g| ("taskgroups", g.key.clone())),
            Change::Reservation(delta) => self.note(delta, |r| ("reservations", r.key.clone())),
            Change::Pool(delta) => self.note(delta, |p| ("resourcepools", Key::new("", &p.name))),
            Change::Agent(delta) => self.note(delta, |a| ("agents", Key::new("", &a.name))),
            // Offers are the allocator's, namespaces are emptied as a whole.
            Change::Offer(_) | Change::Namespace(_) => {}
        }
    }

    fn note<T: Dated>(&mut self, delta: &Delta<T>, thing: impl Fn(&T) -> Thing) {
        let Some(present) = delta.new.as_ref().or(delta.old.as_ref()) else {
            return;
        };
        let this = thing(present);
        if let Some(old) = delta.old.as_deref().map(Dated::meta) {
            for owner in &old.owners {
                self.forget(owner, &this);
            }
            if delta
                .new
                .as_ref()
                .is_none_or(|new| new.meta().uid != old.uid)
            {
                self.dirty
                    .extend(self.dependents.get(&old.uid).into_iter().flatten().cloned());
            }
        }
        let Some(new) = delta.new.as_deref().map(Dated::meta) else {
            return;
        };
        for owner in &new.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(this.clone());
        }
        if !new.owners.is_empty() || (new.deleting && !new.finalizers.is_empty()) {
            self.dirty.insert(this);
        }
    }

    fn forget(&mut self, owner: &OwnerReference, dependent: &Thing) {
        if let Some(set) = self.dependents.get_mut(&owner.uid) {
            set.remove(dependent);
            if set.is_empty() {
                self.dependents.remove(&owner.uid);
            }
        }
        // A foreground deletion may have waited for this one.
        if let Some(plural) = plural(&owner.kind) {
            self.dirty
                .insert((plural, dependent.1.sibling(&owner.name)));
        }
    }

    /// A write about the thing was refused: it and its owners are looked at again.
    pub fn again(&mut self, world: &World, plural: &'static str, key: &Key) {
        let thing = (plural, key.clone());
        for owner in meta(world, &thing)
            .into_iter()
            .flat_map(|meta| &meta.owners)
        {
            let owners = self::plural(&owner.kind).map(|plural| (plural, key.sibling(&owner.name)));
            self.dirty.extend(owners);
        }
        self.dirty.insert(thing);
    }

    /// What has to be deleted or set free.
    pub fn reconcile(&mut self, world: &World) -> Vec<Write> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty
            .iter()
            .flat_map(|thing| self.look(world, thing))
            .collect()
    }

    fn look(&self, world: &World, thing: &Thing) -> Vec<Write> {
        let Some(meta) = meta(world, thing) else {
            return Vec::new();
        };
        if meta.deleting {
            return self.release(world, thing, meta);
        }
        let orphaned = !meta.owners.is_empty()
            && meta
                .owners
                .iter()
                .all(|owner| is_gone(world, &thing.1, owner));
        if orphaned {
            vec![remove(thing, meta)]
        } else {
            Vec::new()
        }
    }

    fn release(&self, world: &World, thing: &Thing, meta: &Meta) -> Vec<Write> {
        let has = |finalizer: &str| meta.finalizers.iter().any(|f| f == finalizer);
        let dependents = || self.dependents.get(&meta.uid).into_iter().flatten();
        let finalizer = match (has(FOREGROUND_FINALIZER), has(ORPHAN_FINALIZER)) {
            (false, false) => return Vec::new(),
            (true, _) => FOREGROUND_FINALIZER,
            (false, true) => ORPHAN_FINALIZER,
        };
        if dependents().next().is_none() {
            return vec![unfinalize(thing, meta, finalizer)];
        }
        let each = dependents().filter_map(|thing| {
            let dependent = self::meta(world, thing)?;
            match finalizer {
                FOREGROUND_FINALIZER => (!dependent.deleting).then(|| remove(thing, dependent)),
                _orphan => Some(set_free(thing, dependent, &meta.uid)),
            }
        });
        each.collect()
    }
}

fn plural(kind: &str) -> Option<&'static str> {
    match kind {
        "Framework" => Some("frameworks"),
        "Task" => Some("tasks"),
        "TaskGroup" => Some("taskgroups"),
        "Reservation" => Some("reservations"),
        "ResourcePool" => Some("resourcepools"),
        "Agent" => Some("agents"),
        _other => None,
    }
}

fn meta<'a>(world: &'a World, (plural, key): &Thing) -> Option<&'a Meta> {
    match *plural {
        "frameworks" => world.frameworks.get(key).map(|f| &f.meta),
        "tasks" => world.tasks.get(key).map(|t| &t.meta),
        "taskgroups" => world.groups.get(key).map(|g| &g.meta),
        "reservations" => world.reservations.get(key).map(|r| &r.meta),
        "resourcepools" => world.pools.get(&key.name).map(|p| &p.meta),
        "agents" => world.agents.get(&key.name).map(|a| &a.meta),
        _other => None,
    }
}

/// Owners of kinds that are not watched here are taken to exist.
fn is_gone(world: &World, dependent: &Key, owner: &OwnerReference) -> bool {
    let Some(plural) = plural(&owner.kind) else {
        return false;
    };
    let thing = (plural, dependent.sibling(&owner.name));
    meta(world, &thing).is_none_or(|meta| meta.uid != owner.uid)
}

fn token((plural, key): &Thing) -> Token {
    Token::Garbage(plural, key.clone())
}

fn remove(thing: &Thing, meta: &Meta) -> Write {
    Write::cold(
        token(thing),
        vec![ops::delete(thing.0, &thing.1, &meta.uid, None)],
    )
}

fn unfinalize(thing: &Thing, meta: &Meta, finalizer: &str) -> Write {
    let kept: Vec<&String> = meta.finalizers.iter().filter(|f| *f != finalizer).collect();
    metadata(thing, meta, "finalizers", json!(kept))
}

fn set_free(thing: &Thing, meta: &Meta, owner: &str) -> Write {
    let kept: Vec<&OwnerReference> = meta.owners.iter().filter(|o| o.uid != owner).collect();
    metadata(thing, meta, "ownerReferences", json!(kept))
}

fn metadata(thing: &Thing, meta: &Meta, field: &str, value: Value) -> Write {
    let mut metadata = json!({ "uid": meta.uid, "resourceVersion": meta.version.to_string() });
    metadata[field] = value;
    Write::cold(
        token(thing),
        vec![ops::patch(
            thing.0,
            &thing.1,
            json!({ "metadata": metadata }),
        )],
    )
}
