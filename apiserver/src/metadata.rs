//! `metadata`: what the server writes itself, what it accepts, and what it retains.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::names;
use crate::registry::{Descriptor, Special};
use crate::status::{Cause, Failure};

/// Fields of ObjectMeta and the JSON type of each.
const FIELDS: [(&str, Type); 15] = [
    ("annotations", Type::Words),
    ("creationTimestamp", Type::Text),
    ("deletionGracePeriodSeconds", Type::Integer),
    ("deletionTimestamp", Type::Text),
    ("finalizers", Type::List),
    ("generateName", Type::Text),
    ("generation", Type::Integer),
    ("labels", Type::Words),
    ("managedFields", Type::List),
    ("name", Type::Text),
    ("namespace", Type::Text),
    ("ownerReferences", Type::List),
    ("resourceVersion", Type::Text),
    ("selfLink", Type::Text),
    ("uid", Type::Text),
];

#[derive(Clone, Copy)]
enum Type {
    Text,
    Integer,
    List,
    Words,
}

/// A string field of metadata; empty when absent.
#[must_use]
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|m| m.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// True once a delete was asked for.
#[must_use]
pub fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// The finalizers.
#[must_use]
pub fn finalizers(object: &Value) -> Vec<String> {
    let list = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|f| f.as_str().map(String::from))
        .collect()
}

/// Sets the finalizers; none removes the field.
pub fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        map(object).remove("finalizers");
    } else {
        map(object).insert("finalizers".into(), finalizers.into());
    }
}

/// The metadata of an object, made an object if it is none.
pub fn map(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"]
        .as_object_mut()
        .expect("just made an object")
}

/// A time as Kubernetes writes it: RFC 3339, whole seconds, `Z`.
#[must_use]
pub fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Decodes metadata as Go would: nulls are absent, wrong types fail, unknown fields are dropped and
/// noted.
///
/// # Errors
/// 400 when a field has the wrong type.
pub fn decode(object: &mut Value, unknown: &mut Vec<String>) -> Result<(), Failure> {
    match object.get("metadata") {
        Some(Value::Object(_)) => {}
        None | Some(Value::Null) => object["metadata"] = json!({}),
        Some(_) => return Err(wrong_type("metadata", "an object")),
    }
    let metadata = map(object);
    metadata.retain(|_, value| !value.is_null());
    metadata.retain(|key, _| {
        let known = FIELDS.iter().any(|(name, _)| name == key);
        if !known {
            unknown.push(format!("metadata.{key}"));
        }
        known
    });
    metadata.remove("selfLink");
    FIELDS
        .iter()
        .try_for_each(|(name, type_)| match metadata.get_mut(*name) {
            Some(value) => check_type(name, *type_, value),
            None => Ok(()),
        })
}

fn check_type(name: &str, type_: Type, value: &mut Value) -> Result<(), Failure> {
    let wanted = match type_ {
        Type::Text => value.is_string().then_some(()).ok_or("a string"),
        Type::Integer => value.is_i64().then_some(()).ok_or("an integer"),
        Type::List => value.is_array().then_some(()).ok_or("a list"),
        Type::Words => words(value).ok_or("a map of strings"),
    };
    wanted.map_err(|what| wrong_type(&format!("metadata.{name}"), what))
}

fn words(value: &mut Value) -> Option<()> {
    let map = value.as_object_mut()?;
    map.retain(|_, word| !word.is_null());
    map.values().all(Value::is_string).then_some(())
}

fn wrong_type(field: &str, wanted: &str) -> Failure {
    Failure::bad_request(format!(
        "the object cannot be decoded: {field} must be {wanted}"
    ))
}

/// Everything that is wrong with an object's name, labels, annotations, finalizers and owners.
#[must_use]
pub fn problems(resource: &Descriptor, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(object, "name");
    let check = match resource.special {
        Special::Namespace | Special::Service => names::dns_label,
        Special::Rbac | Special::Csr => names::path_segment,
        Special::None
        | Special::Lease
        | Special::Admission
        | Special::ConfigMap
        | Special::Secret
        | Special::Event
        | Special::Definition
        | Special::Task
        | Special::Offer
        | Special::Review => names::dns_subdomain,
    };
    if let Some(problem) = check(name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), &problem));
    }
    words_of(object, "labels", &mut causes);
    words_of(object, "annotations", &mut causes);
    for (n, finalizer) in finalizers(object).iter().enumerate() {
        if let Some(problem) = names::label_key(finalizer) {
            let field = format!("metadata.finalizers[{n}]");
            causes.push(Cause::invalid(field, &finalizer.as_str().into(), &problem));
        }
    }
    owners(object, &mut causes);
    causes
}

