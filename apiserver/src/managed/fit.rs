//! Does a configuration fit its schema? A field that is not declared cannot be owned, so apply is
//! strict where other writes prune (structured-merge-diff, `typed/validate.go`).

use serde_json::{Map as Fields, Value};

use super::element::Element;
use super::entries::element;
use super::types::{List, Map, Relation, Scalar, Type};
use crate::object::go_type;

/// Everything that does not fit, as upstream words it; empty if all does.
#[must_use]
pub fn problems(type_: &Type, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    node(type_, value, "", &mut found);
    found
}

/// The problems as one text.
#[must_use]
pub fn text(problems: &[String]) -> String {
    match problems {
        [only] => only.clone(),
        many => {
            let lines: String = many.iter().map(|line| format!("\n  {line}")).collect();
            format!("errors:{lines}")
        }
    }
}

fn node(type_: &Type, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut wrong = |text: String| found.push(at(path, &text));
    match (value, type_) {
        (Value::Null, _) => {}
        (Value::Object(fields), Type { map: Some(map), .. }) => of_map(map, fields, path, found),
        (
            Value::Array(items),
            Type {
                list: Some(list), ..
            },
        ) => of_list(list, items, path, found),
        (
            plain,
            Type {
                map: None,
                scalar: Some(scalar),
                ..
            },
        ) => {
            if !fits(*scalar, plain) {
                wrong(mismatch(*scalar, plain));
            }
        }
        (
            plain,
            Type {
                scalar: Some(scalar),
                ..
            },
        ) if fits(*scalar, plain) => {}
        (other, Type { map: Some(_), .. }) => {
            wrong(format!("expected map, got &{{{}}}", go(other)))
        }
        (other, Type { list: Some(_), .. }) => {
            wrong(format!("expected list, got &{{{}}}", go(other)))
        }
        (_, Type { .. }) => wrong("field not declared in schema".to_owned()),
    }
}

fn at(path: &str, text: &str) -> String {
    if path.is_empty() {
        text.to_owned()
    } else {
        format!("{path}: {text}")
    }
}

fn fits(scalar: Scalar, value: &Value) -> bool {
    match scalar {
        Scalar::Number => value.is_number(),
        Scalar::Text => value.is_string(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Any => !value.is_array() && !value.is_object(),
    }
}

fn mismatch(scalar: Scalar, value: &Value) -> String {
    let got = go(value);
    match scalar {
        Scalar::Number => format!("expected numeric (int or float), got {}", go_type(value)),
        Scalar::Text => format!("expected string, got &value.valueUnstructured{{Value:{got}}}"),
        Scalar::Boolean => format!("expected boolean, got &{{{got}}}"),
        Scalar::Any => format!("expected any scalar, got &{{{got}}}"),
    }
}

fn go(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), String::from)
}

fn of_map(map: &Map, fields: &Fields<String, Value>, path: &str, found: &mut Vec<String>) {
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match map.known(name) {
            Some(type_) => node(type_, value, &path, found),
            None => found.push(at(&path, "field not declared in schema")),
        }
    }
}

fn of_list(list: &List, items: &[Value], path: &str, found: &mut Vec<String>) {
    let mut seen: Vec<Element> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let place = if list.is_atomic() {
            Element::Index(i64::try_from(n).unwrap_or(i64::MAX))
        } else if let Some(element) = element(list, item) {
            element
        } else {
            found.push(at(
                path,
                &format!("element {n}: {}", no_element(list, item)),
            ));
            return;
        };
        match seen.binary_search(&place) {
            Ok(_) => found.push(at(path, &format!("duplicate entries for key {place}"))),
            Err(at) => seen.insert(at, place.clone()),
        }
        node(list.item(), item, &format!("{path}{place}"), found);
    }
}

fn no_element(list: &List, item: &Value) -> String {
    let keys = match &list.relation {
        Relation::Keyed(keys) => keys,
        Relation::Set | Relation::Atomic => return no_entry(item).to_owned(),
    };
    match item {
        Value::Null => "associative list with keys may not have a null element".to_owned(),
        Value::Object(_) => {
            let names: Vec<String> = keys.iter().map(|key| format!("{:?}", key.name)).collect();
            format!(
                "associative list with keys has an element that omits all key fields [{}] \
                 (and doesn't have default values for any key fields)",
                names.join(" ")
            )
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            "associative list with keys may not have non-map elements".to_owned()
        }
    }
}

fn no_entry(item: &Value) -> &'static str {
    match item {
        Value::Object(_) => "associative list without keys has an element that's a map type",
        Value::Array(_) => "not supported: associative list with lists as elements",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            "associative list without keys has an element that's an explicit null"
        }
    }
}
