//! Taking away what a set names (structured-merge-diff, `typed/remove.go`), and the rule of what
//! an applier takes away when it no longer speaks of it (`merge/update.go`).

use serde_json::{Map as Fields, Value};

use super::element::Element;
use super::entries::element;
use super::set::Set;
use super::types::{List, Map, Nature, Type};
use super::walk::said;

/// What is left of a value without the places of the set; none if nothing is.
#[must_use]
pub fn remove(type_: &Type, value: Value, set: &Set) -> Option<Value> {
    if set.is_empty() {
        return Some(value);
    }
    match (type_.nature(&value), value) {
        (Nature::Map(map), Value::Object(fields)) => of_map(map, fields, set),
        (Nature::List(list), Value::Array(items)) => of_list(list, items, set),
        // Whoever owns a part of what is one value owns all of it.
        (_, Value::Object(_) | Value::Array(_)) | (Nature::Map(_) | Nature::List(_), _) => None,
        (Nature::Leaf, plain) => Some(plain),
    }
}

fn of_map(map: &Map, fields: Fields<String, Value>, set: &Set) -> Option<Value> {
    let mut left = Fields::new();
    for (name, value) in fields {
        let kept = match set.node(&Element::field(&name)) {
            Some(node) if node.member => None,
            Some(node) => remove(map.field(&name), value, &node.below),
            None => Some(value),
        };
        if let Some(value) = kept {
            left.insert(name, value);
        }
    }
    (!left.is_empty()).then_some(Value::Object(left))
}

fn of_list(list: &List, items: Vec<Value>, set: &Set) -> Option<Value> {
    let mut left = Vec::with_capacity(items.len());
    for item in items {
        let node = element(list, &item).and_then(|element| set.node(&element));
        left.extend(match node {
            Some(node) if node.member => None,
            Some(node) => remove(list.item(), item, &node.below),
            None => Some(item),
        });
    }
    (!left.is_empty()).then_some(Value::Array(left))
}

/// The set with every declared field that has members below it: who owns the last thing in a
/// declared field owns the field.
#[must_use]
pub fn with_fields(type_: &Type, set: &Set) -> Set {
    let mut all = Set::default();
    for node in set.nodes() {
        let map = type_.map.as_ref();
        let (declared, below) = match &node.element {
            Element::Field(name) => (
                map.is_some_and(|map| map.fields.contains_key(&**name)),
                map.and_then(|map| map.known(name)),
            ),
            Element::Key(_) => (false, type_.list.as_ref().map(List::item)),
            Element::Value(_) | Element::Index(_) => (false, None),
        };
        let nothing = Type::default();
        let below = with_fields(below.unwrap_or(&nothing), &node.below);
        all.add(node.element.clone(), node.member || declared, below);
    }
    all
}

/// Takes away what the applier said last and does not say any more, unless somebody else owns it.
///
/// `owned` is everything anybody owns, what the applier says now among it.
#[must_use]
pub fn prune(type_: &Type, merged: Value, last: &Set, owned: &Set) -> Value {
    if last.difference(owned).is_empty() {
        return merged;
    }
    let owned = with_fields(type_, owned);
    let last = with_fields(type_, last);
    let all = with_fields(type_, &said(type_, &merged).below);
    let bare = places_left(type_, &merged, &last);
    // What goes with a field that is removed as a whole comes back if it is owned …
    let wanted = places_left(type_, &merged, &all.difference(&bare.union(owned)));
    // … or if it was not the applier's.
    let gone = all.difference(&wanted).intersection(&last);
    remove(type_, merged, &gone).unwrap_or_else(|| Value::Object(Fields::new()))
}

fn places_left(type_: &Type, value: &Value, without: &Set) -> Set {
    let left = remove(type_, value.clone(), without);
    let said = left.map_or_else(Set::default, |left| said(type_, &left).below);
    with_fields(type_, &said)
}

/// The set under the type as it is now: of what has become one value, parts are owned no more, but
/// the whole (`typed/reconcile_schema.go`).
#[must_use]
pub fn reconcile(type_: &Type, set: &Set) -> Set {
    let mut new = Set::default();
    for node in set.nodes() {
        let below = match &node.element {
            Element::Field(name) => type_.map.as_ref().and_then(|map| map.known(name)),
            Element::Key(_) | Element::Value(_) => type_.list.as_ref().map(List::item),
            Element::Index(_) => None,
        };
        match below {
            Some(type_) if is_one(type_) && !node.below.is_empty() => {
                new.add(node.element.clone(), true, Set::default());
            }
            Some(type_) => {
                let below = reconcile(type_, &node.below);
                new.add(node.element.clone(), node.member, below);
            }
            None => new.add(node.element.clone(), node.member, node.below.clone()),
        }
    }
    new
}

fn is_one(type_: &Type) -> bool {
    match (&type_.map, &type_.list) {
        (Some(map), _) => map.atomic,
        (None, Some(list)) => list.is_atomic(),
        (None, None) => false,
    }
}
