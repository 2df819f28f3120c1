//! Values. What comes from an object stays where it is, and is read through its schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::ast::Literal;
use super::eval::{Error, Meter};
use super::kinds::Special;
use super::shape::Shape;

/// A CEL value.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Arc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Timestamp(Timestamp),
    /// Nanoseconds.
    Duration(i64),
    Type(&'static str),
    Optional(Option<Arc<Value<'a>>>),
    Special(Arc<Special>),
}

/// A string.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Text::Shared(text.into()))
    }
}

/// A list.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// Of an object, as this schema of an array describes it.
    Json(&'a [Json], Shape<'a>),
    Made(Arc<Vec<Value<'a>>>),
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items, shape) => Some(shape.item().read(items.get(index)?)),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Made(Arc::new(items)))
    }
}

/// A key of a map. Whole numbers are one kind of key, however they are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Bool(bool),
    Number(i128),
    String(Arc<str>),
}

impl Key {
    pub(crate) fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(b) => Some(Self::Bool(*b)),
            Value::Int(n) => Some(Self::Number((*n).into())),
            Value::Uint(n) => Some(Self::Number((*n).into())),
            Value::Double(n) if n.fract() == 0.0 && n.abs() < 1e18 => {
                #[expect(clippy::cast_possible_truncation, reason = "whole and within range")]
                let whole = *n as i128;
                Some(Self::Number(whole))
            }
            Value::String(text) => Some(Self::String((**text).into())),
            Value::Null
            | Value::Double(_)
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Timestamp(_)
            | Value::Duration(_)
            | Value::Type(_)
            | Value::Optional(_)
            | Value::Special(_) => None,
        }
    }

    fn value<'a>(&self) -> Value<'a> {
        match self {
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) => match i64::try_from(*n) {
                Ok(n) => Value::Int(n),
                Err(_) => Value::Uint(u64::try_from(*n).unwrap_or(u64::MAX)),
            },
            Self::String(text) => Value::String(Text::Shared(Arc::clone(text))),
        }
    }
}

/// A map, or an object.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    /// Of an object, as this schema describes it.
    Json(&'a serde_json::Map<String, Json>, Shape<'a>),
    Made(Arc<BTreeMap<Key, Value<'a>>>),
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(fields, _) => fields.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// What `map.name` reads.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(fields, shape) => {
                let (name, shape) = shape.field(name)?;
                fields.get(name.as_ref()).map(|value| shape.read(value))
            }
            Self::Made(entries) => entries.get(&Key::String(name.into())).cloned(),
        }
    }

    /// What `map[key]` reads.
    pub(crate) fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Json(..), Value::String(name)) => self.field(name),
            (Self::Json(..), _) => None,
            (Self::Made(entries), key) => entries.get(&Key::of(key)?).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Self::Json(fields, shape) => Box::new(fields.iter().filter_map(|(name, value)| {
                let shape = shape.child(name)?;
                let name = Value::String(Text::Borrowed(name));
                Some((name, shape.read(value)))
            })),
            Self::Made(entries) => Box::new(
                entries
                    .iter()
                    .map(|(key, value)| (key.value(), value.clone())),
            ),
        }
    }
}

impl<'a> From<BTreeMap<Key, Value<'a>>> for Value<'a> {
    fn from(entries: BTreeMap<Key, Value<'a>>) -> Self {
        Self::Map(Map::Made(Arc::new(entries)))
    }
}

impl<'a> Value<'a> {
    pub(crate) fn of_literal(literal: &Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(b) => Self::Bool(*b),
            Literal::Int(n) => Self::Int(*n),
            Literal::Uint(n) => Self::Uint(*n),
            Literal::Double(n) => Self::Double(*n),
            Literal::String(text) => Self::String(Text::Shared(Arc::clone(text))),
            Literal::Bytes(bytes) => Self::Bytes(Arc::clone(bytes)),
        }
    }

    /// The name of its type, as `type(x)` says it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Special(special) => special.type_name(),
        }
    }

    /// Bytes or entries, as a measure of what handling it costs.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::String(text) => text.len() / 10,
            Self::Bytes(bytes) => bytes.len() / 10,
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Uint(_)
            | Self::Double(_)
            | Self::Timestamp(_)
            | Self::Duration(_)
            | Self::Type(_)
            | Self::Optional(_)
            | Self::Special(_) => 0,
        }
    }

    /// The value as JSON; what JSON cannot say is said as text. Values may share parts of one
    /// another, so that the text of a small one can be without bound: it is paid for.
    pub(crate) fn to_json(&self, meter: &Meter) -> Result<Json, Error> {
        meter.charge(1 + self.weight())?;
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(n) => (*n).into(),
            Self::Uint(n) => (*n).into(),
            Self::Double(n) => (*n).into(),
            Self::String(text) => (&**text).into(),
            Self::List(list) => {
                let items = list.iter().map(|item| item.to_json(meter));
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Map(map) => {
                let mut fields = serde_json::Map::new();
                for (key, value) in map.iter() {
                    fields.insert(key.display().into_owned(), value.to_json(meter)?);
                }
                Json::Object(fields)
            }
            Self::Optional(Some(inner)) => inner.to_json(meter)?,
            Self::Optional(None) => Json::Null,
            Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::Duration(_)
            | Self::Type(_)
            | Self::Special(_) => self.display().into_owned().into(),
        })
    }

    /// The value as `string(x)` or an error message says it.
    pub(crate) fn display(&self) -> Cow<'_, str> {
        match self {
            Self::String(text) => Cow::Borrowed(text),
            Self::Type(name) => Cow::Borrowed(name),
            Self::Null => Cow::Borrowed("null"),
            Self::Bool(b) => b.to_string().into(),
            Self::Int(n) => n.to_string().into(),
            Self::Uint(n) => n.to_string().into(),
            Self::Double(n) => super::convert::double_text(*n).into(),
            Self::Timestamp(t) => super::convert::timestamp_text(*t).into(),
            Self::Duration(n) => super::convert::duration_text(*n).into(),
            Self::Bytes(bytes) => {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD
                    .encode(bytes)
                    .into()
            }
            Self::List(_) | Self::Map(_) | Self::Optional(_) => Cow::Borrowed(self.type_name()),
            Self::Special(special) => special.to_string().into(),
        }
    }
}
