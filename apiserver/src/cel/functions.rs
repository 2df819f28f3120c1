//! Functions: CEL's own, and those of the libraries Kubernetes brings.

mod formats;
mod lists;
mod printf;
pub(crate) mod regexes;
mod rights;
mod special;
mod strings;
mod times;

use std::sync::Arc;

use super::convert;
use super::eval::{Error, Meter};
use super::kinds::Special;
use super::value::{List, Text, Value};

pub(crate) use lists::sorted;

type Outcome<'a> = Result<Value<'a>, Error>;

/// Calls a function; a method's receiver is its first argument.
pub(crate) fn call<'a>(name: &str, method: bool, args: &[Value<'a>], meter: &Meter) -> Outcome<'a> {
    meter.charge(args.iter().map(Value::weight).sum())?;
    let found = if method {
        strings::call(name, args, meter)
            .or_else(|| lists::call(name, args, meter))
            .or_else(|| regexes::call(name, args, meter))
            .or_else(|| times::call(name, args))
            .or_else(|| special::method(name, args))
            .or_else(|| rights::method(name, args, meter))
            .or_else(|| formats::call(name, args))
            .or_else(|| optional_method(name, args))
            .or_else(|| core(name, args))
    } else {
        core(name, args)
            .or_else(|| special::function(name, args))
            .or_else(|| formats::function(name, args))
            .or_else(|| lists::function(name, args, meter))
            .or_else(|| optional_function(name, args))
            .or_else(|| strings::function(name, args))
    };
    let value = found.unwrap_or(Err(Error::Overload))?;
    meter.charge(value.weight())?;
    Ok(value)
}

/// `string`, `list` and the like as values.
pub(crate) fn type_named(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "dyn",
    ];
    NAMES.iter().find(|own| **own == name).copied()
}

/// What is in the language itself.
fn core<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, args) {
        ("size", [value]) => size(value),
        ("type", [value]) => Ok(Value::Type(value.type_name())),
        ("dyn", [value]) => Ok(value.clone()),
        ("int", [value]) => int(value),
        ("uint", [value]) => uint(value),
        ("double", [value]) => double(value),
        ("string", [value]) => string(value),
        ("bytes", [value]) => bytes(value),
        ("bool", [value]) => boolean(value),
        ("timestamp", [value]) => timestamp(value),
        ("duration", [value]) => duration(value),
        _ => return None,
    })
}

fn size<'a>(value: &Value<'a>) -> Outcome<'a> {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return Err(Error::Overload),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn unconvertible<'a>(value: &Value<'_>, wanted: &str) -> Outcome<'a> {
    let from = value.type_name();
    Err(Error::text(format!(
        "type conversion error from '{from}' to '{wanted}'"
    )))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be within range"
)]
fn int<'a>(value: &Value<'a>) -> Outcome<'a> {
    let overflow = || Error::text("integer overflow");
    Ok(Value::Int(match value {
        Value::Int(n) => *n,
        Value::Uint(n) => i64::try_from(*n).map_err(|_odd| overflow())?,
        Value::Double(n) if n.abs() < 9.223_372_036_854_775e18 => *n as i64,
        Value::Double(_) => return Err(overflow()),
        Value::String(text) => text
            .parse()
            .or_else(|_odd| unconvertible(value, "int").map(|_| 0))?,
        Value::Timestamp(time) => time.as_second(),
        Value::Duration(nanos) => *nanos,
        _ => return Err(Error::Overload),
    }))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within range"
)]
fn uint<'a>(value: &Value<'a>) -> Outcome<'a> {
    let overflow = || Error::text("unsigned integer overflow");
    Ok(Value::Uint(match value {
        Value::Uint(n) => *n,
        Value::Int(n) => u64::try_from(*n).map_err(|_odd| overflow())?,
        Value::Double(n) if (0.0..1.8e19).contains(n) => *n as u64,
        Value::Double(_) => return Err(overflow()),
        Value::String(text) => text
            .parse()
            .or_else(|_odd| unconvertible(value, "uint").map(|_| 0))?,
        _ => return Err(Error::Overload),
    }))
}

