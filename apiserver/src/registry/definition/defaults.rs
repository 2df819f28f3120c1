//! Defaults in a definition's schema: nothing that would be pruned, and nothing that would be
//! refused (`schema/defaulting/validation.go`).

use manifests::schema;
use serde_json::Value;

use crate::cel::Rules;
use crate::status::Cause;

/// Checks the defaults of a node and those below. Maps have none: see upstream.
pub(super) fn check(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        one(schema, default, &format!("{field}.default"), causes);
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        check(items, &format!("{field}.items"), causes);
    }
    let fields = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in fields.into_iter().flatten() {
        check(inner, &format!("{field}.properties[{name}]"), causes);
    }
}

fn one(schema: &Value, default: &Value, field: &str, causes: &mut Vec<Cause>) {
    if !unknown(schema, default).is_empty() {
        causes.push(Cause::invalid(
            field,
            default,
            "must not have unknown fields",
        ));
    }
    let before = causes.len();
    for error in schema::validate_at(schema, default, field) {
        causes.push(Cause {
            reason: error.reason.as_str(),
            message: error.message,
            field: error.path,
        });
    }
    if causes.len() == before
        && let Ok(Some(rules)) = Rules::compile(schema, field)
    {
        causes.extend(rules.check_at(default, field));
    }
}

/// Fields of a default that its schema does not know; it is no object with type and metadata.
fn unknown(schema: &Value, default: &Value) -> Vec<String> {
    let wrapped = serde_json::json!({"properties": {"d": schema}});
    schema::unknown_fields(&wrapped, &serde_json::json!({"d": default}))
}
