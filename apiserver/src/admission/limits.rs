//! LimitRange: what tasks of a namespace get when they ask for nothing, and how much they may ask.
//!
//! As upstream's LimitRanger for containers, for items of the type `Task`.

use std::collections::BTreeMap;

use manifests::resources::{MEM, Milli, amount_text, canonical};
use serde_json::{Map, Value, json};
use store::View;

use crate::keys;
use crate::object;
use crate::registry::builtin::admission::RANGES;

/// The type of the items that are about tasks; items of other types are kept, and mean nothing here.
pub const TASK: &str = "Task";

/// The items about tasks of a namespace, in the order of the objects' names.
#[must_use]
pub fn items(view: &View, namespace: &str) -> Vec<Value> {
    let prefix = keys::object("", RANGES, Some(namespace), "");
    let ranges = view.prefix(&prefix).map(|item| object::decode(&item));
    let mut found = Vec::new();
    for mut range in ranges {
        let all = range
            .pointer_mut("/spec/limits")
            .and_then(Value::as_array_mut);
        found.extend(
            all.into_iter()
                .flatten()
                .filter(|item| item["type"] == TASK)
                .map(Value::take),
        );
    }
    found
}

/// Gives a task the requests and limits it does not name. The first range that has a say wins.
pub fn fill(items: &[Value], task: &mut Value) {
    for item in items {
        for (list, field) in [("default", "limits"), ("defaultRequest", "resources")] {
            if let Some(defaults) = item.get(list).and_then(Value::as_object) {
                fill_one(defaults, field, task);
            }
        }
    }
}

fn fill_one(defaults: &Map<String, Value>, field: &str, task: &mut Value) {
    let Some(spec) = task.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    let place = spec.entry(field).or_insert_with(|| json!({}));
    let Some(present) = place.as_object_mut() else {
        return;
    };
    for (name, amount) in defaults {
        let name = canonical(name);
        if !present.keys().any(|own| canonical(own) == name) {
            present.insert(name.to_owned(), amount.clone());
        }
    }
    if present.is_empty() {
        spec.remove(field);
    }
}

/// What a task asks for beyond, or below, what the items allow.
#[must_use]
pub fn problems(items: &[Value], task: &Value) -> Vec<String> {
    let requests = amounts(task.pointer("/spec/resources"));
    let mut limits = amounts(task.pointer("/spec/limits"));
    // An agent enforces the memory asked for where no other limit is named.
    if let Some(memory) = requests.get(MEM) {
        limits.entry(MEM.to_owned()).or_insert(*memory);
    }
    let mut problems = Vec::new();
    for item in items {
        for (name, least) in amounts(item.get("min")) {
            let asked = (requests.get(&name), limits.get(&name));
            problems.extend(below(&name, least, asked.0, asked.1));
        }
        for (name, most) in amounts(item.get("max")) {
            let asked = (requests.get(&name), limits.get(&name));
            problems.extend(above(&name, most, asked.0, asked.1));
        }
        for (name, ratio) in amounts(item.get("maxLimitRequestRatio")) {
            let asked = (requests.get(&name), limits.get(&name));
            problems.extend(apart(&name, ratio, asked.0, asked.1));
        }
    }
    problems
}

/// Amounts by canonical name; what is no amount is another check's business.
pub(super) fn amounts(list: Option<&Value>) -> BTreeMap<String, Milli> {
    let entries = list.and_then(Value::as_object).into_iter().flatten();
    let parsed = entries.filter_map(|(name, amount)| {
        let text = amount
            .as_str()
            .map_or_else(|| amount.to_string(), str::to_owned);
        Some((canonical(name).to_owned(), text.parse().ok()?))
    });
    parsed.collect()
}

fn below(
    name: &str,
    least: Milli,
    request: Option<&Milli>,
    limit: Option<&Milli>,
) -> Option<String> {
    let text = |amount: Milli| amount_text(name, amount);
    let intro = format!("minimum {name} usage per {TASK} is {}", text(least));
    match (request, limit) {
        (None, _) => Some(format!("{intro}.  No request is specified")),
        (Some(request), _) if *request < least => {
            Some(format!("{intro}, but request is {}", text(*request)))
        }
        (_, Some(limit)) if *limit < least => {
            Some(format!("{intro}, but limit is {}", text(*limit)))
        }
        (Some(_), Some(_) | None) => None,
    }
}

