//! Which fields a schema knows: reporting the others, and taking them away.

use serde_json::{Map, Value};

use super::{child, is_true};

/// Fields of `metadata`, which no structural schema describes.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Paths of the fields that the schema does not know.
#[must_use]
pub fn unknown_fields(schema: &Value, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    report(&Place::root(schema), object, "", &mut found);
    found
}

/// Takes away the fields that the schema does not know, and returns their paths.
pub fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let found = unknown_fields(schema, object);
    if !found.is_empty() {
        drop_unknown(&Place::root(schema), object);
    }
    found
}

/// What is known of the node at hand.
enum Place<'a> {
    /// A schema; `object` for the root and for embedded resources.
    Schema { schema: &'a Value, object: bool },
    /// The metadata of an object.
    Metadata,
    /// Everything below is kept.
    Kept,
}

impl<'a> Place<'a> {
    fn root(schema: &'a Value) -> Self {
        Self::Schema {
            schema,
            object: true,
        }
    }

    fn of(schema: &'a Value) -> Self {
        Self::Schema {
            schema,
            object: is_true(schema, "x-kubernetes-embedded-resource"),
        }
    }

    /// What is known of a field; `None` when it is unknown.
    fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Schema { schema, object } => {
                if *object && name == "metadata" {
                    return Some(Self::Metadata);
                }
                if *object && matches!(name, "apiVersion" | "kind") {
                    return Some(Self::Kept);
                }
                declared(schema, name)
            }
            Self::Metadata => METADATA.contains(&name).then_some(Self::Kept),
            Self::Kept => Some(Self::Kept),
        }
    }

    fn item(&self) -> Self {
        match self {
            Self::Schema { schema, .. } => schema.get("items").map_or(Self::Kept, Self::of),
            Self::Metadata | Self::Kept => Self::Kept,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept)
    }
}

fn declared<'a>(schema: &'a Value, name: &str) -> Option<Place<'a>> {
    if let Some(property) = schema.get("properties").and_then(|all| all.get(name)) {
        return Some(Place::of(property));
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(true)) => Some(Place::Kept),
        Some(inner @ Value::Object(_)) => Some(Place::of(inner)),
        Some(
            Value::Null
            | Value::Bool(false)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_),
        )
        | None => is_true(schema, "x-kubernetes-preserve-unknown-fields").then_some(Place::Kept),
    }
}

fn report(place: &Place<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
    if place.is_kept() {
        return;
    }
    if let Value::Object(fields) = value {
        for (name, inner) in fields {
            let path = child(path, name);
            match place.field(name) {
                Some(known) => report(&known, inner, &path, found),
                None => found.push(path),
            }
        }
    }
    if let Value::Array(items) = value {
        for (index, inner) in items.iter().enumerate() {
            report(&place.item(), inner, &format!("{path}[{index}]"), found);
        }
    }
}

fn drop_unknown(place: &Place<'_>, value: &mut Value) {
    if place.is_kept() {
        return;
    }
    if let Value::Object(fields) = value {
        retain_known(place, fields);
    }
    if let Value::Array(items) = value {
        items
            .iter_mut()
            .for_each(|item| drop_unknown(&place.item(), item));
    }
}

fn retain_known(place: &Place<'_>, fields: &mut Map<String, Value>) {
    fields.retain(|name, inner| {
        let known = place.field(name);
        if let Some(known) = &known {
            drop_unknown(known, inner);
        }
        known.is_some()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_named_and_pruned() {
        let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "n": {"type": "integer"},
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                     "properties": {"shut": {"type": "object"}}},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true}
        }}}});
        let mut object = json!({
            "apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "labels": {"x": "y"}, "nmae": 1},
            "spec": {"n": 1, "m": 2, "env": {"A": "b"}, "list": [{"a": "x"}, {"a": "y", "b": 1}],
                     "open": {"any": {"thing": 1}, "shut": {"no": 1}},
                     "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}},
            "extra": {}
        });
        let unknown = [
            "extra",
            "metadata.nmae",
            "spec.list[1].b",
            "spec.m",
            "spec.open.shut.no",
            "spec.pod.spec",
        ];
        assert_eq!(unknown_fields(&schema, &object), unknown);
        assert_eq!(prune(&schema, &mut object), unknown);
        assert!(unknown_fields(&schema, &object).is_empty());
        assert_eq!(
            object["spec"]["open"],
            json!({"any": {"thing": 1}, "shut": {}})
        );
        assert_eq!(object["spec"]["list"], json!([{"a": "x"}, {"a": "y"}]));
        assert_eq!(
            object["metadata"],
            json!({"name": "a", "labels": {"x": "y"}})
        );
    }
}
