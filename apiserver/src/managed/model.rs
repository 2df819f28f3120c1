//! Apply against a naive reading of its rules: places as plain lists of words, owners as plain sets,
//! no trees. Random schemas, objects and managers; objects, owners and conflicts must agree.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::apply::Applier;
use super::entries::element;
use super::entry::Operation;
use super::ledger::{Claim, Ledger};
use super::scope::Scope;
use super::types::{Key, List, Map, Relation, Rest, Scalar, Type};

type Path = Vec<String>;

/// Every place of an object: with its value if it is one, without if there are places below.
type Places = BTreeMap<Path, Option<Value>>;

type Owners = BTreeMap<(String, bool), BTreeSet<Path>>;

fn places(type_: &Type, value: &Value, at: &[String], found: &mut Places) {
    let below = |step: String| [at, &[step]].concat();
    let children: Vec<(Path, &Type, &Value)> = match (value, &type_.map, &type_.list) {
        (Value::Object(fields), Some(map), _) if !map.atomic => fields
            .iter()
            .map(|(name, value)| (below(format!(".{name}")), map.field(name), value))
            .collect(),
        (Value::Array(items), _, Some(list)) if !list.is_atomic() => items
            .iter()
            .map(|item| {
                (
                    below(element(list, item).unwrap().to_string()),
                    list.item(),
                    item,
                )
            })
            .collect(),
        _ => {
            found.insert(at.to_vec(), Some(value.clone()));
            return;
        }
    };
    found.insert(at.to_vec(), None);
    for (path, type_, value) in children {
        places(type_, value, &path, found);
    }
}

fn all_places(type_: &Type, object: &Value) -> Places {
    let mut found = Places::new();
    places(type_, object, &[], &mut found);
    found.remove(&Path::new());
    found
}

/// What the schema says of a place: is it declared, and is it a map?
fn schema_at<'t>(type_: &'t Type, path: &[String]) -> (bool, Option<&'t Map>) {
    let (mut at, mut declared) = (type_, false);
    for step in path {
        declared = false;
        at = match step.strip_prefix('.') {
            Some(name) => {
                let map = at.map.as_ref().unwrap();
                declared = map.fields.contains_key(name);
                map.field(name)
            }
            None => at.list.as_ref().map(List::item).unwrap(),
        };
    }
    (declared, at.map.as_ref())
}

fn said(type_: &Type, places: &Places) -> BTreeSet<Path> {
    let is_said = |(path, value): &(&Path, &Option<Value>)| {
        let (declared, map) = schema_at(type_, path);
        let is_empty = map.is_some() && !has_children(places, path);
        value.is_some() || is_empty || !declared
    };
    places
        .iter()
        .filter(is_said)
        .map(|(path, _)| path.clone())
        .collect()
}

fn is_below(path: &[String], above: &[String]) -> bool {
    path.len() > above.len() && path.starts_with(above)
}

fn has_children(places: &Places, path: &[String]) -> bool {
    places.keys().any(|other| is_below(other, path))
}

/// With the declared fields above.
fn with_fields(type_: &Type, set: &BTreeSet<Path>) -> BTreeSet<Path> {
    let above = set
        .iter()
        .flat_map(|path| (1..path.len()).map(|n| path[..n].to_vec()));
    let declared = above.filter(|path| schema_at(type_, path).0);
    declared.chain(set.iter().cloned()).collect()
}

fn without(places: &Places, set: &BTreeSet<Path>) -> Places {
    let gone = |path: &Path| set.iter().any(|s| s == path || is_below(path, s));
    let mut left = places.clone();
    left.retain(|path, _| !gone(path));
    // From the deepest up: what has lost everything below it goes too.
    let paths: Vec<Path> = left.keys().rev().cloned().collect();
    for path in paths {
        let lost = set.iter().any(|s| is_below(s, &path));
        if left[&path].is_none() && lost && !has_children(&left, &path) {
            left.remove(&path);
        }
    }
    left
}

fn prune(type_: &Type, merged: &Places, last: &BTreeSet<Path>, owned: &BTreeSet<Path>) -> Places {
    // Who gives nothing up takes nothing away.
    if last.is_subset(owned) {
        return merged.clone();
    }
    let said = |places: &Places| with_fields(type_, &said(type_, places));
    let (last, owned) = (with_fields(type_, last), with_fields(type_, owned));
    let all = said(merged);
    let kept = &said(&without(merged, &last)) | &owned;
    let wanted = said(&without(merged, &(&all - &kept)));
    without(merged, &(&(&all - &wanted) & &last))
}