fn double<'a>(value: &Value<'a>) -> Outcome<'a> {
    Ok(Value::Double(match value {
        Value::Double(n) => *n,
        Value::Int(n) => *n as f64,
        Value::Uint(n) => *n as f64,
        Value::String(text) => text
            .parse()
            .or_else(|_odd| unconvertible(value, "double").map(|_| 0.0))?,
        _ => return Err(Error::Overload),
    }))
}

fn string<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned().into()),
            Err(_) => Err(Error::text(
                "invalid UTF-8 in bytes, cannot convert to string",
            )),
        },
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Timestamp(_)
        | Value::Duration(_) => Ok(value.display().into_owned().into()),
        Value::Special(special) if !matches!(&**special, Special::Right(_)) => {
            Ok(value.display().into_owned().into())
        }
        Value::Null
        | Value::List(_)
        | Value::Map(_)
        | Value::Type(_)
        | Value::Optional(_)
        | Value::Special(_) => Err(Error::Overload),
    }
}

fn bytes<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Bytes(_) => Ok(value.clone()),
        Value::String(text) => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(Error::Overload),
    }
}

fn boolean<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => unconvertible(value, "bool"),
        },
        _ => Err(Error::Overload),
    }
}

fn timestamp<'a>(value: &Value<'a>) -> Outcome<'a> {
    let time = match value {
        Value::Timestamp(time) => Some(*time),
        Value::String(text) => convert::timestamp(text),
        Value::Int(n) => jiff::Timestamp::from_second(*n)
            .ok()
            .and_then(convert::in_range),
        _ => return Err(Error::Overload),
    };
    match time {
        Some(time) => Ok(Value::Timestamp(time)),
        None => unconvertible(value, "google.protobuf.Timestamp"),
    }
}

fn duration<'a>(value: &Value<'a>) -> Outcome<'a> {
    let nanos = match value {
        Value::Duration(nanos) => Some(*nanos),
        Value::String(text) => convert::duration(text),
        Value::Int(n) => Some(*n),
        _ => return Err(Error::Overload),
    };
    match nanos {
        Some(nanos) => Ok(Value::Duration(nanos)),
        None => unconvertible(value, "google.protobuf.Duration"),
    }
}

fn some<'a>(value: Value<'a>) -> Value<'a> {
    Value::Optional(Some(Arc::new(value)))
}

fn optional_function<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    Some(Ok(match (name, args) {
        ("optional.none", []) => Value::Optional(None),
        ("optional.of", [value]) => some(value.clone()),
        ("optional.ofNonZeroValue", [value]) if is_zero(value) => Value::Optional(None),
        ("optional.ofNonZeroValue", [value]) => some(value.clone()),
        ("optional.unwrap", [Value::List(list)]) => unwrapped(list),
        _ => return None,
    }))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Int(n) | Value::Duration(n) => *n == 0,
        Value::Uint(n) => *n == 0,
        Value::Double(n) => *n == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Optional(inner) => inner.is_none(),
        Value::Timestamp(_) | Value::Type(_) | Value::Special(_) => false,
    }
}

fn unwrapped<'a>(list: &List<'a>) -> Value<'a> {
    let held = list.iter().filter_map(|item| match item {
        Value::Optional(inner) => inner.map(|inner| (*inner).clone()),
        other => Some(other),
    });
    held.collect::<Vec<_>>().into()
}

fn optional_method<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, args) {
        ("hasValue", [Value::Optional(inner)]) => Ok(Value::Bool(inner.is_some())),
        ("value", [Value::Optional(Some(inner))]) => Ok((**inner).clone()),
        ("value", [Value::Optional(None)]) => Err(Error::text("optional.none() dereference")),
        ("unwrapOpt", [Value::List(list)]) => Ok(unwrapped(list)),
        _ => return None,
    })
}

fn text_of(text: &str) -> Value<'static> {
    Value::String(Text::Shared(text.into()))
}
