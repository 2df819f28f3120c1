//! `as=Table`: rows of cells, computed by the server, for `kubectl get`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::call::List;
use crate::jsonpath::Path;
use crate::object::Form;
use crate::registry::{Column, Descriptor, Source};
use crate::render;
use crate::special::{csr, rbac};

/// How much of each object goes with its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its PartialObjectMetadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// From the query parameter `includeObject`, which `Params` has checked.
    #[must_use]
    pub fn of(parameter: &str) -> Self {
        match parameter {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// A list as a Table.
#[must_use]
pub fn list(resource: &Descriptor, list: &List, include: Include, now: Timestamp) -> Value {
    let rows = list.items.iter().map(|item| {
        let object = Form::Stored(item.clone()).to_value();
        row(resource, object, include, now)
    });
    let rows: Vec<Value> = rows.collect();
    table(&render::list_metadata(list), Some(resource), &rows)
}

/// One object as a Table of one row. A watch leaves the columns out after its first event.
#[must_use]
pub fn single(
    resource: &Descriptor,
    object: Value,
    include: Include,
    with_columns: bool,
    now: Timestamp,
) -> Value {
    let mut metadata = Map::new();
    if let Some(version) = object.pointer("/metadata/resourceVersion") {
        metadata.insert("resourceVersion".into(), version.clone());
    }
    let rows = [row(resource, object, include, now)];
    table(&metadata, with_columns.then_some(resource), &rows)
}

fn table(metadata: &Map<String, Value>, columns: Option<&Descriptor>, rows: &[Value]) -> Value {
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns.map(definitions).unwrap_or_default(), "rows": rows,
    })
}

fn definitions(resource: &Descriptor) -> Vec<Value> {
    let name = json!({
        "name": "Name", "type": "string", "format": "name", "priority": 0,
        "description": "Name must be unique within a namespace.",
    });
    let others = resource.columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.type_, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    });
    std::iter::once(name).chain(others).collect()
}

fn row(resource: &Descriptor, object: Value, include: Include, now: Timestamp) -> Value {
    let name = object
        .pointer("/metadata/name")
        .cloned()
        .unwrap_or_default();
    let others = resource
        .columns
        .iter()
        .map(|column| cell(column, &object, now));
    let cells: Vec<Value> = std::iter::once(name).chain(others).collect();
    let shown = match include {
        Include::None => return json!({ "cells": cells }),
        Include::Metadata => render::partial_value(&object),
        Include::Object => {
            let mut object = object;
            resource.to_shown(&mut object);
            object
        }
    };
    json!({"cells": cells, "object": shown})
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    match &column.source {
        Source::First(paths) => {
            let mut found = paths.iter().filter_map(|path| path.first(object));
            found
                .find(|value| !value.is_null())
                .map_or(Value::Null, |value| typed(column, value, now))
        }
        Source::Count(path) => count(path, object).into(),
        Source::Reference(path) => path.first(object).map(reference).into(),
        Source::Span(path) => span(path, object).into(),
        Source::Signing => csr::shown(object).into(),
        Source::Role => rbac::shown_role(object).into(),
        Source::Subjects(kind) => rbac::shown_subjects(object, kind).into(),
        Source::Usage { limits } => usage(object, *limits).into(),
    }
}

fn count(path: &Path, object: &Value) -> usize {
    match path.first(object) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => 0,
    }
}

fn span(path: &Path, object: &Value) -> String {
    let seconds = path.first(object).and_then(Value::as_i64);
    seconds.map_or_else(|| "<none>".to_owned(), human)
}

/// `cpus: 1/4, count/tasks.stoa.dev: 2/10`.
fn usage(quota: &Value, limits: bool) -> String {
    let hard = quota.pointer("/status/hard").and_then(Value::as_object);
    let entries = hard.into_iter().flatten();
    let chosen = entries.filter(|(name, _)| name.starts_with("limits.") == limits);
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let lines = chosen.map(|(name, hard)| {
        let used = quota
            .pointer("/status/used")
            .and_then(|used| used.get(name));
        let used = used.map_or_else(|| "0".to_owned(), text);
        format!("{name}: {used}/{}", text(hard))
    });
    lines.collect::<Vec<_>>().join(", ")
}

fn reference(reference: &Value) -> String {
    let word = |key: &str| {
        reference
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!("{}/{}", word("kind").to_lowercase(), word("name"))
}

/// The value as the column's type wants it; a value of another type is shown as nothing, as
/// Kubernetes does, save that strings take anything.
fn typed(column: &Column, value: &Value, now: Timestamp) -> Value {
    match column.type_.as_str() {
        "date" => value.as_str().map(|text| age(text, now)).into(),
        "integer" => value
            .as_i64()
            .or_else(|| value.as_f64().map(|f| f as i64))
            .into(),
        "number" => {
            if value.is_number() {
                value.clone()
            } else {
                Value::Null
            }
        }
        "boolean" => value.as_bool().into(),
        _ if value.is_string() => value.clone(),
        _ => value.to_string().into(),
    }
}

/// How long ago, as people say it: `5s`, `3m12s`, `7h`, `2d`.
#[must_use]
pub fn age(stamp: &str, now: Timestamp) -> String {
    match stamp.parse::<Timestamp>() {
        Ok(then) => human(now.as_second() - then.as_second()),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// `duration.HumanDuration` of k8s.io/apimachinery.
#[must_use]
pub fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: &str, small: i64, part: &str| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{part}")
        }
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1..=0 => "0s".to_owned(),
        1..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(days, "d", hours % 24, "h"),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (8 * 3600, "8h"),
            (47 * 3600, "47h"),
            (49 * 3600, "2d1h"),
            (9 * 86_400, "9d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn rows() {
        let path = |text: &str| Source::First(vec![Path::parse(text).unwrap()]);
        let column = |name: &str, type_: &str, source| Column {
            name: name.into(),
            type_: type_.into(),
            source,
            ..Column::default()
        };
        let resource = Descriptor {
            columns: vec![
                column("State", "string", path(".status.state")),
                column("Exit", "integer", path(".status.exitCode")),
                column("Age", "date", path(".metadata.creationTimestamp")),
                column(
                    "Data",
                    "integer",
                    Source::Count(Path::parse(".data").unwrap()),
                ),
            ],
            ..Descriptor::default()
        };
        let object = json!({
            "metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "7"},
            "data": {"a": 1, "b": 2},
        });
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let table = single(&resource, object, Include::Metadata, true, now);
        assert_eq!(table["rows"][0]["cells"], json!(["x", null, null, "5m", 2]));
        assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), 5);
        assert_eq!(table["metadata"]["resourceVersion"], "7");
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    }
}
