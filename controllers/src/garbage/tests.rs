//! Owners and dependents of kinds that are not ours.

use kube::core::PartialObjectMeta;
use serde_json::{Value, json};

use super::*;
use crate::event::Seen;

fn sort(kind: &str, plural: &str) -> Arc<Sort> {
    Arc::new(Sort {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced: true,
    })
}

struct Rig {
    garbage: Garbage,
    world: World,
    maps: Arc<Sort>,
    secrets: Arc<Sort>,
}

impl Rig {
    /// Both kinds listed, and nothing there.
    fn new() -> Self {
        let (maps, secrets) = (sort("ConfigMap", "configmaps"), sort("Secret", "secrets"));
        let mut rig = Self {
            garbage: Garbage::default(),
            world: World::default(),
            maps: Arc::clone(&maps),
            secrets: Arc::clone(&secrets),
        };
        rig.garbage.sorts(vec![maps.clone(), secrets.clone()]);
        rig.garbage.head(&maps, Seen::Synced(1), 0);
        rig.garbage.head(&secrets, Seen::Synced(1), 0);
        rig
    }

    fn map(&mut self, wrap: fn(Box<PartialObjectMeta>) -> Seen<PartialObjectMeta>, more: &Value) {
        let head = head("root", "uid-root", more);
        self.garbage.head(&self.maps, wrap(head), 0);
    }

    /// A Secret that the ConfigMap owns.
    fn secret(&mut self) {
        let owner =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "root", "uid": "uid-root"});
        let head = head("leaf", "uid-leaf", &json!({ "ownerReferences": [owner] }));
        self.garbage.head(&self.secrets, Seen::Item(head), 0);
    }

    /// Names of what is written about, with the verb.
    fn writes(&mut self) -> Vec<String> {
        let writes = self.garbage.reconcile(&self.world);
        let operations = writes.iter().flat_map(|write| &write.operations);
        operations
            .map(|o| format!("{:?} {}", o.verb, o.target.name))
            .collect()
    }

    fn verify(&mut self, there: Option<bool>) -> bool {
        let asks = self.garbage.asks().expect("an owner is asked for");
        assert_eq!(asks.len(), 1);
        self.garbage
            .verified(asks.into_iter().map(|owner| (owner, there)).collect())
    }
}

fn head(name: &str, uid: &str, more: &Value) -> Box<PartialObjectMeta> {
    let mut metadata = json!({"name": name, "namespace": "n", "uid": uid, "resourceVersion": "7"});
    for (field, value) in more.as_object().unwrap() {
        metadata[field] = value.clone();
    }
    Box::new(serde_json::from_value(json!({ "metadata": metadata })).unwrap())
}

#[test]
fn a_dependent_goes_when_its_owner_is_seen_to_go() {
    let mut rig = Rig::new();
    rig.map(Seen::Item, &json!({}));
    rig.secret();
    assert_eq!(rig.writes(), [""; 0]);
    assert!(!rig.verify(Some(true)));
    assert_eq!(rig.writes(), [""; 0]);
    rig.map(Seen::Gone, &json!({}));
    assert_eq!(rig.writes(), ["Delete leaf"]);
}

#[test]
fn an_owner_that_was_not_seen_is_asked_for_before_anything_is_concluded() {
    let mut rig = Rig::new();
    rig.secret();
    assert_eq!(rig.writes(), [""; 0]);
    assert!(rig.verify(None), "no answer is no answer");
    assert_eq!(rig.writes(), [""; 0]);
    rig.garbage.look_later();
    assert_eq!(rig.writes(), [""; 0]);
    assert!(!rig.verify(Some(false)));
    assert_eq!(rig.writes(), ["Delete leaf"]);
}

#[test]
fn what_was_there_before_a_gap_in_the_watch_is_asked_for_again() {
    let mut rig = Rig::new();
    rig.secret();
    rig.writes();
    rig.verify(Some(true));
    let maps = Arc::clone(&rig.maps);
    rig.garbage.head(&maps, Seen::Reset, 0);
    rig.garbage.head(&maps, Seen::Synced(9), 0);
    rig.writes();
    rig.verify(Some(false));
    assert_eq!(rig.writes(), ["Delete leaf"]);
}

#[test]
fn a_held_owner_waits_for_its_dependents_or_sets_them_free() {
    for (finalizer, first) in [
        (FOREGROUND_FINALIZER, "Delete leaf"),
        (ORPHAN_FINALIZER, "Patch leaf"),
    ] {
        let mut rig = Rig::new();
        rig.secret();
        rig.writes();
        rig.verify(Some(true));
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer]});
        rig.map(Seen::Item, &going);
        assert_eq!(rig.writes(), [first], "{finalizer}");
        let secrets = Arc::clone(&rig.secrets);
        rig.garbage.head(
            &secrets,
            Seen::Gone(head("leaf", "uid-leaf", &json!({}))),
            0,
        );
        assert_eq!(rig.writes(), ["Patch root"], "{finalizer}");
    }
}

#[test]
fn a_held_owner_stays_until_every_kind_was_listed() {
    let mut rig = Rig::new();
    let late = sort("Lease", "leases");
    let (maps, secrets) = (rig.maps.clone(), rig.secrets.clone());
    rig.garbage.sorts(vec![maps, secrets, late.clone()]);
    let going =
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [ORPHAN_FINALIZER]});
    rig.map(Seen::Item, &going);
    assert_eq!(rig.writes(), [""; 0]);
    rig.garbage.head(&late, Seen::Synced(1), 0);
    assert_eq!(rig.writes(), ["Patch root"]);
}
