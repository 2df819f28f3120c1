//! Kinds that steer admission: what is filled in, and what is wrong about them. Texts and rules are
//! upstream's (`pkg/apis/admissionregistration/validation`, `pkg/apis/core/validation`).

pub mod matching;

pub mod policies;

pub mod quotas;

pub mod ranges;

pub mod webhooks;

use serde_json::{Map, Value, json};

use crate::registry::Descriptor;
use crate::registry::builtin::admission::{
    BINDINGS, MUTATING, POLICIES, QUOTAS, RANGES, VALIDATING,
};
use crate::status::Cause;

/// Fills in what a client may leave out, so that a reader sees what holds.
pub fn complete(resource: &Descriptor, object: &mut Value) {
    match resource.plural.as_str() {
        MUTATING | VALIDATING => webhooks::complete(object, resource.plural == MUTATING),
        POLICIES => policies::complete(object),
        BINDINGS => policies::complete_binding(object),
        QUOTAS => quotas::complete(object),
        RANGES => ranges::complete(object),
        _ => {}
    }
}

/// Everything that is wrong.
#[must_use]
pub fn check(resource: &Descriptor, object: &Value) -> Vec<Cause> {
    match resource.plural.as_str() {
        MUTATING | VALIDATING => webhooks::check(object, resource.plural == MUTATING),
        POLICIES => policies::check(object),
        BINDINGS => policies::check_binding(object),
        QUOTAS => quotas::check(object),
        RANGES => ranges::check(object),
        _ => Vec::new(),
    }
}

/// Sets a field that is absent.
fn default(map: &mut Map<String, Value>, field: &str, value: Value) {
    if map.get(field).is_none_or(Value::is_null) {
        map.insert(field.to_owned(), value);
    }
}

/// The entries of a list of objects; none if it is absent.
fn items_mut<'a>(object: &'a mut Value, pointer: &str) -> Vec<&'a mut Map<String, Value>> {
    let list = object.pointer_mut(pointer).and_then(Value::as_array_mut);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .collect()
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// One of a few words.
fn one_of(value: &Value, field: &str, words: &[&str], place: &str, causes: &mut Vec<Cause>) {
    let found = word(value, field);
    if !found.is_empty() && !words.contains(&found) {
        causes.push(not_supported(&format!("{place}.{field}"), found, words));
    }
}

fn not_supported(place: &str, found: &str, words: &[&str]) -> Cause {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    let text = format!(
        "Unsupported value: {found:?}: supported values: {}",
        words.join(", ")
    );
    Cause::of(place, text)
}

fn duplicate(place: impl Into<String>, found: &str) -> Cause {
    Cause::of(place, format!("Duplicate value: {found:?}"))
}

/// Numbers become text, as every amount is shown.
fn amounts_as_text(map: Option<&mut Value>) {
    for amount in map
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|map| map.iter_mut())
        .map(|(_, amount)| amount)
    {
        if amount.is_number() {
            *amount = json!(amount.to_string());
        }
    }
}
