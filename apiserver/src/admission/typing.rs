//! What a policy's expressions get wrong about the kinds it names, told in its status. It refuses
//! nothing: a policy may be older than the kinds it is about.
//!
//! Rules and texts: upstream's `pkg/admission/plugin/policy/validating/typechecking.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::expression::{Composed, Expression, Known, Wanted};
use super::snapshot::word;
use crate::registry::{Descriptor, Registry};

/// Kinds looked at, as upstream.
const KINDS_MAX: usize = 10;

/// Expressions of a policy; one with more is not looked at.
const EXPRESSIONS_MAX: usize = 256;

/// `status.typeChecking.expressionWarnings` of a policy.
#[must_use]
pub fn warnings(spec: &Json, registry: &Registry) -> Vec<Json> {
    let validations = items(spec, "validations");
    if validations.len() + items(spec, "variables").len() > EXPRESSIONS_MAX {
        return Vec::new();
    }
    let params = params(spec, registry);
    let mut found: BTreeMap<(usize, &str), Vec<String>> = BTreeMap::new();
    for resource in kinds(spec, registry) {
        let Some(object) = resource.schema.as_deref().map(whole) else {
            continue;
        };
        let known = Known {
            params: spec.get("paramKind").is_some_and(Json::is_object),
            authorizer: true,
            object: Some(&object),
            param: params.as_ref(),
            variables: None,
        };
        let mut composed = Composed::default();
        for variable in items(spec, "variables") {
            let known = Known {
                variables: Some(&composed),
                ..known
            };
            let made = Expression::compile(word(variable, "expression"), known, Wanted::Anything);
            composed.add(word(variable, "name"), made.as_ref().ok());
        }
        let known = Known {
            variables: Some(&composed),
            ..known
        };
        for (n, validation) in validations.iter().enumerate() {
            for field in ["expression", "messageExpression"] {
                let text = word(validation, field);
                let problem = match text {
                    "" => None,
                    text => Expression::compile(text, known, Wanted::Anything).err(),
                };
                found
                    .entry((n, field))
                    .or_default()
                    .extend(problem.map(|problem| told(&resource, &problem)));
            }
        }
    }
    let told = found
        .into_iter()
        .filter(|(_, problems)| !problems.is_empty());
    told.map(|((n, field), problems)| {
        json!({"fieldRef": format!("spec.validations[{n}].{field}"), "warning": problems.join("\n")})
    })
    .collect()
}

fn told(resource: &Descriptor, problem: &str) -> String {
    let (group, version, kind) = (&resource.group, &resource.version, &resource.kind);
    let problem = problem.trim_start_matches("compilation failed: ");
    format!("{group}/{version}, Kind={kind}: {problem}\n")
}

fn items<'a>(value: &'a Json, field: &str) -> &'a [Json] {
    let found = value.get(field).and_then(Json::as_array);
    found.map_or(&[], Vec::as_slice)
}

fn params(spec: &Json, registry: &Registry) -> Option<Json> {
    let kind = spec.get("paramKind")?;
    let api_version = word(kind, "apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = registry.by_kind(group, Some(version), word(kind, "kind"))?;
    resource.schema.as_deref().map(whole)
}

/// A schema with what every object has. About metadata nothing is known.
fn whole(schema: &Json) -> Json {
    let mut schema = schema.clone();
    if let Some(fields) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        let anything = json!({"x-kubernetes-int-or-string": true});
        fields.insert("metadata".to_owned(), anything);
        for field in ["apiVersion", "kind"] {
            fields.insert(field.to_owned(), json!({"type": "string"}));
        }
    }
    schema
}

/// The kinds a policy names, in order. A rule with a wildcard names none.
fn kinds(spec: &Json, registry: &Registry) -> Vec<Arc<Descriptor>> {
    let mut found: BTreeMap<(String, String, String), Arc<Descriptor>> = BTreeMap::new();
    for rule in items(&spec["matchConstraints"], "resourceRules") {
        let named = |field: &str| -> Option<Vec<&str>> {
            let words = items(rule, field).iter().filter_map(Json::as_str);
            let words: Vec<&str> = words.collect();
            (!words.iter().any(|word| word.contains('*'))).then_some(words)
        };
        let (Some(groups), Some(versions)) = (named("apiGroups"), named("apiVersions")) else {
            continue;
        };
        let plurals = items(rule, "resources").iter().filter_map(Json::as_str);
        let plurals: Vec<&str> = plurals.filter(|word| !word.contains(['*', '/'])).collect();
        for group in &groups {
            for version in &versions {
                let known = |plural: &&str| registry.lookup(group, version, plural);
                for resource in plurals.iter().filter_map(known) {
                    let Descriptor {
                        group,
                        version,
                        kind,
                        ..
                    } = &*resource;
                    let key = (group.clone(), version.clone(), kind.clone());
                    found.insert(key, resource);
                }
            }
        }
    }
    found.into_values().take(KINDS_MAX).collect()
}
