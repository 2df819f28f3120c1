//! LimitRange.

use std::collections::{BTreeMap, BTreeSet};

use manifests::resources::Milli;
use serde_json::{Map, Value, json};

use super::{amounts_as_text, default, duplicate, items, items_mut, word};
use crate::admission::limits::TASK;
use crate::status::Cause;

const LISTS: [&str; 5] = [
    "min",
    "max",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];

/// What is not said follows from the rest: a limit's default is the most allowed, a request's is
/// the limit's, or else the least allowed (upstream's rules for containers).
pub(super) fn complete(object: &mut Value) {
    for item in items_mut(object, "/spec/limits") {
        for list in LISTS {
            amounts_as_text(item.get_mut(list));
        }
        if item.get("type").is_some_and(|type_| type_ == TASK) {
            follow(item, "max", "default");
            follow(item, "default", "defaultRequest");
            follow(item, "min", "defaultRequest");
        }
    }
}

fn follow(item: &mut Map<String, Value>, from: &str, to: &str) {
    let Some(Value::Object(known)) = item.get(from).cloned() else {
        return;
    };
    default(item, to, json!({}));
    if let Some(Value::Object(derived)) = item.get_mut(to) {
        for (name, amount) in known {
            derived.entry(name).or_insert(amount);
        }
    }
}

/// Amounts that parse, and that do not contradict each other.
pub(super) fn check(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut types = Vec::new();
    for (n, item) in items(&object["spec"], "limits").iter().enumerate() {
        let place = format!("spec.limits[{n}]");
        let type_ = word(item, "type");
        if type_.is_empty() {
            causes.push(Cause::required(format!("{place}.type"), ""));
        } else if types.contains(&type_) {
            causes.push(duplicate(format!("{place}.type"), type_));
        }
        types.push(type_);
        one(item, &place, &mut causes);
    }
    causes
}

type Amounts<'a> = BTreeMap<&'a str, (&'a str, Milli)>;

fn one(item: &Value, place: &str, causes: &mut Vec<Cause>) {
    let mut lists: BTreeMap<&str, Amounts<'_>> = BTreeMap::new();
    for list in LISTS {
        let entries = item.get(list).and_then(Value::as_object);
        for (name, amount) in entries.into_iter().flatten() {
            let text = amount.as_str().unwrap_or_default();
            match text.parse::<Milli>() {
                Ok(milli) => _ = lists.entry(list).or_default().insert(name, (text, milli)),
                Err(error) => {
                    let at = format!("{place}.{list}[{name}]");
                    causes.push(Cause::invalid(at, amount, &error.to_string()));
                }
            }
        }
    }
    /// Which must not exceed which, in whose field that is said, and in which words.
    const ORDER: [(&str, &str, &str, &str, &str); 6] = [
        ("min", "max", "min", "min value", "max value"),
        (
            "min",
            "defaultRequest",
            "defaultRequest",
            "min value",
            "default request value",
        ),
        (
            "defaultRequest",
            "max",
            "defaultRequest",
            "default request value",
            "max value",
        ),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "default request value",
            "default limit value",
        ),
        ("min", "default", "default", "min value", "default value"),
        ("default", "max", "default", "default value", "max value"),
    ];
    let names: BTreeSet<&str> = lists
        .values()
        .flat_map(|list| list.keys().copied())
        .collect();
    for name in names {
        let get = |list: &str| lists.get(list).and_then(|list| list.get(name)).copied();
        for (less, more, field, less_words, more_words) in ORDER {
            let (Some((small, low)), Some((large, high))) = (get(less), get(more)) else {
                continue;
            };
            if low > high {
                let value = get(field).map_or("", |(text, _)| text);
                let text = format!("{less_words} {small} is greater than {more_words} {large}");
                let at = format!("{place}.{field}[{name}]");
                causes.push(Cause::invalid(at, &value.into(), &text));
            }
        }
        if let Some((text, ratio)) = get("maxLimitRequestRatio")
            && Milli::whole(1).is_some_and(|one| ratio < one)
        {
            let at = format!("{place}.maxLimitRequestRatio[{name}]");
            causes.push(Cause::invalid(
                at,
                &text.into(),
                &format!("ratio {text} is less than 1"),
            ));
        }
    }
}
