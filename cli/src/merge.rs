//! The three-way merge of `apply`: what was applied last, what is live, what is wanted now.
//!
//! The rules are those of `kubectl apply` with JSON merge patches: fields that were applied last
//! time and are not wanted any more go; fields others set stay; lists are replaced whole.

use serde_json::{Map, Value};

/// Annotation that keeps what was applied last, shared with kubectl.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object with [`LAST_APPLIED`] set to itself, as it is sent.
pub(crate) fn annotated(object: &Value) -> Value {
    let record = format!("{}\n", without_record(object));
    let mut object = object.clone();
    let Some(root) = object.as_object_mut() else {
        return object;
    };
    let metadata = entry(root, "metadata");
    entry(metadata, "annotations").insert(LAST_APPLIED.to_owned(), Value::String(record));
    object
}

fn entry<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("made an object above")
}

/// kubectl leaves an empty `annotations` in the record, so that its own comparison holds.
fn without_record(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(root) = object.as_object_mut() {
        let annotations = entry(entry(root, "metadata"), "annotations");
        annotations.remove(LAST_APPLIED);
    }
    object
}

/// What was applied last to a live object, if an apply made it.
pub(crate) fn last_applied(live: &Value) -> Option<Value> {
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str()?;
    serde_json::from_str(text).ok()
}

/// The merge patch that makes `live` what `wanted` says; none when nothing needs to change.
/// `wanted` is the [`annotated`] form.
pub(crate) fn patch(last: Option<&Value>, live: &Value, wanted: &Value) -> Option<Value> {
    let last = last.unwrap_or(&Value::Null);
    let mut patch = difference(last, live, wanted);
    if is_record_alone(&patch) && same_record(live, wanted) {
        return None;
    }
    if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata.is_empty()
    {
        patch
            .as_object_mut()
            .expect("has metadata")
            .remove("metadata");
    }
    (!patch.as_object().is_none_or(Map::is_empty)).then_some(patch)
}

/// True when the record differs in spelling alone (key order, a newline).
fn same_record(live: &Value, wanted: &Value) -> bool {
    match (last_applied(live), last_applied(wanted)) {
        (Some(a), Some(b)) => without_record(&a) == without_record(&b),
        (Some(_), None) | (None, Some(_) | None) => false,
    }
}

fn is_record_alone(patch: &Value) -> bool {
    let Some(root) = patch.as_object() else {
        return false;
    };
    let annotations = &patch["metadata"]["annotations"];
    root.len() == 1
        && patch["metadata"].as_object().is_some_and(|m| m.len() == 1)
        && annotations
            .as_object()
            .is_some_and(|a| a.len() == 1 && a.contains_key(LAST_APPLIED))
}

/// A merge patch of the members of `wanted` that differ from `live`, and a null for each member of
/// `last` that is live and not wanted.
fn difference(last: &Value, live: &Value, wanted: &Value) -> Value {
    let mut patch = Map::new();
    let empty = Map::new();
    let live = live.as_object().unwrap_or(&empty);
    let wanted_map = wanted.as_object().unwrap_or(&empty);
    for (key, want) in wanted_map {
        match live.get(key) {
            Some(have) if have.is_object() && want.is_object() => {
                let inner = difference(&last[key.as_str()], have, want);
                if !inner.as_object().is_none_or(Map::is_empty) {
                    patch.insert(key.clone(), inner);
                }
            }
            Some(have) if have == want => {}
            None if want.is_null() => {}
            Some(_) | None => {
                patch.insert(key.clone(), want.clone());
            }
        }
    }
    for key in last.as_object().unwrap_or(&empty).keys() {
        if !wanted_map.contains_key(key) && live.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Applies `first`, lets somebody else merge `others`, and returns the patch of applying `second`.
    fn after(first: &Value, others: &Value, second: &Value) -> Option<Value> {
        let mut live = annotated(first);
        merge(&mut live, others);
        let wanted = annotated(second);
        let mut patch = patch(last_applied(&live).as_ref(), &live, &wanted)?;
        if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("annotations");
            if metadata.is_empty() {
                patch.as_object_mut().unwrap().remove("metadata");
            }
        }
        Some(patch)
    }

    fn merge(target: &mut Value, patch: &Value) {
        let Some(patch) = patch.as_object() else {
            target.clone_from(patch);
            return;
        };
        for (key, value) in patch {
            merge(&mut target[key.as_str()], value);
        }
    }

    #[test]
    fn three_ways_meet() {
        let nothing = json!({});
        let table = [
            // the same again
            (
                json!({"spec": {"a": 1}}),
                &nothing,
                json!({"spec": {"a": 1}}),
                None,
            ),
            // a changed field
            (
                json!({"spec": {"a": 1}}),
                &nothing,
                json!({"spec": {"a": 2}}),
                Some(json!({"spec": {"a": 2}})),
            ),
            // a field left out goes
            (
                json!({"spec": {"a": 1, "b": 1}}),
                &nothing,
                json!({"spec": {"a": 1}}),
                Some(json!({"spec": {"b": null}})),
            ),
            // a whole branch left out goes
            (
                json!({"spec": {"a": {"x": 1}}}),
                &nothing,
                json!({"spec": {}}),
                Some(json!({"spec": {"a": null}})),
            ),
            // lists are replaced whole
            (
                json!({"spec": {"a": [1, 2]}}),
                &nothing,
                json!({"spec": {"a": [2]}}),
                Some(json!({"spec": {"a": [2]}})),
            ),
        ];
        for (first, others, second, expected) in table {
            assert_eq!(
                after(&first, others, &second),
                expected,
                "{first} then {second}"
            );
        }
    }

    #[test]
    fn what_others_set_stays() {
        let others = json!({"spec": {"agent": "a1"}, "status": {"state": "Running"}});
        assert_eq!(
            after(
                &json!({"spec": {"a": 1}}),
                &others,
                &json!({"spec": {"a": 1}})
            ),
            None
        );
        let patch = after(
            &json!({"spec": {"a": 1}}),
            &others,
            &json!({"spec": {"a": 2}}),
        );
        assert_eq!(patch, Some(json!({"spec": {"a": 2}})));
    }

    #[test]
    fn what_others_changed_of_ours_is_put_back() {
        let others = json!({"spec": {"a": 9}});
        let patch = after(
            &json!({"spec": {"a": 1}}),
            &others,
            &json!({"spec": {"a": 1}}),
        );
        assert_eq!(patch, Some(json!({"spec": {"a": 1}})));
    }

    #[test]
    fn an_object_that_apply_did_not_make_gets_the_record() {
        let live = json!({"metadata": {"name": "x", "uid": "u"}, "spec": {"a": 1}});
        let wanted = annotated(&json!({"metadata": {"name": "x"}, "spec": {"a": 1}}));
        let patch = patch(None, &live, &wanted).unwrap();
        assert!(is_record_alone(&patch));
    }
}
