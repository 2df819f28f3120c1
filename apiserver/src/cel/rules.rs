//! Judging an object by the rules of its schema (`apiextensions-apiserver`,
//! `schema/cel/validation.go`): transition rules where old and new belong together, and what was
//! wrong before and has not changed is let be.

use serde_json::Value as Json;

use super::compile::{Node, Rule};
use super::eval::Names;
use super::program::{Budget, EvaluationError, Program};
use super::shape::{Shape, entries, flag};
use super::value::Value;
use crate::status::Cause;

/// Longest message an expression may make, in bytes.
const MESSAGE_BYTES_MAX: usize = 5 << 10;

/// What is judged, and what it was.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) schema: &'a Json,
    pub(super) root: bool,
    pub(super) value: &'a Json,
    /// What was there, if old and new can be told to belong together.
    pub(super) old: Option<&'a Json>,
    /// The nearest new and old value that belong together.
    pub(super) near: Option<(&'a Json, &'a Json)>,
}

/// Judges a place and all below it. Answers false once the budget is spent.
pub(super) fn judge(
    node: &Node,
    place: Place<'_>,
    path: &str,
    budget: &mut Budget,
    causes: &mut Vec<Cause>,
) -> bool {
    if place.value.is_null() {
        return true;
    }
    for rule in &node.rules {
        if !apply(rule, place, path, budget, causes) {
            return false;
        }
    }
    match place.value {
        Json::Array(items) => node.items.as_ref().is_none_or(|node| {
            let mut items = items.iter().enumerate();
            items.all(|(n, item)| {
                let below = item_of(place, item);
                judge(node, below, &format!("{path}[{n}]"), budget, causes)
            })
        }),
        Json::Object(fields) => fields.iter().all(|(name, value)| {
            let below = field_of(place, name, value);
            match (node.properties.get(name), &node.rest, below) {
                (Some(node), _, Some(below)) => {
                    judge(node, below, &child(path, name), budget, causes)
                }
                (None, Some(node), Some(below)) => {
                    judge(node, below, &format!("{path}[{name}]"), budget, causes)
                }
                _ => true,
            }
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn below<'a>(
    place: Place<'a>,
    schema: &'a Json,
    value: &'a Json,
    old: Option<&'a Json>,
) -> Place<'a> {
    Place {
        schema,
        root: flag(schema, "x-kubernetes-embedded-resource"),
        value,
        old,
        near: old.map(|old| (value, old)).or(place.near),
    }
}

fn field_of<'a>(place: Place<'a>, name: &str, value: &'a Json) -> Option<Place<'a>> {
    let declared = place.schema.get("properties").and_then(|all| all.get(name));
    let schema = declared.or_else(|| entries(place.schema))?;
    let old = place.old.and_then(|old| old.get(name));
    Some(below(place, schema, value, old))
}

/// Items belong together by their keys, if they have any.
fn item_of<'a>(place: Place<'a>, item: &'a Json) -> Place<'a> {
    let shape = Shape::of(place.schema);
    let keys: Vec<&str> = shape.map_keys().collect();
    let same = |old: &&Json| keys.iter().all(|key| old.get(key) == item.get(key));
    let old = place
        .old
        .and_then(Json::as_array)
        .filter(|_| shape.list_type() == "map");
    let old = old.and_then(|old| old.iter().find(same));
    let schema = place.schema.get("items").unwrap_or(place.schema);
    below(place, schema, item, old)
}

fn apply(
    rule: &Rule,
    place: Place<'_>,
    path: &str,
    budget: &mut Budget,
    causes: &mut Vec<Cause>,
) -> bool {
    let old = place.old.filter(|old| !old.is_null());
    if rule.reads_old && old.is_none() && !rule.optional_old {
        return true;
    }
    let variables = variables(rule, place, old);
    let verdict = budget.run(|meter| rule.program.run(&variables, meter));
    match verdict {
        Ok(Value::Bool(true)) => true,
        Ok(_) => {
            if !rule.reads_old && place.near.is_some_and(|(new, old)| new == old) {
                return true;
            }
            let (message, goes_on) = message(rule, &variables, budget);
            causes.push(refusal(rule, place.value, path, &message));
            goes_on
        }
        Err(error) => {
            let (text, goes_on) = failure(rule, &error);
            causes.push(Cause::of(
                shown(path),
                format!("Invalid value: {}: {text}", kind_of(place.schema)),
            ));
            goes_on
        }
    }
}

fn variables<'a>(
    rule: &Rule,
    place: Place<'a>,
    old: Option<&'a Json>,
) -> Vec<(&'static str, Value<'a>)> {
    let shape = Shape::Schema(place.schema, place.root);
    let mut variables = vec![("self", shape.read(place.value))];
    let old = old.map(|old| shape.read(old));
    if rule.optional_old {
        variables.push(("oldSelf", Value::Optional(old.map(std::sync::Arc::new))));
    } else if let Some(old) = old {
        variables.push(("oldSelf", old));
    }
    variables
}

fn kind_of(schema: &Json) -> String {
    let kind = schema.get("type").and_then(Json::as_str);
    format!("{:?}", kind.unwrap_or_default())
}

/// The root has no path; Go says so.
fn shown(path: &str) -> String {
    let path = if path.is_empty() { "<nil>" } else { path };
    path.to_owned()
}

/// What is said of a rule that could not be evaluated, and whether others still are.
fn failure(rule: &Rule, error: &EvaluationError) -> (String, bool) {
    let said = if rule.message.is_empty() {
        rule.rule.trim()
    } else {
        &rule.message
    };
    match error {
        EvaluationError::BudgetSpent => (error.to_string(), false),
        EvaluationError::CallTooCostly(text) => {
            let text = format!(
                "'{text}': no further validation rules will be run due to call cost exceeds limit for rule: {said}"
            );
            (text, false)
        }
        EvaluationError::NoSuchOverload => {
            let text = format!(
                "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {said}"
            );
            (text, true)
        }
        EvaluationError::Failed(text) => (format!("{text} evaluating rule: {said}"), true),
    }
}

fn message(rule: &Rule, variables: &dyn Names<'_>, budget: &mut Budget) -> (String, bool) {
    let plain = if rule.message.is_empty() {
        format!("failed rule: {}", rule.rule.trim())
    } else {
        rule.message.clone()
    };
    let Some((program, source)) = &rule.message_expression else {
        return (plain, true);
    };
    match made(program, variables, budget) {
        Ok(text) => (text.unwrap_or(plain), true),
        Err(EvaluationError::BudgetSpent) => {
            const TEXT: &str = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
            (TEXT.to_owned(), false)
        }
        Err(EvaluationError::CallTooCostly(_)) => {
            let text = format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {source:?}"
            );
            (text, false)
        }
        Err(EvaluationError::NoSuchOverload | EvaluationError::Failed(_)) => (plain, true),
    }
}

/// The message an expression makes, if it is one that can be shown.
fn made(
    program: &Program,
    variables: &dyn Names<'_>,
    budget: &mut Budget,
) -> Result<Option<String>, EvaluationError> {
    let value = budget.run(|meter| program.run(variables, meter))?;
    let Value::String(text) = value else {
        return Ok(None);
    };
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
    Ok(fits.then(|| text.to_owned()))
}

fn refusal(rule: &Rule, value: &Json, path: &str, message: &str) -> Cause {
    let field = match rule.field_path.as_str() {
        "" => shown(path),
        below => child(path, below),
    };
    // Objects and lists are not shown.
    let value = match value {
        Json::Object(_) | Json::Array(_) => String::new(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => format!(": {value}"),
    };
    let (reason, message) = match rule.reason.as_str() {
        "FieldValueForbidden" => ("FieldValueForbidden", format!("Forbidden: {message}")),
        "FieldValueRequired" => ("FieldValueRequired", format!("Required value: {message}")),
        "FieldValueDuplicate" => ("FieldValueDuplicate", format!("Duplicate value{value}")),
        _ => (
            "FieldValueInvalid",
            format!("Invalid value{value}: {message}"),
        ),
    };
    Cause {
        reason,
        message,
        field,
    }
}
