//! Do some rules grant all that others grant? Asked before somebody may hand rights on.

use std::collections::BTreeMap;

use super::rule::{Rule, leads};

/// Most single rights that are compared one by one. A rule of three long lists means as many as
/// their product; a role that needs more is covered by one rule of its author, or refused.
const PARTS_MAX: usize = 10_000;

/// Why rules are not covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// These are missing.
    Missing(Vec<Rule>),
    /// There are too many single rights to compare.
    TooMany,
}

/// Checks that `held` grants all that `wanted` grants.
///
/// # Errors
/// What is missing.
pub fn check(held: &[&Rule], wanted: &[Rule]) -> Result<(), Gap> {
    let mut missing = Vec::new();
    let mut parts = 0;
    for rule in wanted {
        if held.iter().any(|own| covers(own, rule)) {
            continue;
        }
        parts += size(rule);
        if parts > PARTS_MAX {
            return Err(Gap::TooMany);
        }
        let uncovered = |part: &Rule| !held.iter().any(|own| covers(own, part));
        missing.extend(break_down(rule).into_iter().filter(uncovered));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Gap::Missing(compact(missing)))
    }
}

fn size(rule: &Rule) -> usize {
    let names = rule.resource_names.len().max(1);
    let resources = [rule.api_groups.len(), rule.resources.len(), names]
        .into_iter()
        .fold(1, usize::saturating_mul);
    let targets = resources.saturating_add(rule.non_resource_urls.len());
    targets.saturating_mul(rule.verbs.len())
}

/// The rule as rules of one verb on one thing.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let one = |word: &String| vec![word.clone()];
    let mut parts = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let part = Rule {
                    api_groups: one(group),
                    resources: one(resource),
                    verbs: one(verb),
                    ..Rule::default()
                };
                let named = rule.resource_names.iter().map(|name| Rule {
                    resource_names: one(name),
                    ..part.clone()
                });
                parts.extend(named);
                if rule.resource_names.is_empty() {
                    parts.push(part);
                }
            }
        }
    }
    let paths = rule.non_resource_urls.iter();
    let pairs = paths.flat_map(|url| rule.verbs.iter().map(move |verb| (url, verb)));
    parts.extend(pairs.map(|(url, verb)| Rule {
        non_resource_urls: one(url),
        verbs: one(verb),
        ..Rule::default()
    }));
    parts
}

/// Does one rule grant all that another grants?
fn covers(own: &Rule, other: &Rule) -> bool {
    let named = own.resource_names.is_empty()
        || !other.resource_names.is_empty() && holds(&own.resource_names, &other.resource_names);
    let resource = |wanted: &String| {
        let below = wanted.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        own.resources.iter().any(|one| {
            one == "*" || one == wanted || below.as_ref().is_some_and(|below| one == below)
        })
    };
    let url = |wanted: &String| own.non_resource_urls.iter().any(|one| leads(one, wanted));
    named
        && holds(&own.verbs, &other.verbs)
        && holds(&own.api_groups, &other.api_groups)
        && other.resources.iter().all(resource)
        && other.non_resource_urls.iter().all(url)
}

fn holds(own: &[String], others: &[String]) -> bool {
    own.iter().any(|one| one == "*") || others.iter().all(|other| own.contains(other))
}

/// Joins rules that differ by their verb alone, in the order of their text.
fn compact(parts: Vec<Rule>) -> Vec<Rule> {
    let mut joined: BTreeMap<Rule, Vec<String>> = BTreeMap::new();
    for mut part in parts {
        let simple = part.resource_names.is_empty() && part.non_resource_urls.is_empty();
        let verbs = if simple {
            std::mem::take(&mut part.verbs)
        } else {
            Vec::new()
        };
        joined.entry(part).or_default().extend(verbs);
    }
    let rules = joined.into_iter().map(|(rule, verbs)| {
        let verbs = if verbs.is_empty() { rule.verbs } else { verbs };
        Rule { verbs, ..rule }
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rules(value: &Value) -> Vec<Rule> {
        Rule::of(&json!({ "rules": value }))
    }

    fn gap(held: &Value, wanted: &Value) -> Vec<String> {
        let held = rules(held);
        let held: Vec<&Rule> = held.iter().collect();
        match check(&held, &rules(wanted)) {
            Ok(()) => Vec::new(),
            Err(Gap::Missing(missing)) => missing.iter().map(Rule::to_string).collect(),
            Err(Gap::TooMany) => vec!["too many".to_owned()],
        }
    }

    #[test]
    fn covering() {
        let on = |resources: &[&str], verbs: &[&str]| json!({"apiGroups": ["g"], "resources": resources, "verbs": verbs});
        let named = json!({"apiGroups": ["g"], "resources": ["tasks"], "resourceNames": ["x"], "verbs": ["get"]});
        let logs = json!({"nonResourceURLs": ["/logs/*"], "verbs": ["get"]});
        let one_log = json!({"nonResourceURLs": ["/logs/a"], "verbs": ["get"]});
        for (held, wanted, missing) in [
            (
                json!([on(&["tasks"], &["get", "list"])]),
                json!([on(&["tasks"], &["get"])]),
                vec![],
            ),
            // Two rules together cover what neither covers alone.
            (
                json!([on(&["tasks"], &["get"]), on(&["tasks"], &["list"])]),
                json!([on(&["tasks"], &["get", "list"])]),
                vec![],
            ),
            (
                json!([on(&["tasks"], &["get"])]),
                json!([on(&["tasks", "pools"], &["get", "list"])]),
                vec![
                    "{APIGroups:[\"g\"], Resources:[\"pools\"], Verbs:[\"get\" \"list\"]}",
                    "{APIGroups:[\"g\"], Resources:[\"tasks\"], Verbs:[\"list\"]}",
                ],
            ),
            (
                json!([on(&["*/scale"], &["*"])]),
                json!([on(&["tasks/scale"], &["get"])]),
                vec![],
            ),
            (
                json!([on(&["tasks"], &["*"])]),
                json!([on(&["tasks"], &["*"])]),
                vec![],
            ),
            // All verbs there are do not make a star.
            (
                json!([on(&["tasks"], &["get"])]),
                json!([on(&["tasks"], &["*"])]),
                vec!["{APIGroups:[\"g\"], Resources:[\"tasks\"], Verbs:[\"*\"]}"],
            ),
            (json!([on(&["tasks"], &["get"])]), json!([named]), vec![]),
            (
                json!([named]),
                json!([on(&["tasks"], &["get"])]),
                vec!["{APIGroups:[\"g\"], Resources:[\"tasks\"], Verbs:[\"get\"]}"],
            ),
            (json!([logs]), json!([one_log]), vec![]),
            (
                json!([one_log]),
                json!([logs]),
                vec!["{NonResourceURLs:[\"/logs/*\"], Verbs:[\"get\"]}"],
            ),
        ] {
            assert_eq!(gap(&held, &wanted), missing, "{held} {wanted}");
        }
    }

    #[test]
    fn long_lists_are_bounded() {
        let words: Vec<String> = (0..1000).map(|n| format!("w{n}")).collect();
        let huge = json!([{"apiGroups": words, "resources": words, "resourceNames": words, "verbs": words}]);
        assert_eq!(gap(&json!([]), &huge), ["too many"]);
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        assert!(gap(&all, &huge).is_empty());
    }
}
