//! Strategic merge patches for the built-in kinds served here: merge patches whose lists of keyed
//! entries are merged by key. `$patch` directives are refused rather than misread.

use serde_json::{Map, Value};

use crate::status::Failure;

/// Lists merged by a key, by field name. All other lists are replaced, which is what these kinds'
/// other lists want; `finalizers` holds plain words, merged as a set.
const KEYED: [(&str, &str); 4] = [
    ("ownerReferences", "uid"),
    ("conditions", "type"),
    ("secrets", "name"),
    ("imagePullSecrets", "name"),
];

/// Applies a strategic merge patch.
///
/// # Errors
/// 400 for a directive that is not served.
pub fn merge(object: &mut Value, patch: &Value) -> Result<(), Failure> {
    let Some(patch) = patch.as_object() else {
        object.clone_from(patch);
        return Ok(());
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (key, value) in patch {
        // Orders of lists are advice; ours keep the order of first appearance.
        if key.starts_with("$setElementOrder/") || key == "$retainKeys" {
            continue;
        }
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_words(&mut object[field], value);
        } else if key.starts_with('$') {
            let text =
                format!("the directive {key:?} is not supported here: use a JSON or merge patch");
            return Err(Failure::bad_request(text));
        } else {
            merge_field(object, key, value)?;
        }
    }
    Ok(())
}

fn merge_field(object: &mut Value, key: &str, value: &Value) -> Result<(), Failure> {
    let Some(map) = object.as_object_mut() else {
        return Ok(());
    };
    if value.is_null() {
        map.remove(key);
        return Ok(());
    }
    let place = map.entry(key).or_insert(Value::Null);
    let merge_key = KEYED
        .iter()
        .find_map(|(field, merge_key)| (*field == key).then_some(*merge_key));
    match (value, merge_key) {
        (Value::Array(entries), Some(merge_key)) => merge_list(place, entries, merge_key),
        (Value::Array(words), None) if key == "finalizers" => {
            merge_words(place, words);
            Ok(())
        }
        (Value::Object(_), _) => merge(place, value),
        (
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_),
            _,
        ) => {
            place.clone_from(value);
            Ok(())
        }
    }
}

fn list(place: &mut Value) -> &mut Vec<Value> {
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    place.as_array_mut().expect("just made a list")
}

fn merge_list(place: &mut Value, entries: &[Value], merge_key: &str) -> Result<(), Failure> {
    let present = list(place);
    for entry in entries {
        let same = |other: &Value| {
            other
                .get(merge_key)
                .is_some_and(|k| entry.get(merge_key) == Some(k))
        };
        if entry.get("$patch") == Some(&Value::from("delete")) {
            present.retain(|other| !same(other));
            continue;
        }
        match present.iter_mut().find(|other| same(other)) {
            Some(other) => merge(other, entry)?,
            None => present.push(entry.clone()),
        }
    }
    Ok(())
}

fn merge_words(place: &mut Value, words: &[Value]) {
    let present = list(place);
    for word in words {
        if !present.contains(word) {
            present.push(word.clone());
        }
    }
}

fn delete_words(place: &mut Value, words: &Value) {
    let words = words.as_array().map_or(&[][..], Vec::as_slice);
    list(place).retain(|word| !words.contains(word));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merging() {
        for (object, patch, expected) in [
            (
                json!({"data": {"a": "1", "b": "2"}}),
                json!({"data": {"a": null, "c": "3"}}),
                json!({"data": {"b": "2", "c": "3"}}),
            ),
            (
                json!({"m": {"finalizers": ["a", "b"]}}),
                json!({"m": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
                json!({"m": {"finalizers": ["b", "c"]}}),
            ),
            (
                json!({"conditions": [{"type": "A", "status": "True"}, {"type": "B"}]}),
                json!({"conditions": [{"type": "A", "status": "False"}, {"type": "B", "$patch": "delete"},
                       {"type": "C"}], "$setElementOrder/conditions": []}),
                json!({"conditions": [{"type": "A", "status": "False"}, {"type": "C"}]}),
            ),
        ] {
            let mut merged = object.clone();
            merge(&mut merged, &patch).unwrap();
            assert_eq!(merged, expected);
        }
        assert_eq!(
            merge(&mut json!({}), &json!({"$patch": "replace"}))
                .unwrap_err()
                .code(),
            400
        );
    }
}
