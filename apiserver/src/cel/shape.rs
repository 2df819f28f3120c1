//! How a part of an object is read: freely, or as its structural schema types it
//! (`apiserver/pkg/cel/common`: a number is a double, a `date-time` a timestamp, and fields that
//! the schema does not know do not exist).

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value as Json;

use super::convert;
use super::escape::unescape;
use super::value::{List, Map, Text, Value};

/// What is known of a part of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape<'a> {
    /// Nothing: as it stands.
    Free,
    /// Its schema; true: it is an object with type and metadata.
    Schema(&'a Json, bool),
    /// Metadata, of which rules see the names.
    Metadata,
}

impl<'a> Shape<'a> {
    /// The shape of a place with this schema.
    pub(crate) fn of(schema: &'a Json) -> Self {
        Self::Schema(schema, flag(schema, "x-kubernetes-embedded-resource"))
    }

    /// The shape of the items of a list.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::Schema(schema, _) => schema.get("items").map_or(Self::Free, Self::of),
            Self::Free | Self::Metadata => Self::Free,
        }
    }

    /// How list items are told apart: `set`, `map`, or, as a rule, by their place.
    pub(crate) fn list_type(self) -> &'a str {
        match self {
            Self::Schema(schema, _) => {
                let kind = schema.get("x-kubernetes-list-type").and_then(Json::as_str);
                kind.unwrap_or("atomic")
            }
            Self::Free | Self::Metadata => "atomic",
        }
    }

    /// The names of the fields that are a map item's key.
    pub(crate) fn map_keys(self) -> impl Iterator<Item = &'a str> {
        let keys = match self {
            Self::Schema(schema, _) => schema.get("x-kubernetes-list-map-keys"),
            Self::Free | Self::Metadata => None,
        };
        let keys = keys.and_then(Json::as_array).into_iter().flatten();
        keys.filter_map(Json::as_str)
    }

    /// The JSON name and shape of a field, given its name in an expression.
    pub(crate) fn field(self, name: &str) -> Option<(Cow<'_, str>, Self)> {
        let plain = Cow::Borrowed(name);
        match self {
            Self::Free => Some((plain, Self::Free)),
            Self::Metadata => {
                matches!(name, "name" | "generateName").then_some((plain, Self::Free))
            }
            Self::Schema(schema, _) if entries(schema).is_some() => {
                Some((plain, self.child(name)?))
            }
            Self::Schema(..) => {
                let name = unescape(name);
                let shape = self.child(&name)?;
                Some((name, shape))
            }
        }
    }

    /// The shape of a field, given its name in JSON.
    pub(crate) fn child(self, name: &str) -> Option<Self> {
        match self {
            Self::Free => Some(Self::Free),
            Self::Metadata => matches!(name, "name" | "generateName").then_some(Self::Free),
            Self::Schema(schema, object) => {
                if let Some(inner) = entries(schema) {
                    return Some(Self::of(inner));
                }
                match name {
                    "metadata" if object => return Some(Self::Metadata),
                    "apiVersion" | "kind" if object => return Some(Self::Free),
                    _ => {}
                }
                schema.get("properties")?.get(name).map(Self::of)
            }
        }
    }

    /// The value there.
    pub(crate) fn read(self, value: &'a Json) -> Value<'a> {
        let schema = match self {
            Self::Schema(schema, _) if !flag(schema, "x-kubernetes-int-or-string") => schema,
            Self::Schema(..) | Self::Free | Self::Metadata => return self.plain(value),
        };
        let text = |name: &str| schema.get(name).and_then(Json::as_str).unwrap_or_default();
        match (value, text("type")) {
            (Json::Number(number), "number") => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            (Json::String(string), "string") => formatted(string, text("format")),
            _ => self.plain(value),
        }
    }

    fn plain(self, value: &'a Json) -> Value<'a> {
        match value {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(number) => number_of(number, self),
            Json::String(text) => Value::String(Text::Borrowed(text)),
            Json::Array(items) => Value::List(List::Json(items, self)),
            Json::Object(fields) => Value::Map(Map::Json(fields, self)),
        }
    }
}

/// The schema of a map's values, if the place is a map.
pub(crate) fn entries(schema: &Json) -> Option<&Json> {
    schema
        .get("additionalProperties")
        .filter(|inner| inner.is_object())
}

pub(crate) fn flag(schema: &Json, name: &str) -> bool {
    schema.get(name) == Some(&Json::Bool(true))
}

fn number_of<'a>(number: &serde_json::Number, shape: Shape<'_>) -> Value<'a> {
    if let Some(n) = number.as_i64() {
        return Value::Int(n);
    }
    let double = number.as_f64().unwrap_or(f64::NAN);
    let whole = matches!(shape, Shape::Schema(schema, _) if schema.get("type") == Some(&Json::from("integer")));
    if whole && double.fract() == 0.0 && double.abs() < 9e18 {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within range")]
        return Value::Int(double as i64);
    }
    Value::Double(double)
}

/// Strings of some formats are other values. One that does not parse stays a string.
fn formatted<'a>(text: &'a str, format: &str) -> Value<'a> {
    let plain = Value::String(Text::Borrowed(text));
    match format {
        "date-time" => convert::timestamp(text).map_or(plain, Value::Timestamp),
        "date" => {
            let start = convert::timestamp(&format!("{text}T00:00:00Z"));
            start.map_or(plain, Value::Timestamp)
        }
        "duration" => convert::duration(text).map_or(plain, Value::Duration),
        "byte" => {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            bytes.map_or(plain, |bytes| Value::Bytes(Arc::from(bytes)))
        }
        _ => plain,
    }
}
