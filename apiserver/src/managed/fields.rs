//! FieldsV1: a set as nested JSON maps, `{"f:spec":{".":{},"f:x":{}}}`.

use serde_json::{Map, Value};

use super::element::{Element, ElementError};
use super::set::{Node, Set};
use crate::body::DEPTH_MAX;

/// Why JSON is no set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A place is no map.
    #[error("{0:?} must be an object")]
    NoMap(String),
    /// A key is no path element.
    #[error("{0}")]
    Element(ElementError),
    /// Nested too deeply.
    #[error("deeper than {DEPTH_MAX} levels")]
    Depth,
}

/// Reads a set. Elements of a kind that is not known are passed over, as upstream.
///
/// # Errors
/// When it is malformed.
pub fn decode(fields: &Value) -> Result<Set, FieldsError> {
    level(fields, "fieldsV1", 0).map(|(set, _)| set)
}

/// The set below a place, and whether the place itself is a member: it is if a dot says so, or if
/// nothing else is said.
fn level(fields: &Value, name: &str, depth: usize) -> Result<(Set, bool), FieldsError> {
    if depth > DEPTH_MAX {
        return Err(FieldsError::Depth);
    }
    let map = match fields {
        Value::Object(map) => map,
        Value::Null => return Ok((Set::default(), true)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(FieldsError::NoMap(name.to_owned()));
        }
    };
    let (mut set, mut member) = (Set::default(), false);
    for (key, value) in map {
        if key == "." {
            member = true;
            continue;
        }
        match Element::parse(key) {
            Ok(element) => {
                let (below, is_member) = level(value, key, depth + 1)?;
                set.add(element, is_member, below);
            }
            Err(ElementError::Unknown) => {}
            Err(error @ ElementError::Broken(_)) => return Err(FieldsError::Element(error)),
        }
    }
    member |= set.is_empty();
    Ok((set, member))
}

/// Writes a set.
#[must_use]
pub fn encode(set: &Set) -> Value {
    Value::Object(set.nodes().iter().map(entry).collect())
}

fn entry(node: &Node) -> (String, Value) {
    let mut below: Map<String, Value> = node.below.nodes().iter().map(entry).collect();
    if node.member && !below.is_empty() {
        below.insert(".".to_owned(), Value::Object(Map::new()));
    }
    (node.element.encode(), Value::Object(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ways() {
        for (fields, members) in [
            (json!({}), vec![]),
            (json!({"f:a": {}}), vec![".a"]),
            (json!({"f:a": {".": {}, "f:b": {}}}), vec![".a", ".a.b"]),
            (
                json!({"f:a": {"f:b": {}, "f:c": {"v:1": {}}}}),
                vec![".a.b", ".a.c[=1]"],
            ),
            (
                json!({"f:l": {".": {}, "k:{\"name\":\"x\"}": {".": {}, "f:name": {}}, "i:0": {}}}),
                vec![".l", ".l[0]", ".l[name=\"x\"]", ".l[name=\"x\"].name"],
            ),
        ] {
            let set = decode(&fields).unwrap();
            let mut found = set.texts();
            found.sort();
            assert_eq!(found, members);
            assert_eq!(encode(&set), fields);
        }
    }

    #[test]
    fn unknown_elements_are_passed_over_and_broken_ones_refused() {
        let set = decode(&json!({"x:new": {"f:a": {}}, "f:b": null})).unwrap();
        assert_eq!(set.texts(), [".b"]);
        for broken in [
            json!(1),
            json!({"f:a": []}),
            json!({"a": {}}),
            json!({"k:1": {}}),
        ] {
            assert!(decode(&broken).is_err(), "{broken}");
        }
        let deep = (0..200).fold(json!({}), |below, _| json!({ "f:a": below }));
        assert_eq!(decode(&deep), Err(FieldsError::Depth));
    }
}
