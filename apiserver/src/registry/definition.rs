//! CustomResourceDefinitions: from the stored object to descriptors, one for each served version.

mod check;
mod columns;
mod conversion;
mod defaults;
mod lists;
mod openapi;
mod path;

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use super::family::Family;
use super::{Column, Descriptor, Origin, Scale, Source, Special, Subresources};
use crate::cel::Rules;
use crate::conversion::Webhook;
use crate::jsonpath::Path;
use crate::metadata;
use crate::status::Cause;

pub use check::spec as check_spec;

/// What the schema of a version says under this name.
const SCHEMA: &str = "/schema/openAPIV3Schema";

/// The descriptors of a definition, best version first. Parts that are not understood are left
/// out: the definition was checked when it was written. `defined_at`: the revision it has in the
/// store, if it is there.
#[must_use]
pub fn descriptors(definition: &Value, defined_at: Option<u64>) -> Vec<Descriptor> {
    if !is_established(definition) {
        return Vec::new();
    }
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let storage = versions
        .iter()
        .find(|v| v["storage"] == true)
        .map(|v| string(v, "/name"));
    let served = versions.iter().filter(|version| version["served"] == true);
    // Our own kinds have one version, and whoever reads them knows their defaults.
    let family = (spec["group"] != manifests::kinds::GROUP)
        .then(|| Arc::new(Family::of(spec, Webhook::of(spec), defined_at)));
    let mut found: Vec<Descriptor> = served
        .map(|version| Descriptor {
            storage_version: storage.clone().unwrap_or_else(|| string(version, "/name")),
            family: family.clone(),
            defined_at,
            ..descriptor(definition, spec, version)
        })
        .collect();
    found.sort_by(|a, b| by_priority(&a.version, &b.version));
    found
}

/// False while another kind has one of the names. Without a status, it is one of our own.
fn is_established(definition: &Value) -> bool {
    let conditions = definition
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.is_none_or(|all| {
        let established = |one: &Value| one["type"] == "Established" && one["status"] == "True";
        all.iter().any(established)
    })
}

fn descriptor(definition: &Value, spec: &Value, version: &Value) -> Descriptor {
    let (group, kind) = (string(spec, "/group"), string(spec, "/names/kind"));
    let version_name = string(version, "/name");
    let schema = version.pointer(SCHEMA).cloned();
    let rules = schema
        .as_ref()
        .and_then(|schema| Rules::compile(schema, "").ok().flatten().map(Arc::new));
    Descriptor {
        special: special(&group, &kind),
        subresources: subresources(&group, &kind, version),
        list_kind: or(string(spec, "/names/listKind"), || format!("{kind}List")),
        singular: or(string(spec, "/names/singular"), || kind.to_lowercase()),
        plural: string(spec, "/names/plural"),
        short_names: strings(spec, "/names/shortNames"),
        categories: strings(spec, "/names/categories"),
        namespaced: spec["scope"] != "Cluster",
        verbs: verbs(metadata::is_deleting(definition)),
        schema: schema.map(Arc::new),
        rules,
        columns: columns(version),
        selectable: selectable(version),
        origin: Origin::Definition,
        deprecation: deprecation(&group, &version_name, &kind, version),
        generation: true,
        group,
        kind,
        version: version_name,
        ..Descriptor::default()
    }
}

fn string(value: &Value, path: &str) -> String {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn or(text: String, otherwise: impl FnOnce() -> String) -> String {
    if text.is_empty() { otherwise() } else { text }
}

fn strings(value: &Value, path: &str) -> Vec<String> {
    let list = value.pointer(path).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(String::from))
        .collect()
}

fn special(group: &str, kind: &str) -> Special {
    match (group, kind) {
        (manifests::kinds::GROUP, "Task") => Special::Task,
        (manifests::kinds::GROUP, "Offer") => Special::Offer,
        _ => Special::None,
    }
}

/// A definition that goes away takes no new objects.
fn verbs(terminating: bool) -> Vec<String> {
    const ALL: [&str; 8] = [
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "create",
        "update",
        "watch",
    ];
    ALL.into_iter()
        .filter(|verb| !terminating || *verb != "create")
        .map(String::from)
        .collect()
}

