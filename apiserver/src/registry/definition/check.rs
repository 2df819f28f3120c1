//! Everything a definition must be, with upstream's texts (`apiextensions/validation/validation.go`).

use serde_json::Value;

use super::{columns, conversion, defaults, openapi, string, strings};
use crate::cel::{Rules, flag};
use crate::names;
use crate::registry::structural;
use crate::status::Cause;

const SCHEMA: &str = "/schema/openAPIV3Schema";

/// What is wrong with the spec of a definition.
#[must_use]
pub fn spec(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    group(spec, &mut causes);
    scope(spec, &mut causes);
    if flag(spec, "preserveUnknownFields") {
        const TEXT: &str = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        causes.push(Cause::invalid(
            "spec.preserveUnknownFields",
            &true.into(),
            TEXT,
        ));
    }
    versions(spec, &mut causes);
    words(spec, &mut causes);
    conversion::check(spec, &mut causes);
    causes
}

fn group(spec: &Value, causes: &mut Vec<Cause>) {
    let group = string(spec, "/group");
    let text = if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
        return;
    } else if let Some(problem) = names::dns_subdomain(&group) {
        problem
    } else if !group.contains('.') {
        "should be a domain with at least one dot".to_owned()
    } else {
        return;
    };
    causes.push(Cause::invalid("spec.group", &group.into(), &text));
}

fn scope(spec: &Value, causes: &mut Vec<Cause>) {
    match string(spec, "/scope").as_str() {
        "" => causes.push(Cause::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => causes.push(super::unsupported(
            "spec.scope".into(),
            other,
            &["Cluster", "Namespaced"],
        )),
    }
}

fn versions(spec: &Value, causes: &mut Vec<Cause>) {
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    for (n, version) in versions.iter().enumerate() {
        let place = format!("spec.versions[{n}]");
        let name = string(version, "/name");
        if let Some(problem) = names::dns1035_label(&name) {
            causes.push(Cause::invalid(
                format!("{place}.name"),
                &name.into(),
                &problem,
            ));
        }
        self::version(version, &place, causes);
    }
    let twice = |n: usize| {
        versions[..n]
            .iter()
            .any(|other| other["name"] == versions[n]["name"])
    };
    if (0..versions.len()).any(twice) {
        causes.push(Cause::invalid(
            "spec.versions",
            &spec["versions"],
            "must contain unique version names",
        ));
    }
    if versions
        .iter()
        .filter(|version| flag(version, "storage"))
        .count()
        != 1
    {
        const TEXT: &str = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &spec["versions"], TEXT));
    }
}

fn version(version: &Value, place: &str, causes: &mut Vec<Cause>) {
    for problem in deprecation(version) {
        let shown = &version["deprecationWarning"];
        causes.push(Cause::invalid(
            format!("{place}.deprecationWarning"),
            shown,
            &problem,
        ));
    }
    let field = format!("{place}.schema.openAPIV3Schema");
    match version.pointer(SCHEMA).filter(|schema| !schema.is_null()) {
        None => causes.push(Cause::required(field, "")),
        Some(schema) => {
            self::schema(schema, &field, causes);
            columns::selectable(version, schema, place, causes);
        }
    }
    columns::check(version, place, causes);
}

/// A schema; each step only looks at what the one before has found sound.
fn schema(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    if flag(schema, "nullable") {
        causes.push(Cause::forbidden(
            format!("{field}.nullable"),
            "nullable cannot be true at the root",
        ));
    }
    let before = causes.len();
    structural::check(schema, field, causes);
    let structural = causes.len() == before;
    openapi::check(schema, field, true, openapi::Above::default(), causes);
    let sound = causes.len() == before;
    if structural {
        defaults::check(schema, field, causes);
    }
    if sound && let Err(problems) = Rules::compile(schema, field) {
        causes.extend(problems);
    }
}

fn deprecation(version: &Value) -> Vec<String> {
    let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) else {
        return Vec::new();
    };
    if !flag(version, "deprecated") {
        return vec!["can only be set for deprecated versions".to_owned()];
    }
    let mut problems = Vec::new();
    if warning.len() > 256 {
        problems.push("must be <= 256 characters long".to_owned());
    }
    if warning.is_empty() {
        problems.push("must not be an empty string".to_owned());
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        problems.push(format!("must only contain printable UTF-8 characters; non-printable character found at index {at}"));
    }
    problems
}

fn words(spec: &Value, causes: &mut Vec<Cause>) {
    for name in ["plural", "singular", "kind", "listKind"] {
        let text = string(spec, &format!("/names/{name}"));
        let place = format!("spec.names.{name}");
        if text.is_empty() {
            causes.push(Cause::required(place, ""));
            continue;
        }
        let mixed = matches!(name, "kind" | "listKind");
        let checked = if mixed {
            text.to_lowercase()
        } else {
            text.clone()
        };
        if let Some(problem) = names::dns1035_label(&checked) {
            let intro = if mixed {
                "may have mixed case, but should otherwise match: "
            } else {
                ""
            };
            causes.push(Cause::invalid(
                place,
                &text.into(),
                &format!("{intro}{problem}"),
            ));
        }
    }
    for list in ["shortNames", "categories"] {
        for (n, word) in strings(spec, &format!("/names/{list}")).iter().enumerate() {
            if let Some(problem) = names::dns1035_label(word) {
                let place = format!("spec.names.{list}[{n}]");
                causes.push(Cause::invalid(place, &word.as_str().into(), &problem));
            }
        }
    }
    let (kind, list) = (string(spec, "/names/kind"), string(spec, "/names/listKind"));
    if !kind.is_empty() && kind == list {
        const TEXT: &str = "kind and listKind may not be the same";
        causes.push(Cause::invalid("spec.names.listKind", &list.into(), TEXT));
    }
}
