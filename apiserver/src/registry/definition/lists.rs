//! List and map types in a definition's schema.

use serde_json::Value;

use crate::cel::flag;
use crate::status::Cause;

const LIST_TYPE: &str = "x-kubernetes-list-type";

const MAP_TYPE: &str = "x-kubernetes-map-type";

const KEYS: &str = "x-kubernetes-list-map-keys";

fn word<'s>(schema: &'s Value, name: &str) -> Option<&'s str> {
    schema.get(name).and_then(Value::as_str)
}

/// Checks `x-kubernetes-list-type`, `-map-type` and `-list-map-keys` of a node.
pub(super) fn check(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    kind(
        schema,
        field,
        MAP_TYPE,
        ("object", &["atomic", "granular"]),
        causes,
    );
    kind(
        schema,
        field,
        LIST_TYPE,
        ("array", &["atomic", "set", "map"]),
        causes,
    );
    let list = word(schema, LIST_TYPE);
    if list == Some("set") {
        atomic_items(schema, field, causes);
    }
    let keys = schema
        .get(KEYS)
        .and_then(Value::as_array)
        .filter(|keys| !keys.is_empty());
    if keys.is_some() && list != Some("map") {
        const TEXT: &str = "must be map if x-kubernetes-list-map-keys is non-empty";
        let place = format!("{field}.{LIST_TYPE}");
        causes.push(match list {
            None => Cause::required(place, TEXT),
            Some(list) => Cause::invalid(place, &list.into(), TEXT),
        });
    }
    if list == Some("map") {
        let keys = keys.map_or(&[][..], Vec::as_slice);
        map(schema, field, keys, causes);
    }
    if let Some(list @ ("set" | "map")) = list
        && schema
            .get("items")
            .is_some_and(|items| flag(items, "nullable"))
    {
        let text = format!("cannot be nullable when x-kubernetes-list-type is {list}");
        causes.push(Cause::forbidden(format!("{field}.items.nullable"), &text));
    }
}

/// The extension must go with its type, and be one of these.
fn kind(
    schema: &Value,
    field: &str,
    extension: &str,
    (wanted, values): (&str, &[&str]),
    causes: &mut Vec<Cause>,
) {
    let Some(value) = word(schema, extension) else {
        return;
    };
    let text = format!("must be {wanted} if {extension} is specified");
    match word(schema, "type") {
        Some(kind) if kind == wanted => {}
        None | Some("") => causes.push(Cause::required(format!("{field}.type"), &text)),
        Some(kind) => causes.push(Cause::invalid(format!("{field}.type"), &kind.into(), &text)),
    }
    if !values.contains(&value) {
        causes.push(super::unsupported(
            format!("{field}.{extension}"),
            value,
            values,
        ));
    }
}

fn atomic_items(schema: &Value, field: &str, causes: &mut Vec<Cause>) {
    const TEXT: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let Some(items) = schema.get("items") else {
        return;
    };
    let (extension, atomic) = match word(items, "type") {
        Some("array") => (
            LIST_TYPE,
            matches!(word(items, LIST_TYPE), None | Some("atomic")),
        ),
        Some("object") => (MAP_TYPE, word(items, MAP_TYPE) == Some("atomic")),
        Some(_) | None => return,
    };
    if !atomic {
        let value = items.get(LIST_TYPE).cloned().unwrap_or_default();
        causes.push(Cause::invalid(
            format!("{field}.items.{extension}"),
            &value,
            TEXT,
        ));
    }
}

fn map(schema: &Value, field: &str, keys: &[Value], causes: &mut Vec<Cause>) {
    let place = format!("{field}.{KEYS}");
    if keys.is_empty() {
        const TEXT: &str = "must not be empty if x-kubernetes-list-type is map";
        causes.push(Cause::required(&place, TEXT));
    }
    let Some(items) = schema.get("items") else {
        const TEXT: &str = "must have a schema if x-kubernetes-list-type is map";
        causes.push(Cause::required(format!("{field}.items"), TEXT));
        return;
    };
    if word(items, "type") != Some("object") {
        const TEXT: &str = "must be object if parent array's x-kubernetes-list-type is map";
        let kind = word(items, "type").unwrap_or_default().into();
        causes.push(Cause::invalid(format!("{field}.items.type"), &kind, TEXT));
        return;
    }
    let shown = Value::from(keys.to_vec());
    for (n, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        match items.get("properties").and_then(|all| all.get(name)) {
            Some(own) => key_field(items, own, name, field, causes),
            None => {
                const TEXT: &str = "entries must all be names of item properties";
                causes.push(Cause::invalid(&place, &shown, TEXT));
            }
        }
        if keys[..n].contains(key) {
            causes.push(Cause::invalid(
                &place,
                &shown,
                "must not contain duplicate entries",
            ));
        }
    }
}

fn key_field(items: &Value, own: &Value, name: &str, field: &str, causes: &mut Vec<Cause>) {
    let place = format!("{field}.items.properties[{name}]");
    if matches!(word(own, "type"), Some("array" | "object")) {
        const TEXT: &str = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        causes.push(Cause::invalid(
            format!("{place}.type"),
            &"object".into(),
            TEXT,
        ));
    }
    let required = items.get("required").and_then(Value::as_array);
    let required = required.is_some_and(|all| all.contains(&name.into()));
    if !required && own.get("default").is_none() {
        const TEXT: &str = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        causes.push(Cause::required(format!("{place}.default"), TEXT));
    }
    if flag(own, "nullable") {
        const TEXT: &str =
            "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
        causes.push(Cause::forbidden(format!("{place}.nullable"), TEXT));
    }
}