/// What was set, and what was removed.
fn changes(old: &Places, new: &Places) -> (BTreeSet<Path>, BTreeSet<Path>) {
    let differs = |(path, value): &(&Path, &Option<Value>)| old.get(*path) != Some(*value);
    let set = new.iter().filter(differs).map(|(path, _)| path.clone());
    let removed = old.keys().filter(|path| !new.contains_key(*path)).cloned();
    (set.collect(), removed.collect())
}

#[derive(Clone, Debug, Default)]
struct Model {
    object: Places,
    owners: Owners,
}

impl Model {
    fn take(&mut self, old: &Places, but: Option<&(String, bool)>) -> BTreeSet<Path> {
        let (set, removed) = changes(old, &self.object);
        for (who, owned) in &mut self.owners {
            if Some(who) != but {
                owned.retain(|path| !set.contains(path) && !removed.contains(path));
            }
        }
        self.owners.retain(|_, owned| !owned.is_empty());
        set
    }

    fn update(&mut self, who: &str, new: Places) {
        let old = std::mem::replace(&mut self.object, new);
        let set = self.take(&old, None);
        if !set.is_empty() {
            self.owners
                .entry((who.into(), false))
                .or_default()
                .extend(set);
        }
    }

    fn apply(&mut self, type_: &Type, who: &str, config: &Places, force: bool) -> Vec<String> {
        let mut next = self.clone();
        let key = (who.to_owned(), true);
        let last = next
            .owners
            .insert(key.clone(), said(type_, config))
            .unwrap_or_default();
        for (path, value) in config {
            next.object.insert(path.clone(), value.clone());
        }
        let owned = next.owners.values().flatten().cloned().collect();
        next.object = prune(type_, &next.object, &last, &owned);
        let (set, _) = changes(&self.object, &next.object);
        let others = next.owners.iter().filter(|(who, _)| **who != key);
        let conflicts: Vec<String> = others
            .flat_map(|(who, owned)| {
                (owned & &set)
                    .into_iter()
                    .map(|path| format!("{} {}", who.0, path.concat()))
            })
            .collect();
        if !force && !conflicts.is_empty() {
            return conflicts;
        }
        next.take(&self.object, Some(&key));
        next.owners.retain(|_, owned| !owned.is_empty());
        *self = next;
        Vec::new()
    }
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    Apply(&'static str, Value, bool),
    Update(&'static str, Value),
}

fn text() -> Type {
    Type::scalar(Scalar::Text)
}

fn types() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(text()),
        Just(Type::list(text(), Relation::Atomic)),
        Just(Type::list(text(), Relation::Set)),
        Just(Type::map(BTreeMap::new(), Rest::Of(Box::new(text())), true)),
        Just(Type::map(
            BTreeMap::new(),
            Rest::Of(Box::new(text())),
            false
        )),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let declared = prop::collection::btree_map("[abc]", inner.clone(), 1..3);
        let keyed = prop::collection::btree_map("[abc]", inner.clone(), 0..3);
        prop_oneof![
            declared.prop_map(|fields| Type::map(fields, Rest::Nothing, false)),
            inner.prop_map(|rest| Type::map(BTreeMap::new(), Rest::Of(Box::new(rest)), false)),
            keyed.prop_map(|mut fields| {
                fields.insert("k".into(), text());
                let key = Key {
                    name: "k".into(),
                    default: None,
                };
                let item = Type::map(fields, Rest::Nothing, false);
                Type::list(item, Relation::Keyed(vec![key]))
            }),
        ]
    })
}

fn values(type_: &Type) -> BoxedStrategy<Value> {
    match (&type_.map, &type_.list) {
        (Some(map), _) => map_values(map),
        (_, Some(list)) if list.relation == Relation::Set => {
            let words = prop::sample::subsequence(vec!["x", "y", "z"], 0..=3).prop_shuffle();
            words.prop_map(|words| json!(words)).boxed()
        }
        (_, Some(list)) if list.is_atomic() => prop::collection::vec("[xy]", 0..3)
            .prop_map(|words| json!(words))
            .boxed(),
        (_, Some(list)) => {
            let items = prop::collection::btree_map("[xyz]", values(list.item()), 0..3);
            items
                .prop_map(|items| {
                    let item = |(key, mut item): (String, Value)| {
                        item["k"] = key.into();
                        item
                    };
                    items.into_iter().map(item).collect::<Vec<Value>>().into()
                })
                .boxed()
        }
        _ => "[xy]".prop_map(Value::from).boxed(),
    }
}

