//! Structural schemas: what a definition's schema must be for pruning and defaulting to make sense
//! (`apiextensions-apiserver/pkg/apiserver/schema/validation.go`).

use serde_json::Value;

use crate::status::Cause;

/// Deepest schema, as the CEL library bounds it.
const DEPTH_MAX: usize = 64;

/// Words that may not stand inside `allOf`, `anyOf`, `oneOf` and `not`.
const OUTSIDE_LOGIC: [&str; 6] = [
    "type",
    "description",
    "default",
    "additionalProperties",
    "nullable",
    "title",
];

/// Adds everything that keeps the schema from being structural.
pub fn check(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    if schema.get("type") != Some(&Value::from("object")) {
        causes.push(Cause::of(
            format!("{field}.type"),
            "Invalid value: must be object at the root",
        ));
    }
    node(schema, field, 0, causes);
}

fn node(schema: &Value, field: &str, depth: usize, causes: &mut Vec<Cause>) {
    if depth > DEPTH_MAX {
        causes.push(Cause::of(
            field,
            format!("Invalid value: deeper than {DEPTH_MAX} levels"),
        ));
        return;
    }
    if !schema.is_object() {
        causes.push(Cause::of(field, "Invalid value: must be an object"));
        return;
    }
    let flag = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    let typed = schema.get("type").is_some_and(Value::is_string)
        || flag("x-kubernetes-int-or-string")
        || flag("x-kubernetes-preserve-unknown-fields");
    if !typed {
        causes.push(Cause::required(
            format!("{field}.type"),
            "must not be empty for specified object fields",
        ));
    }
    if schema.get("$ref").is_some() {
        causes.push(Cause::forbidden(
            format!("{field}.$ref"),
            "$ref is not supported",
        ));
    }
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_some() {
        const TEXT: &str = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(
            format!("{field}.additionalProperties"),
            TEXT,
        ));
    }
    logic(schema, field, causes);
    children(schema, field, depth, causes);
}

fn children(schema: &Value, field: &str, depth: usize, causes: &mut Vec<Cause>) {
    for (name, child) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        node(
            child,
            &format!("{field}.properties[{name}]"),
            depth + 1,
            causes,
        );
    }
    match schema.get("items") {
        Some(Value::Array(_)) => {
            const TEXT: &str = "items must be a schema object and not an array";
            causes.push(Cause::forbidden(format!("{field}.items"), TEXT));
        }
        Some(child) => node(child, &format!("{field}.items"), depth + 1, causes),
        None if schema.get("type") == Some(&Value::from("array")) => {
            causes.push(Cause::required(
                format!("{field}.items"),
                "must be specified",
            ));
        }
        None => {}
    }
    if let Some(child) = schema
        .get("additionalProperties")
        .filter(|child| child.is_object())
    {
        node(
            child,
            &format!("{field}.additionalProperties"),
            depth + 1,
            causes,
        );
    }
}

fn logic(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    // `int-or-string` brings its own anyOf of two types.
    let int_or_string = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    for word in ["allOf", "anyOf", "oneOf"] {
        for (n, branch) in schema
            .get(word)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            if !int_or_string {
                branch_words(branch, &format!("{field}.{word}[{n}]"), causes);
            }
        }
    }
    if let Some(branch) = schema.get("not") {
        branch_words(branch, &format!("{field}.not"), causes);
    }
}

fn branch_words(branch: &Value, field: &str, causes: &mut Vec<Cause>) {
    for word in OUTSIDE_LOGIC {
        if branch.get(word).is_some() {
            causes.push(Cause::forbidden(
                format!("{field}.{word}"),
                "must be empty to be structural",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules() {
        for (schema, fields) in [
            (json!({"type": "object"}), vec![]),
            (json!({"type": "string"}), vec!["s.type"]),
            (
                json!({"type": "object", "properties": {"a": {}}}),
                vec!["s.properties[a].type"],
            ),
            (
                json!({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": true,
                       "anyOf": [{"type": "integer"}, {"type": "string"}]}}}),
                vec![],
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "array"}}}),
                vec!["s.properties[a].items"],
            ),
            (
                json!({"type": "object", "anyOf": [{"type": "object"}]}),
                vec!["s.anyOf[0].type"],
            ),
            (json!({"type": "object", "$ref": "#/x"}), vec!["s.$ref"]),
        ] {
            let mut causes = Vec::new();
            check(&schema, "s", &mut causes);
            let found: Vec<_> = causes.iter().map(|c| c.field.as_str()).collect();
            assert_eq!(found, fields, "{schema}");
        }
    }
}