fn words_of(object: &Value, which: &str, causes: &mut Vec<Cause>) {
    /// Total size of all annotations, as upstream.
    const ANNOTATION_BYTES_MAX: usize = 256 << 10;
    let field = format!("metadata.{which}");
    let mut bytes = 0;
    let found = object
        .pointer(&format!("/metadata/{which}"))
        .and_then(Value::as_object);
    for (key, value) in found.into_iter().flatten() {
        let word = value.as_str().unwrap_or_default();
        bytes += key.len() + word.len();
        // Annotation keys may have capitals; label keys too, in the name part.
        if let Some(problem) = names::label_key(key) {
            causes.push(Cause::invalid(
                field.clone(),
                &key.as_str().into(),
                &problem,
            ));
        }
        if let Some(problem) = (which == "labels")
            .then(|| names::label_value(word))
            .flatten()
        {
            causes.push(Cause::invalid(field.clone(), value, &problem));
        }
    }
    if which == "annotations" && bytes > ANNOTATION_BYTES_MAX {
        causes.push(Cause::of(
            field,
            format!("Too long: may not be more than {ANNOTATION_BYTES_MAX} bytes"),
        ));
    }
}

fn owners(object: &Value, causes: &mut Vec<Cause>) {
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let mut controllers = 0;
    for (n, owner) in owners.into_iter().flatten().enumerate() {
        let place = format!("metadata.ownerReferences[{n}]");
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty()
            {
                causes.push(Cause::invalid(
                    format!("{place}.{key}"),
                    &"".into(),
                    "must not be empty",
                ));
            }
        }
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        const TEXT: &str = "Only one reference can have Controller set to true";
        causes.push(Cause::of(
            "metadata.ownerReferences",
            format!("Invalid value: {TEXT}"),
        ));
    }
}

/// Puts back what an update may not change.
pub fn retain(old: &Value, new: &mut Value) {
    const RETAINED: [&str; 7] = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "generateName",
    ];
    for field in RETAINED {
        match old["metadata"].get(field) {
            Some(value) => _ = map(new).insert(field.into(), value.clone()),
            None => _ = map(new).remove(field),
        }
    }
    for field in ["name", "namespace"] {
        if let Some(value) = old["metadata"].get(field) {
            map(new).insert(field.into(), value.clone());
        }
    }
    // Empty collections and absent ones are the same to Kubernetes; stored bytes should be too.
    map(new).retain(|_, value| {
        !value.as_object().is_some_and(Map::is_empty)
            && !value.as_array().is_some_and(Vec::is_empty)
    });
}

/// Adds one to `metadata.generation`.
pub fn next_generation(object: &mut Value) {
    let present = object
        .pointer("/metadata/generation")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    map(object).insert("generation".into(), (present + 1).into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        let mut object = json!({"metadata": {
            "name": "x", "creationTimestamp": null, "labels": {"a": "b", "c": null}, "foo": 1,
        }});
        let mut unknown = Vec::new();
        decode(&mut object, &mut unknown).unwrap();
        assert_eq!(
            object,
            json!({"metadata": {"name": "x", "labels": {"a": "b"}}})
        );
        assert_eq!(unknown, ["metadata.foo"]);
        for bad in [
            json!({"metadata": []}),
            json!({"metadata": {"name": 1}}),
            json!({"metadata": {"labels": {"a": 1}}}),
            json!({"metadata": {"finalizers": "x"}}),
        ] {
            assert_eq!(
                decode(&mut bad.clone(), &mut Vec::new())
                    .unwrap_err()
                    .code(),
                400,
                "{bad}"
            );
        }
    }

    #[test]
    fn rules() {
        let resource = Descriptor::default();
        for (metadata, fields) in [
            (json!({"name": "x"}), vec![]),
            (json!({"name": "X"}), vec!["metadata.name"]),
            (
                json!({"name": "x", "labels": {"a": "b c", "/": ""}}),
                vec!["metadata.labels"; 2],
            ),
            (
                json!({"name": "x", "finalizers": ["a/b/c"]}),
                vec!["metadata.finalizers[0]"],
            ),
            (
                json!({"name": "x", "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "n"}]}),
                vec!["metadata.ownerReferences[0].uid"],
            ),
        ] {
            let object = json!({"metadata": metadata});
            let found = problems(&resource, &object);
            let found: Vec<_> = found.iter().map(|c| c.field.as_str()).collect();
            assert_eq!(found, fields, "{object}");
        }
    }
}
