//! Structural schemas: what a definition's schema must be for pruning and defaulting to make sense
//! (`apiextensions-apiserver/pkg/apiserver/schema/validation.go`).

mod logic;

use serde_json::Value;

use crate::cel::flag;
use crate::status::Cause;

/// Deepest schema.
const DEPTH_MAX: usize = 64;

/// Where in a schema a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Adds everything that keeps the schema from being structural, ordered by its text.
pub fn check(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    let mut found = Vec::new();
    node(schema, field, Level::Root, 0, &mut found);
    if found.is_empty() {
        logic::complete(schema, schema, field, field, &mut found);
    }
    found.sort_by(|a, b| (&a.field, &a.message).cmp(&(&b.field, &b.message)));
    causes.extend(found);
}

fn word<'s>(schema: &'s Value, name: &str) -> &'s str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn node(schema: &Value, field: &str, level: Level, depth: usize, causes: &mut Vec<Cause>) {
    if depth > DEPTH_MAX {
        let text = format!("Invalid value: deeper than {DEPTH_MAX} levels");
        causes.push(Cause::of(field, text));
        return;
    }
    if !schema.is_object() {
        causes.push(Cause::of(field, "Invalid value: must be an object"));
        return;
    }
    if word(schema, "type") == "array" && schema.get("items").is_none() {
        causes.push(Cause::required(
            format!("{field}.items"),
            "must be specified",
        ));
    }
    children(schema, field, level, depth, causes);
    extensions(schema, field, causes);
    logic::check(schema, field, causes);
    typed(schema, field, level, causes);
    metadata(schema, field, level, causes);
}

fn children(schema: &Value, field: &str, level: Level, depth: usize, causes: &mut Vec<Cause>) {
    if let Some(child) = schema.get("items").filter(|child| !child.is_array()) {
        node(
            child,
            &format!("{field}.items"),
            Level::Item,
            depth + 1,
            causes,
        );
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, child) in properties.into_iter().flatten() {
        let place = format!("{field}.properties[{name}]");
        node(child, &place, Level::Field, depth + 1, causes);
    }
    let Some(rest) = schema
        .get("additionalProperties")
        .filter(|rest| !rest.is_null())
    else {
        return;
    };
    let place = format!("{field}.additionalProperties");
    if level == Level::Root {
        causes.push(Cause::forbidden(&place, "must not be used at the root"));
    }
    if rest.is_object() {
        node(rest, &place, Level::Field, depth + 1, causes);
    }
}

fn extensions(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    if !flag(schema, "x-kubernetes-int-or-string") {
        return;
    }
    for word in [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        if flag(schema, word) {
            const TEXT: &str = "must be false if x-kubernetes-int-or-string is true";
            causes.push(Cause::invalid(
                format!("{field}.{word}"),
                &true.into(),
                TEXT,
            ));
        }
    }
}

fn typed(schema: &Value, field: &str, level: Level, causes: &mut Vec<Cause>) {
    let kind = word(schema, "type");
    let place = format!("{field}.type");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    let open = flag(schema, "x-kubernetes-int-or-string")
        || flag(schema, "x-kubernetes-preserve-unknown-fields");
    if embedded && kind != "object" {
        const TEXT: &str = "must be object if x-kubernetes-embedded-resource is true";
        causes.push(match kind {
            "" => Cause::required(&place, TEXT),
            other => Cause::invalid(&place, &other.into(), TEXT),
        });
    } else if kind.is_empty() && !open {
        let text = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.push(Cause::required(&place, text));
    }
    if embedded && schema.get("additionalProperties").is_some() {
        let place = format!("{field}.additionalProperties");
        let text = "must not be used if x-kubernetes-embedded-resource is set";
        causes.push(Cause::forbidden(place, text));
    }
    if level == Level::Root && !matches!(kind, "" | "object") {
        causes.push(Cause::invalid(
            &place,
            &kind.into(),
            "must be object at the root",
        ));
    }
    let bare = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_none_or(|all| all.is_empty());
    if embedded && bare && !flag(schema, "x-kubernetes-preserve-unknown-fields") {
        const TEXT: &str = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        causes.push(Cause::required(format!("{field}.properties"), TEXT));
    }
}

/// Type and metadata are what they are everywhere; a schema may only narrow the names.
fn metadata(schema: &Value, field: &str, level: Level, causes: &mut Vec<Cause>) {
    let checked = level == Level::Root || flag(schema, "x-kubernetes-embedded-resource");
    let property = |name: &str| schema.get("properties").and_then(|all| all.get(name));
    for name in ["kind", "apiVersion"].into_iter().filter(|_| checked) {
        if let Some(kind) = property(name)
            .map(|own| word(own, "type"))
            .filter(|kind| *kind != "string")
        {
            let place = format!("{field}.properties[{name}].type");
            causes.push(Cause::invalid(place, &kind.into(), "must be string"));
        }
    }
    let Some(own) = property("metadata").filter(|_| checked) else {
        return;
    };
    let place = format!("{field}.properties[metadata]");
    if word(own, "type") != "object" {
        let kind = word(own, "type").into();
        causes.push(Cause::invalid(
            format!("{place}.type"),
            &kind,
            "must be object",
        ));
    }
    if level == Level::Root && !only_names(own) {
        const TEXT: &str = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.push(Cause::forbidden(place, TEXT));
    }
}

fn only_names(metadata: &Value) -> bool {
    let words = metadata.as_object().into_iter().flatten();
    let mut other =
        words.filter(|(word, _)| !matches!(word.as_str(), "type" | "default" | "properties"));
    let names = metadata
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let mut names = names.map(|(name, _)| name.as_str());
    other.next().is_none() && names.all(|name| matches!(name, "name" | "generateName"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules() {
        for (schema, text) in [
            (json!({"type": "object"}), ""),
            (
                json!({"type": "string"}),
                "s.type: Invalid value: \"string\": must be object at the root",
            ),
            (
                json!({}),
                "s.type: Required value: must not be empty at the root",
            ),
            (
                json!({"type": "object", "properties": {"a": {}}}),
                "s.properties[a].type: Required value: must not be empty for specified object fields",
            ),
            (
                json!({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": true,
                       "anyOf": [{"type": "integer"}, {"type": "string"}]}}}),
                "",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "array"}}}),
                "s.properties[a].items: Required value: must be specified",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}}}),
                "s.properties[a].items.type: Required value: must not be empty for specified array items",
            ),
            (
                json!({"type": "object", "anyOf": [{"type": "object"}]}),
                "s.anyOf[0].type: Forbidden: must be empty to be structural",
            ),
            (
                json!({"type": "object", "not": {"default": 1}}),
                "s.not.default: Forbidden: must be undefined to be structural",
            ),
            (
                json!({"type": "object", "oneOf": [{"required": ["a"], "properties": {"a": {"minimum": 1}}}]}),
                "s.properties[a]: Required value: because it is defined in s.oneOf[0].properties[a]",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                "s.additionalProperties: Forbidden: must not be used at the root",
            ),
            (
                json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified",
            ),
            (
                json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}}}}}),
                "",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
                "s.properties[a].pattern: Invalid value: \"(\": must be a valid regular expression, but isn't:",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "object", "x-kubernetes-embedded-resource": true}}}),
                "s.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            ),
        ] {
            let mut causes = Vec::new();
            check(&schema, "s", &mut causes);
            let found: Vec<_> = causes.iter().map(Cause::line).collect();
            let found = found.join("\n");
            assert!(
                found.starts_with(text) && found.is_empty() == text.is_empty(),
                "{schema}\n{found}"
            );
        }
    }
}