fn subresources(group: &str, kind: &str, version: &Value) -> Subresources {
    let declared = &version["subresources"];
    let scale = declared
        .get("scale")
        .filter(|scale| scale.is_object())
        .map(|scale| Scale {
            spec: string(scale, "/specReplicasPath"),
            status: string(scale, "/statusReplicasPath"),
            selector: Some(string(scale, "/labelSelectorPath")).filter(|path| !path.is_empty()),
        });
    let extra = match special(group, kind) {
        Special::Offer => vec!["accept", "decline"],
        Special::Task => vec!["log"],
        Special::None
        | Special::Namespace
        | Special::ConfigMap
        | Special::Secret
        | Special::Event
        | Special::Admission
        | Special::Service
        | Special::Lease
        | Special::Definition
        | Special::Rbac
        | Special::Csr
        | Special::Review => Vec::new(),
    };
    Subresources {
        status: declared.get("status").is_some_and(Value::is_object),
        scale,
        extra,
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let declared = version["additionalPrinterColumns"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if declared.is_empty() {
        return vec![super::builtin::age()];
    }
    declared.iter().map(column).collect()
}

fn column(declared: &Value) -> Column {
    let path = Path::parse(&string(declared, "/jsonPath")).ok();
    Column {
        name: string(declared, "/name"),
        type_: string(declared, "/type"),
        format: string(declared, "/format"),
        description: string(declared, "/description"),
        priority: declared["priority"].as_i64().unwrap_or(0),
        source: Source::First(path.into_iter().collect()),
    }
}

fn selectable(version: &Value) -> Vec<String> {
    let declared = version["selectableFields"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    declared
        .iter()
        .map(|field| {
            string(field, "/jsonPath")
                .trim_start_matches('.')
                .to_owned()
        })
        .collect()
}

fn deprecation(group: &str, version: &str, kind: &str, declared: &Value) -> Option<String> {
    let deprecated = declared["deprecated"] == true;
    let own = string(declared, "/deprecationWarning");
    deprecated.then(|| or(own, || format!("{group}/{version} {kind} is deprecated")))
}

/// Kubernetes' order of versions: v2 before v1 before v1beta1 before v1alpha1, others by name.
#[must_use]
pub fn by_priority(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability (3: stable), major, minor.
fn rank(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let major = rest[..digits].parse().ok()?;
    let (stability, minor) = match &rest[digits..] {
        "" => (3, ""),
        tail if tail.starts_with("beta") => (2, &tail[4..]),
        tail if tail.starts_with("alpha") => (1, &tail[5..]),
        _ => return None,
    };
    let minor = if minor.is_empty() {
        0
    } else {
        minor.parse().ok()?
    };
    Some((stability, major, minor))
}

/// `Unsupported value: "x": supported values: "a", "b"`.
fn unsupported(field: String, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
    let supported = supported.join(", ");
    Cause::of(
        field,
        format!("Unsupported value: {value:?}: supported values: {supported}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_order() {
        let mut versions = [
            "foo1",
            "v1alpha1",
            "v10",
            "v1beta2",
            "v2",
            "v1",
            "v1beta1",
            "v11alpha2",
            "bar",
        ];
        versions.sort_by(|a, b| by_priority(a, b));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v1beta2",
                "v1beta1",
                "v11alpha2",
                "v1alpha1",
                "bar",
                "foo1"
            ]
        );
    }

    /// As the server completes it.
    fn complete(definition: &Value) -> Value {
        let mut definition = definition.clone();
        let servers = crate::user::User::controllers();
        crate::special::definition::complete(&mut definition, &servers).unwrap();
        definition
    }

    #[test]
    fn our_own_definitions_pass() {
        for definition in manifests::kinds::definitions() {
            let value = serde_json::to_value(&definition).unwrap();
            assert_eq!(
                check_spec(&complete(&value)["spec"]),
                [],
                "{}",
                value["metadata"]["name"]
            );
            let found = descriptors(&value, None);
            assert_eq!(found.len(), 1);
            let kind = &found[0].kind;
            assert_eq!(found[0].subresources.status, kind != "Revocation", "{kind}");
        }
    }
}