fn above(
    name: &str,
    most: Milli,
    request: Option<&Milli>,
    limit: Option<&Milli>,
) -> Option<String> {
    let text = |amount: Milli| amount_text(name, amount);
    let intro = format!("maximum {name} usage per {TASK} is {}", text(most));
    match (request, limit) {
        (_, None) => Some(format!("{intro}.  No limit is specified")),
        (_, Some(limit)) if *limit > most => {
            Some(format!("{intro}, but limit is {}", text(*limit)))
        }
        (Some(request), _) if *request > most => {
            Some(format!("{intro}, but request is {}", text(*request)))
        }
        (Some(_) | None, Some(_)) => None,
    }
}

fn apart(
    name: &str,
    ratio: Milli,
    request: Option<&Milli>,
    limit: Option<&Milli>,
) -> Option<String> {
    let intro = format!("{name} max limit to request ratio per {TASK} is {ratio}");
    let named = |amount: Option<&Milli>| amount.copied().filter(|amount| !amount.is_zero());
    let Some(request) = named(request) else {
        return Some(format!(
            "{intro}, but no request is specified or request is 0"
        ));
    };
    let Some(limit) = named(limit) else {
        return Some(format!("{intro}, but no limit is specified or limit is 0"));
    };
    // limit / request > ratio / 1000, in whole numbers.
    if limit.wide() * 1_000 <= ratio.wide() * request.wide() {
        return None;
    }
    let provided = limit.wide() as f64 / request.wide() as f64;
    Some(format!("{intro}, but provided ratio is {provided:.6}"))
}

/// Several problems as one sentence, as upstream joins them.
#[must_use]
pub fn sentence(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(resources: &Value, limits: &Value) -> Value {
        json!({"spec": {"framework": "f", "resources": resources, "limits": limits}})
    }

    #[test]
    fn defaults_fill_what_is_not_named() {
        let items = [
            json!({"type": TASK, "default": {"mem": "64Mi"}, "defaultRequest": {"cpus": "0.1", "memory": "32Mi"}}),
            json!({"type": TASK, "defaultRequest": {"cpus": "9"}}),
        ];
        let mut bare = json!({"spec": {"framework": "f"}});
        fill(&items, &mut bare);
        assert_eq!(
            bare["spec"]["resources"],
            json!({"cpus": "0.1", "mem": "32Mi"})
        );
        assert_eq!(bare["spec"]["limits"], json!({"mem": "64Mi"}));
        let mut named = task(&json!({"cpu": 2}), &json!({}));
        fill(&items, &mut named);
        assert_eq!(named["spec"]["resources"], json!({"cpu": 2, "mem": "32Mi"}));
    }

    #[test]
    fn bounds() {
        let item = |field: &str, value: Value| vec![json!({"type": TASK, field: value})];
        for (items, resources, limits, expected) in [
            (
                item("min", json!({"cpus": "100m"})),
                json!({"cpus": "0.1"}),
                json!({}),
                vec![],
            ),
            (
                item("min", json!({"cpus": "100m"})),
                json!({"cpus": "50m"}),
                json!({}),
                vec!["minimum cpus usage per Task is 0.1, but request is 0.05"],
            ),
            (
                item("min", json!({"cpus": "1"})),
                json!({}),
                json!({}),
                vec!["minimum cpus usage per Task is 1.  No request is specified"],
            ),
            (
                item("max", json!({"cpus": "1"})),
                json!({"cpus": "1"}),
                json!({}),
                vec!["maximum cpus usage per Task is 1.  No limit is specified"],
            ),
            (
                item("max", json!({"mem": "1Gi"})),
                json!({"mem": "2Gi"}),
                json!({}),
                vec!["maximum mem usage per Task is 1Gi, but limit is 2Gi"],
            ),
            (
                item("maxLimitRequestRatio", json!({"mem": "2"})),
                json!({"mem": 1}),
                json!({"mem": 2}),
                vec![],
            ),
            (
                item("maxLimitRequestRatio", json!({"mem": "1.5"})),
                json!({"mem": 1}),
                json!({"mem": 2}),
                vec![
                    "mem max limit to request ratio per Task is 1.5, but provided ratio is 2.000000",
                ],
            ),
        ] {
            let found = problems(&items, &task(&resources, &limits));
            assert_eq!(found, expected);
        }
        assert_eq!(sentence(&["a".into(), "b".into()]), "[a, b]");
    }
}
