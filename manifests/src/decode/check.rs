//! Judging a document of ours before any server sees it: schema, unknown fields, meaning.

use std::sync::LazyLock;

use serde_json::Value;

use super::{Document, Problem};
use crate::kinds::{API_VERSION, GROUP, VERSION, definitions};
use crate::{schema, validate};

/// Kind and schema of each of our kinds.
static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let pair = |definition| {
        let schema = schema::structural(&definition, VERSION)?;
        Some((definition.spec.names.kind, schema))
    };
    definitions().into_iter().filter_map(pair).collect()
});

/// Everything wrong with a document of ours. Other groups' kinds are for the server to judge.
#[must_use]
pub fn check(document: &Document) -> Vec<Problem> {
    let version = document.text(&["apiVersion"]);
    let kind = document.text(&["kind"]);
    if version.split('/').next() != Some(GROUP) {
        return Vec::new();
    }
    if version != API_VERSION {
        let message = format!("Unsupported value: {version:?}: supported values: {API_VERSION:?}");
        return vec![document.problem("apiVersion", message)];
    }
    let Some((_, schema)) = SCHEMAS.iter().find(|(name, _)| name == kind) else {
        let kinds: Vec<_> = SCHEMAS.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "unknown kind {kind:?}; the kinds of {API_VERSION} are {}",
            kinds.join(", ")
        );
        return vec![document.problem("kind", message)];
    };
    let mut problems: Vec<Problem> = schema::unknown_fields(schema, &document.object)
        .iter()
        .map(|path| document.problem(path, unknown(schema, path)))
        .collect();
    let mut object = document.object.clone();
    schema::apply_defaults(schema, &mut object);
    let errors = validate::complete(schema, kind, &object);
    problems.extend(
        errors
            .into_iter()
            .map(|error| document.problem(&error.path, error.message)),
    );
    problems.sort();
    problems
}

/// `unknown field "spec.comand"`, and the field that was probably meant.
fn unknown(schema: &Value, path: &str) -> String {
    let message = format!("unknown field {path:?}");
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut steps = parent.split(['.', '[']).filter(|step| !step.is_empty());
    let parent = steps.try_fold(schema, |schema, step| {
        if step.ends_with(']') {
            schema.get("items")
        } else {
            schema.get("properties")?.get(step)
        }
    });
    let fields = parent
        .and_then(|schema| schema.get("properties"))
        .and_then(Value::as_object);
    let nearest = fields
        .into_iter()
        .flatten()
        .map(|(field, _)| (distance(field, name), field))
        .min();
    match nearest {
        Some((distance, field)) if distance <= 2 => format!("{message}; did you mean {field:?}?"),
        Some(_) | None => message,
    }
}

/// Levenshtein's: letters to insert, delete or replace; letter case costs nothing.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