fn map_values(map: &Map) -> BoxedStrategy<Value> {
    if let Some(rest) = map.rest.get() {
        let fields = prop::collection::btree_map("[pqr]", values(rest), 0..3);
        return fields.prop_map(|fields| json!(fields)).boxed();
    }
    let mut all = Just(json!({})).boxed();
    for (name, type_) in map.fields.clone() {
        let field = prop::option::of(values(&type_));
        all = (all, field)
            .prop_map(move |(mut object, field)| {
                if let Some(value) = field {
                    object[name.as_str()] = value;
                }
                object
            })
            .boxed();
    }
    all
}

fn histories() -> impl Strategy<Value = (Type, Vec<Step>)> {
    types().prop_flat_map(|spec| {
        let fields = BTreeMap::from([("spec".to_owned(), spec)]);
        let type_ = Type::map(fields, Rest::Nothing, false);
        let who = || prop::sample::select(vec!["ann", "bob", "eve"]);
        let apply = (who(), values(&type_), any::<bool>());
        let update = (who(), values(&type_));
        let step = prop_oneof![
            3 => apply.prop_map(|(who, config, force)| Step::Apply(who, config, force)),
            1 => update.prop_map(|(who, object)| Step::Update(who, object)),
        ];
        (Just(type_), prop::collection::vec(step, 1..10))
    })
}

fn owners(ledger: &Ledger) -> BTreeMap<(String, bool), BTreeSet<String>> {
    let entries = ledger.entries().iter();
    let owner = |entry: &super::entry::Entry| {
        let who = (entry.manager.clone(), entry.operation == Operation::Apply);
        (who, entry.fields.texts().into_iter().collect())
    };
    entries.map(owner).collect()
}

fn joined(owners: &Owners) -> BTreeMap<(String, bool), BTreeSet<String>> {
    let texts = |set: &BTreeSet<Path>| set.iter().map(|path| path.concat()).collect();
    owners
        .iter()
        .map(|(who, set)| (who.clone(), texts(set)))
        .collect()
}

fn follow(type_: &Type, steps: &[Step]) {
    let (mut model, mut object, mut ledger) = (Model::default(), json!({}), Ledger::default());
    for step in steps {
        let (Step::Apply(who, ..) | Step::Update(who, _)) = step;
        let claim = Claim {
            manager: who,
            api_version: "v1",
            subresource: "",
            now: "2026-01-01T00:00:00Z",
        };
        let applier = Applier {
            type_,
            scope: Scope::Whole,
            claim,
        };
        match step {
            Step::Update(who, value) => {
                ledger.update(&Scope::Whole.changes(type_, Some(&object), value), &claim);
                object = value.clone();
                model.update(who, all_places(type_, value));
            }
            Step::Apply(who, value, force) => {
                let expected = model.apply(type_, who, &all_places(type_, value), *force);
                match applier.apply(&object, value, ledger.clone(), *force) {
                    Ok(done) => {
                        assert_eq!(expected, Vec::<String>::new(), "{step:?}");
                        (object, ledger) = done;
                    }
                    Err(conflicts) => {
                        let name = |owner: &str| owner.split('"').nth(1).unwrap().to_owned();
                        let found = conflicts
                            .iter()
                            .map(|c| format!("{} {}", name(&c.owner), c.path));
                        let found: BTreeSet<String> = found.collect();
                        assert_eq!(found, expected.into_iter().collect(), "{step:?}");
                    }
                }
            }
        }
        assert_eq!(all_places(type_, &object), model.object, "{step:?}");
        assert_eq!(owners(&ledger), joined(&model.owners), "{step:?}");
        let written = ledger.encode();
        assert!(Ledger::decode(written.as_ref()).unwrap().agrees(&ledger));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn apply_agrees_with_the_naive_rules((type_, steps) in histories()) {
        follow(&type_, &steps);
    }
}
