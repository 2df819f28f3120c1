//! Event: whom it is about, and, for events.k8s.io/v1, what makes an event of the newer kind
//! (kubernetes/kubernetes `pkg/apis/core/validation/events.go`). Objects are checked as they are
//! stored, so fields bear core/v1's names here, as they do in upstream's texts.

use serde_json::Value;

use super::time;
use crate::metadata;
use crate::names;
use crate::registry::Descriptor;
use crate::status::{Cause, Failure};

/// Characters of action, reason and reporting instance.
const WORD_MAX: usize = 128;

/// Characters of the message.
const MESSAGE_MAX: usize = 1024;

/// Writes its times as Kubernetes does.
///
/// # Errors
/// 400 for a text that is no time.
pub fn complete(object: &mut Value) -> Result<(), Failure> {
    time::micro(object, &["/eventTime", "/series/lastObservedTime"])
}

/// Judges an event.
#[must_use]
pub fn check(resource: &Descriptor, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let newer = resource.view.is_some();
    let mut causes = everywhere(object, newer);
    match old {
        _ if !newer => {}
        None => causes.extend(created(object)),
        Some(old) => causes.extend(updated(object, old)),
    }
    causes
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What both versions demand. An event without eventTime is one of the older kind.
fn everywhere(object: &Value, newer: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let own = metadata::text(object, "namespace");
    let involved = text(object, "/involvedObject/namespace");
    let modern = !text(object, "/eventTime").is_empty();
    let of_cluster = own == "default" || modern && own == "kube-system";
    let agrees = if involved.is_empty() {
        of_cluster
    } else {
        modern || own == involved
    };
    if !agrees {
        const TEXT: &str = "does not match event.namespace";
        causes.push(Cause::invalid(
            "involvedObject.namespace",
            &involved.into(),
            TEXT,
        ));
    }
    if modern {
        causes.extend(words(object, newer));
    }
    causes
}

fn words(object: &Value, newer: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let controller = if newer {
        "reportingController"
    } else {
        "reportingComponent"
    };
    let reporter = text(object, "/reportingComponent");
    if reporter.is_empty() {
        causes.push(Cause::required(controller, ""));
    } else if let Some(problem) = names::label_key(reporter) {
        causes.push(Cause::invalid(controller, &reporter.into(), &problem));
    }
    for (field, required, most) in [
        ("reportingInstance", true, WORD_MAX),
        ("action", true, WORD_MAX),
        ("reason", true, WORD_MAX),
        ("message", false, MESSAGE_MAX),
    ] {
        let word = object[field].as_str().unwrap_or_default();
        if required && word.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if word.len() > most {
            let text = format!("can have at most {most} characters");
            causes.push(Cause::invalid(field, &"".into(), &text));
        }
    }
    causes
}

/// What a new event of events.k8s.io/v1 must have, and must not.
fn created(object: &Value) -> Vec<Cause> {
    let mut causes = series(object);
    if text(object, "/eventTime").is_empty() {
        causes.push(Cause::required("eventTime", ""));
    }
    let type_ = text(object, "/type");
    if !matches!(type_, "Normal" | "Warning") {
        let text = format!("has invalid value: {type_}");
        causes.push(Cause::invalid("type", &"".into(), &text));
    }
    let source = ["/source/component", "/source/host"];
    for (field, is_set) in [
        (
            "firstTimestamp",
            !text(object, "/firstTimestamp").is_empty(),
        ),
        ("lastTimestamp", !text(object, "/lastTimestamp").is_empty()),
        ("count", object["count"].as_i64().unwrap_or(0) != 0),
        (
            "source",
            source.iter().any(|path| !text(object, path).is_empty()),
        ),
    ] {
        if is_set {
            causes.push(Cause::invalid(field, &"".into(), "needs to be unset"));
        }
    }
    causes
}

fn series(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(series) = object.get("series").filter(|series| series.is_object()) else {
        return causes;
    };
    if series["count"].as_i64().unwrap_or(0) < 2 {
        const TEXT: &str = "should be at least 2";
        causes.push(Cause::invalid("series.count", &"".into(), TEXT));
    }
    if text(series, "/lastObservedTime").is_empty() {
        causes.push(Cause::required("series.lastObservedTime", ""));
    }
    causes
}

/// Only the series of such an event changes.
fn updated(object: &Value, old: &Value) -> Vec<Cause> {
    const FIXED: [&str; 13] = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "action",
        "related",
        "reportingComponent",
        "reportingInstance",
    ];
    let mut causes = Vec::new();
    if object.get("series") != old.get("series") {
        causes.extend(series(object));
    }
    let changed = FIXED
        .iter()
        .filter(|field| !same(object.get(**field), old.get(**field)));
    causes
        .extend(changed.map(|field| Cause::invalid(*field, &object[*field], "field is immutable")));
    causes
}

/// Absent, null and empty are the same to Go.
fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    let said = |value: Option<&Value>| {
        value
            .filter(|value| !value.is_null() && value.as_str() != Some(""))
            .filter(|value| !value.as_object().is_some_and(serde_json::Map::is_empty))
            .cloned()
    };
    said(one) == said(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::builtin;
    use serde_json::json;

    fn fields(group: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
        let resource = builtin::descriptors()
            .iter()
            .find(|d| d.group == group && d.kind == "Event");
        let found = check(resource.unwrap(), object, old);
        found.into_iter().map(|cause| cause.field).collect()
    }

    fn modern() -> Value {
        json!({
            "metadata": {"namespace": "a", "name": "x"}, "eventTime": "2026-01-01T00:00:00.000000Z",
            "involvedObject": {"namespace": "a"}, "type": "Normal", "reason": "R", "action": "A",
            "reportingComponent": "x.dev/c", "reportingInstance": "i",
        })
    }

    fn with(mut object: Value, field: &str, value: Value) -> Value {
        object[field] = value;
        object
    }

    #[test]
    fn rules_of_either_version() {
        let old = json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"}});
        for (group, object, expected) in [
            ("", old.clone(), vec![]),
            (
                "",
                with(old.clone(), "involvedObject", json!({})),
                vec!["involvedObject.namespace"],
            ),
            ("", json!({"metadata": {"namespace": "default"}}), vec![]),
            ("events.k8s.io", old, vec!["eventTime", "type"]),
            ("events.k8s.io", modern(), vec![]),
            (
                "events.k8s.io",
                with(modern(), "count", 1.into()),
                vec!["count"],
            ),
            (
                "events.k8s.io",
                with(modern(), "action", "".into()),
                vec!["action"],
            ),
            (
                "events.k8s.io",
                with(modern(), "series", json!({"count": 1})),
                vec!["series.count", "series.lastObservedTime"],
            ),
            (
                "",
                with(modern(), "reportingComponent", "".into()),
                vec!["reportingComponent"],
            ),
            (
                "",
                with(modern(), "reason", "r".repeat(129).into()),
                vec!["reason"],
            ),
        ] {
            assert_eq!(fields(group, &object, None), expected, "{group} {object}");
        }
        let again = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"});
        let seen = with(modern(), "series", again);
        assert!(fields("events.k8s.io", &seen, Some(&modern())).is_empty());
        let changed = with(modern(), "reason", "S".into());
        assert_eq!(
            fields("events.k8s.io", &changed, Some(&modern())),
            ["reason"]
        );
        assert!(fields("", &changed, Some(&modern())).is_empty());
    }
}
