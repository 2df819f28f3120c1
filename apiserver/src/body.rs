//! Bodies: JSON or YAML text, or protobuf, to a value, with the fields that were said twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::call::{Body, Media};
use crate::protobuf;
use crate::status::Failure;

/// A parsed body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The value; of fields said twice, the last.
    pub value: Value,
    /// Paths of fields said twice.
    pub duplicates: Vec<String>,
}

impl Input {
    /// A value made by ourselves.
    #[must_use]
    pub fn of(value: Value) -> Self {
        Self {
            value,
            duplicates: Vec::new(),
        }
    }
}

/// Most levels of nesting: what is stored is read back with serde_json, which allows no more.
pub const DEPTH_MAX: usize = 127;

/// How deep lists and maps are nested in a value.
#[must_use]
pub fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    below.unwrap_or(0) + 1
}

/// Parses a body. An empty one is `null`.
///
/// # Errors
/// 400 with line and column of what does not parse.
pub fn parse(body: &Body) -> Result<Input, Failure> {
    if body.bytes.is_empty() {
        return Ok(Input::default());
    }
    match body.media {
        Media::Json | Media::JsonPatch | Media::MergePatch | Media::StrategicMerge => {
            json(&body.bytes)
        }
        Media::Yaml | Media::Apply => yaml(&body.bytes),
        Media::Protobuf => protobuf::decode(&body.bytes).map(Input::of),
    }
}

/// Reads a body of a known shape. serde would take a list for a struct; we do not.
///
/// # Errors
/// 400 saying which field does not fit.
pub fn shaped<T: serde::de::DeserializeOwned>(value: Value, what: &str) -> Result<T, Failure> {
    if !value.is_object() {
        return Err(Failure::bad_request(format!("{what} must be an object")));
    }
    serde_json::from_value(value)
        .map_err(|error| Failure::bad_request(format!("{what} cannot be decoded: {error}")))
}

/// Parses JSON. Depth is bounded by serde_json's limit of 128.
fn json(bytes: &[u8]) -> Result<Input, Failure> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Node {
        path: Path::Root,
        duplicates: &mut duplicates,
    };
    let parsed = seed.deserialize(&mut deserializer);
    let value = parsed.and_then(|value| deserializer.end().map(|()| value));
    match value {
        Ok(value) => Ok(Input { value, duplicates }),
        Err(error) => Err(malformed("json", &error)),
    }
}

/// Parses one YAML document. Depth, aliases and size are bounded by the library's budget.
fn yaml(bytes: &[u8]) -> Result<Input, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| malformed("yaml", &error))?;
    // YAML 1.2: `y` and `yes` are words, as people mean them in names and labels.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Value>(text, options) {
        Ok(value) => Ok(Input::of(value)),
        Err(error) => Err(malformed("yaml", &error)),
    }
}

fn malformed(what: &str, error: &dyn fmt::Display) -> Failure {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Failure::bad_request(format!("the body is not valid {what}: {first}"))
}

/// Where a value stands; written out only when it has to be told.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(above, name) => write!(f, "{above}.{name}"),
            Self::Element(above, place) => write!(f, "{above}[{place}]"),
        }
    }
}

/// Builds a value and notes the paths of repeated keys.
struct Node<'a> {
    path: Path<'a>,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Node {
                path: Path::Element(&self.path, list.len()),
                duplicates: &mut *self.duplicates,
            };
            match access.next_element_seed(seed)? {
                Some(value) => list.push(value),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = Path::Field(&self.path, &key);
            if map.contains_key(&key) {
                self.duplicates.push(path.to_string());
            }
            let seed = Node {
                path,
                duplicates: &mut *self.duplicates,
            };
            let value = access.next_value_seed(seed)?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn read(text: &'static [u8], media: Media) -> Result<Input, Failure> {
        parse(&Body {
            bytes: Bytes::from_static(text),
            media,
        })
    }

    #[test]
    fn duplicates_are_noted() {
        let input = read(br#"{"a":{"b":1,"b":[{"c":1,"c":2}]}}"#, Media::Json).unwrap();
        assert_eq!(input.value, json!({"a": {"b": [{"c": 2}]}}));
        assert_eq!(input.duplicates, ["a.b", "a.b[0].c"]);
        assert_eq!(
            read(b"a: {b: 1}", Media::Yaml).unwrap().value,
            json!({"a": {"b": 1}})
        );
        assert_eq!(
            read(b"y: [yes, on, 0.5]", Media::Yaml).unwrap().value,
            json!({"y": ["yes", "on", 0.5]})
        );
        assert_eq!(read(b"", Media::Json).unwrap().value, Value::Null);
    }

    #[test]
    fn garbage_is_refused() {
        let deep: &'static [u8] = Box::leak(vec![b'['; 100_000].into_boxed_slice());
        for text in [&b"{"[..], b"{}x", b"\xff", b"1e999", deep] {
            assert_eq!(read(text, Media::Json).unwrap_err().code(), 400);
        }
        for text in [&b"a: [b"[..], b"\xff", b"a: b: c", deep] {
            assert_eq!(read(text, Media::Yaml).unwrap_err().code(), 400);
        }
    }
}
