//! The part webhooks and policies share: which requests they are about.

use serde_json::{Map, Value, json};

use super::{default, duplicate, items, not_supported, word};
use crate::admission::labels;
use crate::names;
use crate::selector::label;
use crate::status::Cause;

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// The selectors, and how versions are taken.
pub(super) fn complete(map: &mut Map<String, Value>, rules: &[&str]) {
    default(map, "matchPolicy", json!("Equivalent"));
    default(map, "namespaceSelector", json!({}));
    default(map, "objectSelector", json!({}));
    for list in rules {
        for rule in map
            .get_mut(*list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(rule) = rule.as_object_mut() {
                default(rule, "scope", json!("*"));
            }
        }
    }
}

/// Rules, selectors and match policy; `rules` names the lists of rules.
pub(super) fn check(value: &Value, rules: &[&str], place: &str, causes: &mut Vec<Cause>) {
    super::one_of(
        value,
        "matchPolicy",
        &["Equivalent", "Exact"],
        place,
        causes,
    );
    for field in ["namespaceSelector", "objectSelector"] {
        selector(value.get(field), &format!("{place}.{field}"), causes);
    }
    for list in rules {
        for (n, one) in items(value, list).iter().enumerate() {
            rule(one, &format!("{place}.{list}[{n}]"), causes);
        }
    }
}

/// A label selector written as an object.
pub(super) fn selector(value: Option<&Value>, place: &str, causes: &mut Vec<Cause>) {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return;
    };
    let requirements = match labels::requirements(value) {
        Ok(requirements) => requirements,
        Err(problem) => return causes.push(Cause::of(place, format!("Invalid value: {problem}"))),
    };
    for label::Requirement { key, values, .. } in &requirements {
        let words = values.iter().map(|word| names::label_value(word));
        for problem in std::iter::once(names::label_key(key))
            .chain(words)
            .flatten()
        {
            causes.push(Cause::invalid(place, &key.as_str().into(), &problem));
        }
    }
}

fn rule(rule: &Value, place: &str, causes: &mut Vec<Cause>) {
    let operations = words(rule, "operations");
    listed(&operations, place, "operations", "operations", causes);
    for (n, operation) in operations.iter().enumerate() {
        if !OPERATIONS.contains(operation) {
            let place = format!("{place}.operations[{n}]");
            causes.push(not_supported(&place, operation, &OPERATIONS));
        }
    }
    let groups = words(rule, "apiGroups");
    listed(&groups, place, "apiGroups", "API groups", causes);
    let versions = words(rule, "apiVersions");
    listed(&versions, place, "apiVersions", "API versions", causes);
    for (n, _) in versions.iter().enumerate().filter(|(_, v)| v.is_empty()) {
        causes.push(Cause::required(format!("{place}.apiVersions[{n}]"), ""));
    }
    resources(&words(rule, "resources"), place, causes);
    let scope = word(rule, "scope");
    if !scope.is_empty() && !SCOPES.contains(&scope) {
        causes.push(not_supported(&format!("{place}.scope"), scope, &SCOPES));
    }
    let mut seen = Vec::new();
    for (n, name) in words(rule, "resourceNames").into_iter().enumerate() {
        if seen.contains(&name) {
            causes.push(duplicate(format!("{place}.resourceNames[{n}]"), name));
        }
        seen.push(name);
    }
}

fn words<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    let all = items(rule, field).iter();
    all.map(|word| word.as_str().unwrap_or_default()).collect()
}

fn listed(words: &[&str], place: &str, field: &str, what: &str, causes: &mut Vec<Cause>) {
    let place = format!("{place}.{field}");
    if words.is_empty() {
        causes.push(Cause::required(place, ""));
    } else if words.len() > 1 && words.contains(&"*") {
        let text = format!("if '*' is present, must not specify other {what}");
        causes.push(Cause::invalid(place, &json!(words), &text));
    }
}

fn resources(words: &[&str], place: &str, causes: &mut Vec<Cause>) {
    let place = format!("{place}.resources");
    if words.is_empty() {
        return causes.push(Cause::required(place, ""));
    }
    let (mut of_all, mut all_of) = (Vec::new(), Vec::new());
    for (n, found) in words.iter().enumerate() {
        if found.is_empty() {
            causes.push(Cause::required(format!("{place}[{n}]"), ""));
        }
        let Some((resource, sub)) = found.split_once('/') else {
            continue;
        };
        let mut covered = |by: String| {
            let text = format!("if '{by}' is present, must not specify {found}");
            causes.push(Cause::invalid(
                format!("{place}[{n}]"),
                &json!(found),
                &text,
            ));
        };
        if all_of.contains(&resource) {
            covered(format!("{resource}/*"));
        }
        if of_all.contains(&sub) {
            covered(format!("*/{sub}"));
        }
        if sub == "*" {
            all_of.push(resource);
        }
        if resource == "*" {
            of_all.push(sub);
        }
    }
    if words.len() > 1 && words.contains(&"*/*") {
        const TEXT: &str = "if '*/*' is present, must not specify other resources";
        causes.push(Cause::invalid(place.clone(), &json!(words), TEXT));
    }
    let plain = |word: &&str| *word != "*" && !word.contains('/');
    if words.contains(&"*") && words.iter().any(plain) {
        const TEXT: &str =
            "if '*' is present, must not specify other resources without subresources";
        causes.push(Cause::invalid(place, &json!(words), TEXT));
    }
}
