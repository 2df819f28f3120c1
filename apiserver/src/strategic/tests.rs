//! Tables: what was there, what a patch says, and what comes of it.

use serde_json::json;

use super::*;

fn merged(kind: &str, object: &Value, patch: &Value) -> Result<Value, String> {
    let mut object = object.clone();
    let done = merge(kind, &mut object, patch);
    done.map(|()| object)
        .map_err(|failure| format!("{} {}", failure.code(), failure.message()))
}

#[test]
fn maps_and_their_directives() {
    let object = json!({"data": {"a": "1", "b": "2"}, "x": [1, 2]});
    for (patch, expected) in [
        (
            json!({"data": {"a": null, "c": "3"}}),
            json!({"data": {"b": "2", "c": "3"}, "x": [1, 2]}),
        ),
        (
            json!({"data": {"$patch": "replace", "c": "3"}}),
            json!({"data": {"c": "3"}, "x": [1, 2]}),
        ),
        (json!({"data": {"$patch": "delete"}}), json!({"x": [1, 2]})),
        (
            json!({"data": {"$patch": "merge", "c": "3"}}),
            json!({"data": {"a": "1", "b": "2", "c": "3"}, "x": [1, 2]}),
        ),
        (
            json!({"data": {"$retainKeys": ["b", "c"], "c": "3"}}),
            json!({"data": {"b": "2", "c": "3"}, "x": [1, 2]}),
        ),
        (json!({"$patch": "replace", "y": 1}), json!({"y": 1})),
        (
            json!({"x": [3]}),
            json!({"data": {"a": "1", "b": "2"}, "x": [3]}),
        ),
        (
            json!({"x": null, "new": {"in": {"k": null, "v": 1}}}),
            json!({"data": {"a": "1", "b": "2"}, "new": {"in": {"v": 1}}}),
        ),
    ] {
        assert_eq!(
            merged("ConfigMap", &object, &patch).unwrap(),
            expected,
            "{patch}"
        );
    }
}

#[test]
fn words_are_a_set() {
    let object = json!({"metadata": {"finalizers": ["a", "b"]}});
    for (patch, expected) in [
        (json!({"finalizers": ["c", "a"]}), json!(["a", "b", "c"])),
        (
            json!({"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}),
            json!(["b", "c"]),
        ),
        (
            json!({"$setElementOrder/finalizers": ["c", "b", "a"], "finalizers": ["c"]}),
            json!(["c", "b", "a"]),
        ),
        (
            json!({"$setElementOrder/finalizers": ["b", "a"]}),
            json!(["b", "a"]),
        ),
    ] {
        let patch = json!({ "metadata": patch });
        let found = merged("ConfigMap", &object, &patch).unwrap();
        assert_eq!(found["metadata"]["finalizers"], expected, "{patch}");
    }
}

#[test]
fn entries_are_found_by_key() {
    let object = json!({"status": {"conditions": [
        {"type": "A", "status": "True", "reason": "r"}, {"type": "B"}, {"type": "S"},
    ]}});
    for (patch, expected) in [
        (
            json!({"conditions": [{"type": "A", "status": "False"}, {"type": "B", "$patch": "delete"},
                               {"type": "C"}]}),
            json!([{"type": "A", "status": "False", "reason": "r"}, {"type": "S"}, {"type": "C"}]),
        ),
        (
            json!({"conditions": [{"$patch": "replace"}, {"type": "C"}]}),
            json!([{"type": "C"}]),
        ),
        (
            json!({"conditions": [{"type": "A", "$patch": "merge", "reason": null}]}),
            json!([{"type": "A", "status": "True"}, {"type": "B"}, {"type": "S"}]),
        ),
        (
            json!({"conditions": [{"type": "N"}],
                "$setElementOrder/conditions": [{"type": "N"}, {"type": "B"}, {"type": "A"}]}),
            json!([{"type": "N"}, {"type": "B"}, {"type": "S"},
                {"type": "A", "status": "True", "reason": "r"}]),
        ),
    ] {
        let patch = json!({ "status": patch });
        let found = merged("Namespace", &object, &patch).unwrap();
        assert_eq!(found["status"]["conditions"], expected, "{patch}");
    }
    let accounts = json!({"secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "x"}]});
    let patch = json!({"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "x", "$patch": "delete"}]});
    let expected = json!({"secrets": [{"name": "a"}, {"name": "b"}], "imagePullSecrets": []});
    assert_eq!(
        merged("ServiceAccount", &accounts, &patch).unwrap(),
        expected
    );
    let rules = json!({"rules": [{"verbs": ["get"]}]});
    let patch = json!({"rules": [{"verbs": ["list"]}]});
    assert_eq!(
        merged("Role", &rules, &patch).unwrap(),
        patch,
        "replaced, as Go's types say"
    );
}

#[test]
fn contradictions_are_refused() {
    for (kind, patch, expected) in [
        (
            "ConfigMap",
            json!({"$patch": "whatever"}),
            "400 unknown patch type found: whatever",
        ),
        (
            "ConfigMap",
            json!({"$patch": 1}),
            "400 unknown patch type found: 1",
        ),
        (
            "ConfigMap",
            json!({"$foo": 1}),
            "400 unknown directive \"$foo\"",
        ),
        (
            "ConfigMap",
            json!({"$retainKeys": ["a"], "b": 1}),
            "400 the fields of the patch",
        ),
        (
            "ConfigMap",
            json!({"$retainKeys": "a"}),
            "400 $retainKeys must be a list of strings",
        ),
        (
            "ConfigMap",
            json!({"$deleteFromPrimitiveList/x": "a"}),
            "400 $deleteFromPrimitiveList/x",
        ),
        (
            "ServiceAccount",
            json!({"secrets": ["a"]}),
            "400 secrets must hold maps",
        ),
        (
            "ServiceAccount",
            json!({"secrets": [{"x": 1}]}),
            "400 map: {\"x\":1} does not contain declared merge key: name",
        ),
        (
            "ServiceAccount",
            json!({"secrets": [], "$setElementOrder/secrets": 1}),
            "400 $setElementOrder",
        ),
        (
            "ConfigMap",
            json!([]),
            "400 a merge patch must be an object",
        ),
    ] {
        let refused = merged(kind, &json!({"secrets": [{"name": "a"}]}), &patch).unwrap_err();
        assert!(refused.starts_with(expected), "{patch}: {refused}");
    }
}
