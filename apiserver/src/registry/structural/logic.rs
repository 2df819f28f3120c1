//! `allOf`, `anyOf`, `oneOf` and `not` in a structural schema: they only add to what is said
//! outside of them.

use serde_json::{Value, json};

use crate::cel::compiles;
use crate::status::Cause;

/// Words that must be absent, and what is said of each that is there.
const FORBIDDEN: [(&str, &str); 12] = [
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-embedded-resource",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-int-or-string",
        "must be false to be structural",
    ),
    (
        "x-kubernetes-list-map-keys",
        "must be empty to be structural",
    ),
    (
        "x-kubernetes-list-type",
        "must be undefined to be structural",
    ),
    (
        "x-kubernetes-map-type",
        "must be undefined to be structural",
    ),
];

/// The branches of a node, each with its place.
fn branches<'s>(schema: &'s Value, field: &str) -> Vec<(String, &'s Value)> {
    let mut found = Vec::new();
    for word in ["anyOf", "allOf", "oneOf"] {
        let list = schema
            .get(word)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        found.extend(
            list.enumerate()
                .map(|(n, branch)| (format!("{field}.{word}[{n}]"), branch)),
        );
    }
    found.extend(
        schema
            .get("not")
            .map(|branch| (format!("{field}.not"), branch)),
    );
    found
}

/// True for the two ways in which `int-or-string` may spell out its types.
fn is_int_or_string(branch: &Value, field: &str) -> bool {
    let types = json!([{"type": "integer"}, {"type": "string"}]);
    field.ends_with(".allOf[0]") && branch.get("anyOf") == Some(&types)
}

/// Checks a node's logic and pattern.
pub(super) fn check(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    let types = json!([{"type": "integer"}, {"type": "string"}]);
    let spelled = schema.get("anyOf") == Some(&types);
    for (place, branch) in branches(schema, field) {
        if spelled && place.starts_with(&format!("{field}.anyOf[")) {
            continue;
        }
        if is_int_or_string(branch, &place) {
            let mut rest = branch.clone();
            rest.as_object_mut().and_then(|map| map.remove("anyOf"));
            nested(&rest, &place, causes);
        } else {
            nested(branch, &place, causes);
        }
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Err(error) = compiles(pattern)
    {
        let text = format!("must be a valid regular expression, but isn't: {error}");
        causes.push(Cause::invalid(
            format!("{field}.pattern"),
            &pattern.into(),
            &text,
        ));
    }
}

fn is_set(branch: &Value, word: &str) -> bool {
    match branch.get(word) {
        None | Some(Value::Null | Value::Bool(false)) => {
            word == "default" && branch.get(word) == Some(&Value::Bool(false))
        }
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Bool(true) | Value::Number(_) | Value::Object(_)) => true,
    }
}

fn nested(branch: &Value, field: &str, causes: &mut Vec<Cause>) {
    for (word, text) in FORBIDDEN {
        if is_set(branch, word) {
            causes.push(Cause::forbidden(format!("{field}.{word}"), text));
        }
    }
    if is_set(branch, "x-kubernetes-validations") {
        let place = format!("{field}.x-kubernetes-validations");
        causes.push(Cause::forbidden(place, "must be empty to be structural"));
    }
    check(branch, field, causes);
    if let Some(items) = branch.get("items").filter(|items| items.is_object()) {
        nested(items, &format!("{field}.items"), causes);
    }
    let properties = branch.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let place = format!("{field}.properties[{name}]");
        if name == "metadata" {
            causes.push(Cause::forbidden(
                &place,
                "must not be specified in a nested context",
            ));
        }
        nested(inner, &place, causes);
    }
}

/// What a branch speaks of must be there outside of it.
pub(super) fn complete(
    value: &Value,
    schema: &Value,
    field: &str,
    place: &str,
    causes: &mut Vec<Cause>,
) {
    for (place, branch) in branches(value, place) {
        within(branch, schema, field, &place, causes);
    }
    if !std::ptr::eq(value, schema) {
        return;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let below = format!("{field}.properties[{name}]");
        complete(inner, inner, &below, &below, causes);
    }
}

fn within(branch: &Value, schema: &Value, field: &str, place: &str, causes: &mut Vec<Cause>) {
    for (place, inner) in branches(branch, place) {
        within(inner, schema, field, &place, causes);
    }
    let missing = |below: &str, place: &str| {
        Cause::required(
            below.to_owned(),
            &format!("because it is defined in {place}"),
        )
    };
    if let Some(items) = branch.get("items").filter(|items| items.is_object()) {
        let (below, place) = (format!("{field}.items"), format!("{place}.items"));
        match schema.get("items") {
            Some(schema) => within(items, schema, &below, &place, causes),
            None => causes.push(missing(&below, &place)),
        }
    }
    let properties = branch.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        let below = format!("{field}.properties[{name}]");
        let place = format!("{place}.properties[{name}]");
        match schema.get("properties").and_then(|all| all.get(name)) {
            Some(schema) => within(inner, schema, &below, &place, causes),
            None => causes.push(missing(&below, &place)),
        }
    }
}
