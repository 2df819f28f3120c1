//! From a structural schema, or a built-in kind's, to a type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Key, List, Map, Relation, Rest, Scalar, Type};
use crate::registry::lists::{self, Treatment};

/// Deepest schema that is looked into, as structural schemas are bounded; below, anything goes.
const DEPTH_MAX: usize = 64;

/// The type of a whole object of this kind. `None`: nothing is known beyond its metadata.
#[must_use]
pub fn object(kind: &str, schema: Option<&Value>) -> Type {
    let place = Place {
        kind,
        path: String::new(),
        depth: 0,
    };
    let mut type_ = schema.map_or_else(Type::deduced, |schema| place.compile(schema));
    let map = type_.map.get_or_insert_with(|| Map {
        fields: BTreeMap::new(),
        rest: Rest::Deduced,
        atomic: false,
    });
    head(map);
    type_
}

/// Type and metadata, as every object has them.
fn head(map: &mut Map) {
    for field in ["apiVersion", "kind"] {
        map.fields.insert(field.into(), Type::scalar(Scalar::Text));
    }
    map.fields.insert("metadata".into(), metadata());
}

fn metadata() -> Type {
    const TEXTS: [&str; 8] = [
        "creationTimestamp",
        "deletionTimestamp",
        "generateName",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let text = || Type::scalar(Scalar::Text);
    let number = || Type::scalar(Scalar::Number);
    let words = || Type::map(BTreeMap::new(), Rest::Of(Box::new(text())), false);
    let mut fields: BTreeMap<String, Type> = TEXTS
        .into_iter()
        .map(|name| (name.to_owned(), text()))
        .collect();
    fields.insert("deletionGracePeriodSeconds".into(), number());
    fields.insert("generation".into(), number());
    fields.insert("labels".into(), words());
    fields.insert("annotations".into(), words());
    fields.insert("finalizers".into(), Type::list(text(), Relation::Set));
    fields.insert("ownerReferences".into(), owners());
    let entries = Type::list(Type::deduced(), Relation::Atomic);
    fields.insert("managedFields".into(), entries);
    Type::map(fields, Rest::Nothing, false)
}

fn owners() -> Type {
    let texts = ["apiVersion", "kind", "name", "uid"].map(|name| (name, Scalar::Text));
    let flags = ["blockOwnerDeletion", "controller"].map(|name| (name, Scalar::Boolean));
    let fields = texts.into_iter().chain(flags);
    let fields = fields.map(|(name, scalar)| (name.to_owned(), Type::scalar(scalar)));
    let uid = Key {
        name: "uid".into(),
        default: None,
    };
    let owner = Type::map(fields.collect(), Rest::Nothing, true);
    Type::list(owner, Relation::Keyed(vec![uid]))
}

/// Where in a kind's schema we are.
struct Place<'a> {
    kind: &'a str,
    /// Names of fields, joined by dots.
    path: String,
    depth: usize,
}

impl Place<'_> {
    fn below(&self, field: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let more = if field.is_empty() { "" } else { dot };
        Place {
            kind: self.kind,
            path: format!("{}{more}{field}", self.path),
            depth: self.depth + 1,
        }
    }

    fn compile(&self, schema: &Value) -> Type {
        if self.depth > DEPTH_MAX || !schema.is_object() {
            return Type::deduced();
        }
        // Generators wrap what they describe anew.
        if let Some([only]) = schema
            .get("allOf")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            && schema.get("type").is_none()
        {
            return self.compile(only);
        }
        if flag(schema, "x-kubernetes-int-or-string") {
            return Type::scalar(Scalar::Any);
        }
        match type_of(schema) {
            "object" => self.map(schema),
            "array" => self.list(schema),
            "string" => Type::scalar(Scalar::Text),
            "integer" | "number" => Type::scalar(Scalar::Number),
            "boolean" => Type::scalar(Scalar::Boolean),
            _ => Type::deduced(),
        }
    }

    fn map(&self, schema: &Value) -> Type {
        let declared = schema.get("properties").and_then(Value::as_object);
        let mut fields: BTreeMap<String, Type> = declared
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), self.below(name).compile(schema)))
            .collect();
        if flag(schema, "x-kubernetes-embedded-resource") {
            fields.insert("metadata".into(), metadata());
        }
        let keeps_unknown = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let rest = match schema.get("additionalProperties") {
            Some(rest @ Value::Object(_)) => Rest::Of(Box::new(self.below("").compile(rest))),
            Some(Value::Bool(true)) => Rest::Deduced,
            Some(_) | None if keeps_unknown || declared.is_none() => Rest::Deduced,
            Some(_) | None => Rest::Nothing,
        };
        let said = schema.get("x-kubernetes-map-type") == Some(&Value::from("atomic"));
        let atomic = said || self.fact().is_some_and(|fact| fact.is_atomic_map);
        Type::map(fields, rest, atomic)
    }

    fn list(&self, schema: &Value) -> Type {
        let items = schema.get("items");
        let item = items.map_or_else(Type::deduced, |items| self.below("").compile(items));
        let relation = self.relation(schema, &item);
        Type {
            list: Some(List {
                items: Rest::Of(Box::new(item)),
                relation,
            }),
            ..Type::default()
        }
    }

    fn relation(&self, schema: &Value, item: &Type) -> Relation {
        match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => Relation::Set,
            Some("map") => {
                let keys = schema
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array);
                keyed(
                    keys.into_iter().flatten().filter_map(Value::as_str),
                    schema,
                    item,
                )
            }
            Some(_) => Relation::Atomic,
            None => match self.fact().and_then(|fact| fact.list) {
                Some(Treatment::Set) => Relation::Set,
                Some(Treatment::Keyed(keys)) => keyed(keys.iter().copied(), schema, item),
                Some(Treatment::Atomic) | None => Relation::Atomic,
            },
        }
    }

    fn fact(&self) -> Option<lists::Fact> {
        lists::at(self.kind, &self.path)
    }
}

