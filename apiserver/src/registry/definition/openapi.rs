//! What a definition's schema may say, beside being structural
//! (`apiextensions/validation/validation.go`, `ValidateCustomResourceDefinitionOpenAPISchema`).

use serde_json::Value;

use crate::cel::flag;
use crate::status::Cause;

/// Words that OpenAPI or JSON Schema has, and definitions have not.
const UNSUPPORTED: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What a place in the schema is told by those above it.
#[derive(Clone, Copy, Default)]
pub(super) struct Above {
    /// Why defaults are forbidden here, if they are.
    no_defaults: Option<&'static str>,
    /// Within type and metadata of an object.
    metadata: bool,
}

/// Checks a node and all below it. Answers nothing for what is no object: see `structural`.
pub(super) fn check(
    schema: &Value,
    field: &str,
    root: bool,
    above: Above,
    causes: &mut Vec<Cause>,
) {
    standard(schema, field, above, causes);
    if flag(schema, "uniqueItems") {
        const TEXT: &str =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{field}.uniqueItems"), TEXT));
    }
    map_of(schema, field, above, causes);
    properties(schema, field, root, above, causes);
    for word in ["allOf", "oneOf", "anyOf"] {
        let list = schema
            .get(word)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (n, branch) in list.enumerate() {
            check(
                branch,
                &format!("{field}.{word}[{n}]"),
                false,
                above,
                causes,
            );
        }
    }
    for word in ["not", "items"] {
        if let Some(inner) = schema.get(word).filter(|inner| inner.is_object()) {
            check(inner, &format!("{field}.{word}"), false, above, causes);
        }
    }
    let preserve = "x-kubernetes-preserve-unknown-fields";
    if schema.get(preserve) == Some(&Value::Bool(false)) {
        let place = format!("{field}.{preserve}");
        causes.push(Cause::invalid(
            place,
            &false.into(),
            "must be true or undefined",
        ));
    }
    super::lists::check(schema, field, causes);
    rules(schema, field, causes);
}

fn word<'s>(schema: &'s Value, name: &str) -> &'s str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn standard(schema: &Value, field: &str, above: Above, causes: &mut Vec<Cause>) {
    let kind = word(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        causes.push(super::unsupported(format!("{field}.type"), kind, &TYPES));
    }
    if let (Some(why), Some(_)) = (above.no_defaults, schema.get("default")) {
        let text = format!("must not be set {why}");
        causes.push(Cause::forbidden(format!("{field}.default"), &text));
    }
    for word in UNSUPPORTED {
        if schema.get(word).is_some_and(|value| !value.is_null()) {
            let text = format!("{word} is not supported");
            causes.push(Cause::forbidden(format!("{field}.{word}"), &text));
        }
    }
    if kind == "null" {
        const TEXT: &str = "type cannot be set to null, use nullable as an alternative";
        causes.push(Cause::forbidden(format!("{field}.type"), TEXT));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        const TEXT: &str = "items must be a schema object and not an array";
        causes.push(Cause::forbidden(format!("{field}.items"), TEXT));
    }
    if above.metadata && flag(schema, "x-kubernetes-embedded-resource") {
        let place = format!("{field}.x-kubernetes-embedded-resource");
        causes.push(Cause::forbidden(
            place,
            "must not be used inside of resource meta",
        ));
    }
}

fn map_of(schema: &Value, field: &str, above: Above, causes: &mut Vec<Cause>) {
    let Some(rest) = schema
        .get("additionalProperties")
        .filter(|rest| !rest.is_null())
    else {
        return;
    };
    let place = format!("{field}.additionalProperties");
    let fields = schema.get("properties").and_then(Value::as_object);
    if fields.is_some_and(|fields| !fields.is_empty()) && *rest != Value::Bool(true) {
        const TEXT: &str = "additionalProperties and properties are mutual exclusive";
        causes.push(Cause::forbidden(&place, TEXT));
    }
    if rest.is_object() {
        let inside = "inside additionalProperties applying to object metadata";
        let no_defaults = above.no_defaults.or(above.metadata.then_some(inside));
        check(
            rest,
            &place,
            false,
            Above {
                no_defaults,
                ..above
            },
            causes,
        );
    }
}

fn properties(schema: &Value, field: &str, root: bool, above: Above, causes: &mut Vec<Cause>) {
    let object = root || flag(schema, "x-kubernetes-embedded-resource");
    let fields = schema.get("properties").and_then(Value::as_object);
    for (name, inner) in fields.into_iter().flatten() {
        let top = match name.as_str() {
            "metadata" => "in top-level metadata",
            "kind" => "in top-level kind",
            "apiVersion" => "in top-level apiVersion",
            _ => "",
        };
        let mut here = above;
        if object && !top.is_empty() {
            here.metadata = true;
            here.no_defaults = here.no_defaults.or(root.then_some(top));
        }
        check(
            inner,
            &format!("{field}.properties[{name}]"),
            false,
            here,
            causes,
        );
    }
}

/// The words of rules; whether they compile is asked when everything else is right.
fn rules(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    let all = schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array);
    for (n, entry) in all.into_iter().flatten().enumerate() {
        let at = |part: &str| format!("{field}.x-kubernetes-validations[{n}].{part}");
        let (rule, message) = (word(entry, "rule").trim(), word(entry, "message"));
        let broken = |text: &str| text.contains(['\n', '\r']);
        let shown = || message.into();
        if rule.is_empty() {
            causes.push(Cause::required(at("rule"), "rule is not specified"));
        } else if !message.is_empty() && message.trim().is_empty() {
            causes.push(Cause::invalid(
                at("message"),
                &shown(),
                "must be non-empty if specified",
            ));
        } else if broken(message.trim()) {
            causes.push(Cause::invalid(
                at("message"),
                &shown(),
                "must not contain line breaks",
            ));
        } else if broken(rule) && message.is_empty() {
            const TEXT: &str = "message must be specified if rule contains line breaks";
            causes.push(Cause::required(at("message"), TEXT));
        }
        let expression = word(entry, "messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            const TEXT: &str = "messageExpression must be non-empty if specified";
            causes.push(Cause::required(at("messageExpression"), TEXT));
        }
        place_of(schema, entry, &at, causes);
    }
}

fn place_of(schema: &Value, entry: &Value, at: &dyn Fn(&str) -> String, causes: &mut Vec<Cause>) {
    const REASONS: [&str; 4] = [
        "FieldValueDuplicate",
        "FieldValueForbidden",
        "FieldValueInvalid",
        "FieldValueRequired",
    ];
    if let Some(reason) = entry.get("reason").and_then(Value::as_str)
        && !REASONS.contains(&reason)
    {
        causes.push(super::unsupported(at("reason"), reason, &REASONS));
    }
    let path = word(entry, "fieldPath");
    if path.is_empty() {
        return;
    }
    let problem = if path.trim().is_empty() {
        "must be non-empty if specified"
    } else if path.contains(['\n', '\r']) {
        "must not contain line breaks"
    } else if super::path::resolve(schema, path, true).is_err() {
        "must be a valid path"
    } else {
        return;
    };
    causes.push(Cause::invalid(at("fieldPath"), &path.into(), problem));
}
