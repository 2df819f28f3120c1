//! Filling in defaults, as Kubernetes does on every write and when reading what is stored.

use serde_json::{Map, Value};

use super::is_stray_null;

/// Fills in the defaults of a schema, and takes away nulls that stand for "not given".
pub fn apply_defaults(schema: &Value, object: &mut Value) {
    match object {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                fill(properties, fields);
            }
            if let Some(rest @ Value::Object(_)) = schema.get("additionalProperties") {
                fill_rest(schema, rest, fields);
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill_null(schema, item));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill(properties: &Map<String, Value>, fields: &mut Map<String, Value>) {
    for (name, schema) in properties {
        let missing = fields
            .get(name)
            .is_none_or(|value| is_stray_null(schema, value));
        match schema.get("default") {
            Some(default) if missing => {
                fields.insert(name.clone(), default.clone());
            }
            None if missing => {
                fields.remove(name);
            }
            Some(_) | None => {}
        }
        if let Some(value) = fields.get_mut(name) {
            apply_defaults(schema, value);
        }
    }
}

fn fill_rest(schema: &Value, rest: &Value, fields: &mut Map<String, Value>) {
    let properties = schema.get("properties");
    let is_rest = |name: &str| properties.is_none_or(|all| all.get(name).is_none());
    for (name, value) in fields.iter_mut() {
        if is_rest(name) {
            fill_null(rest, value);
        }
    }
}

/// An entry that is null is there, so it can only be replaced by a default, never removed.
fn fill_null(schema: &Value, value: &mut Value) {
    if is_stray_null(schema, value)
        && let Some(default) = schema.get("default")
    {
        *value = default.clone();
    }
    apply_defaults(schema, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_fill_what_is_missing_or_null() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "integer", "default": 1},
            "b": {"type": "integer", "nullable": true, "default": 2},
            "c": {"type": "string"},
            "d": {"type": "object", "default": {}, "properties": {"e": {"type": "string", "default": "x"}}},
            "f": {"type": "array", "items": {"type": "object", "properties": {"g": {"default": true, "type": "boolean"}}}},
            "h": {"type": "object", "additionalProperties": {"type": "string", "default": "z"}}
        }}}});
        let table = [
            (json!({}), json!({})),
            (
                json!({"spec": {}}),
                json!({"spec": {"a": 1, "b": 2, "d": {"e": "x"}}}),
            ),
            (
                json!({"spec": {"a": null, "b": null, "c": null, "d": {"e": "y"}, "f": [{}, {"g": false}], "h": {"i": null}}}),
                json!({"spec": {"a": 1, "b": null, "d": {"e": "y"}, "f": [{"g": true}, {"g": false}], "h": {"i": "z"}}}),
            ),
        ];
        for (given, expected) in table {
            let mut object = given.clone();
            apply_defaults(&schema, &mut object);
            assert_eq!(object, expected, "{given}");
            apply_defaults(&schema, &mut object);
            assert_eq!(object, expected, "twice is once");
        }
    }
}