/// A list of maps without keys, or of what are no maps, can only be taken as a whole.
fn keyed<'k>(names: impl Iterator<Item = &'k str>, schema: &Value, item: &Type) -> Relation {
    let default = |name: &str| {
        let field = schema.get("items")?.get("properties")?.get(name)?;
        field.get("default").cloned()
    };
    let keys: Vec<Key> = names
        .map(|name| Key {
            name: name.to_owned(),
            default: default(name),
        })
        .collect();
    if keys.is_empty() || item.map.is_none() {
        Relation::Atomic
    } else {
        Relation::Keyed(keys)
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

/// The type, or the first that is not `null`.
fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            names.find(|name| *name != "null").unwrap_or_default()
        }
        Some(_) | None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::builtin;
    use serde_json::json;

    fn compile(schema: &Value) -> Type {
        object("Foo", Some(schema)).map.unwrap().fields["spec"].clone()
    }

    fn key(name: &str, default: Option<Value>) -> Key {
        Key {
            name: name.into(),
            default,
        }
    }

    #[test]
    fn schemas() {
        let deduced = Type::deduced();
        let text = Type::scalar(Scalar::Text);
        for (spec, expected) in [
            (json!({"type": "string"}), text.clone()),
            (
                json!({"type": ["null", "integer"]}),
                Type::scalar(Scalar::Number),
            ),
            (
                json!({"x-kubernetes-int-or-string": true}),
                Type::scalar(Scalar::Any),
            ),
            (
                json!({"x-kubernetes-preserve-unknown-fields": true}),
                deduced.clone(),
            ),
            (json!({}), deduced.clone()),
            (json!(true), deduced.clone()),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                Type::list(text.clone(), Relation::Atomic),
            ),
            (
                json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}),
                Type::list(text.clone(), Relation::Set),
            ),
            // No map could have this key.
            (
                json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                       "items": {"type": "string"}}),
                Type::list(text.clone(), Relation::Atomic),
            ),
            (
                json!({"type": "object", "x-kubernetes-map-type": "atomic",
                       "additionalProperties": {"type": "string"}}),
                Type::map(BTreeMap::new(), Rest::Of(Box::new(text.clone())), true),
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}}),
                Type::map(
                    BTreeMap::from([("a".into(), text.clone())]),
                    Rest::Nothing,
                    false,
                ),
            ),
        ] {
            let schema = json!({"type": "object", "properties": {"spec": spec}});
            assert_eq!(compile(&schema), expected, "{spec}");
        }
    }

    #[test]
    fn keys_have_defaults() {
        let schema = json!({"type": "object", "properties": {"spec": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}},
        }}});
        let list = compile(&schema).list.unwrap();
        let keys = vec![key("port", None), key("protocol", Some(json!("TCP")))];
        assert_eq!(list.relation, Relation::Keyed(keys));
    }

    #[test]
    fn built_in_kinds_have_their_lists() {
        let of = |kind: &str| {
            let resource = builtin::descriptors()
                .iter()
                .find(|d| d.kind == kind)
                .unwrap();
            object(kind, resource.schema.as_deref()).map.unwrap()
        };
        let accounts = of("ServiceAccount");
        let secrets = accounts.fields["secrets"].list.as_ref().unwrap();
        assert_eq!(secrets.relation, Relation::Keyed(vec![key("name", None)]));
        assert!(secrets.item().map.as_ref().unwrap().atomic);
        let namespaces = of("Namespace");
        let status = namespaces.fields["status"].map.as_ref().unwrap();
        let conditions = status.fields["conditions"].list.as_ref().unwrap();
        assert_eq!(
            conditions.relation,
            Relation::Keyed(vec![key("type", None)])
        );
        assert!(!of("ConfigMap").fields["data"].map.as_ref().unwrap().atomic);
        assert!(
            of("Event").fields["involvedObject"]
                .map
                .as_ref()
                .unwrap()
                .atomic
        );
        let finalizers = accounts
            .field("metadata")
            .map
            .as_ref()
            .unwrap()
            .field("finalizers");
        assert_eq!(finalizers.list.as_ref().unwrap().relation, Relation::Set);
    }
}
