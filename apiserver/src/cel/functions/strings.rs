//! `ext.Strings`, version 2, and CEL's own methods of strings. Places are counted in characters.

use super::Outcome;
use super::text_of;
use crate::cel::eval::{Error, Meter};
use crate::cel::value::{List, Value};

/// Methods.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>], meter: &Meter) -> Option<Outcome<'a>> {
    if let ("join", [Value::List(list), rest @ ..]) = (name, args) {
        return Some(join(list, rest, meter));
    }
    let [Value::String(text), rest @ ..] = args else {
        return None;
    };
    let text: &str = text;
    Some(match (name, rest) {
        ("startsWith", [Value::String(other)]) => Ok(Value::Bool(text.starts_with(&**other))),
        ("endsWith", [Value::String(other)]) => Ok(Value::Bool(text.ends_with(&**other))),
        ("contains", [Value::String(other)]) => Ok(Value::Bool(text.contains(&**other))),
        ("lowerAscii", []) => Ok(text.to_ascii_lowercase().into()),
        ("upperAscii", []) => Ok(text.to_ascii_uppercase().into()),
        ("trim", []) => Ok(text_of(text.trim())),
        ("reverse", []) => Ok(text.chars().rev().collect::<String>().into()),
        ("charAt", [Value::Int(n)]) => char_at(text, *n),
        ("indexOf", [Value::String(other)]) => index_of(text, other, 0),
        ("indexOf", [Value::String(other), Value::Int(from)]) => index_of(text, other, *from),
        ("lastIndexOf", [Value::String(other)]) => last_index_of(text, other, None),
        ("lastIndexOf", [Value::String(other), Value::Int(from)]) => {
            last_index_of(text, other, Some(*from))
        }
        ("substring", [Value::Int(start)]) => {
            let end = text.chars().count();
            substring(text, *start, i64::try_from(end).unwrap_or(i64::MAX))
        }
        ("substring", [Value::Int(start), Value::Int(end)]) => substring(text, *start, *end),
        ("replace", [Value::String(old), Value::String(new)]) => replace(text, old, new, -1, meter),
        ("replace", [Value::String(old), Value::String(new), Value::Int(n)]) => {
            replace(text, old, new, *n, meter)
        }
        ("split", [Value::String(by)]) => split(text, by, -1, meter),
        ("split", [Value::String(by), Value::Int(n)]) => split(text, by, *n, meter),
        ("format", [Value::List(values)]) => super::printf::format(text, values, meter),
        _ => return None,
    })
}

/// Functions.
pub(super) fn function<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    match (name, args) {
        ("strings.quote", [Value::String(text)]) => Some(Ok(quoted(text).into())),
        ("jsonpatch.escapeKey", [Value::String(key)]) => {
            Some(Ok(key.replace('~', "~0").replace('/', "~1").into()))
        }
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn range(n: i64) -> Error {
    Error::text(format!("index out of range: {n}"))
}

fn place(n: usize) -> Value<'static> {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

fn char_at<'a>(text: &str, n: i64) -> Outcome<'a> {
    let index = usize::try_from(n).map_err(|_odd| range(n))?;
    match text.chars().nth(index) {
        Some(c) => Ok(c.to_string().into()),
        None if index == text.chars().count() => Ok(text_of("")),
        None => Err(range(n)),
    }
}

/// Where a character begins, in bytes; the end counts as one.
fn byte_of(text: &str, n: i64) -> Option<usize> {
    let n = usize::try_from(n).ok()?;
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(n)
}

fn index_of<'a>(text: &str, other: &str, from: i64) -> Outcome<'a> {
    let start = byte_of(text, from).ok_or_else(|| range(from))?;
    Ok(match text[start..].find(other) {
        Some(at) => place(text[..start + at].chars().count()),
        None => Value::Int(-1),
    })
}

fn last_index_of<'a>(text: &str, other: &str, from: Option<i64>) -> Outcome<'a> {
    let mut end = text.len();
    if let Some(from) = from {
        let start = byte_of(text, from).ok_or_else(|| range(from))?;
        end = (start + other.len()).min(text.len());
    }
    // The end lies within a character only if nothing can match there.
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Ok(match text[..end].rfind(other) {
        Some(at) => place(text[..at].chars().count()),
        None => Value::Int(-1),
    })
}

fn substring<'a>(text: &str, start: i64, end: i64) -> Outcome<'a> {
    if start > end {
        let text = format!("invalid substring range. start: {start}, end: {end}");
        return Err(Error::text(text));
    }
    let first = byte_of(text, start).ok_or_else(|| range(start))?;
    let last = byte_of(text, end).ok_or_else(|| range(end))?;
    Ok(text_of(&text[first..last]))
}

/// What is made is paid for before it is made.
fn replace<'a>(text: &str, old: &str, new: &str, limit: i64, meter: &Meter) -> Outcome<'a> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = if old.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(old).count()
    };
    let made = count.min(limit).saturating_mul(new.len());
    meter.charge((made / 10).saturating_add(count / 10))?;
    Ok(text.replacen(old, new, limit).into())
}

fn split<'a>(text: &str, by: &str, limit: i64, meter: &Meter) -> Outcome<'a> {
    meter.charge(text.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<Value<'a>> = match (by, limit) {
        (_, 0) => Vec::new(),
        ("", _) if text.is_empty() => Vec::new(),
        ("", _) => characters(text, limit),
        _ => text.splitn(limit, by).map(text_of).collect(),
    };
    Ok(parts.into())
}

fn characters<'a>(text: &str, limit: usize) -> Vec<Value<'a>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == limit {
            break;
        }
        let (head, tail) = rest.split_at(c.len_utf8());
        parts.push(text_of(head));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(text_of(rest));
    }
    parts
}

fn join<'a>(list: &List<'a>, rest: &[Value<'a>], meter: &Meter) -> Outcome<'a> {
    let by = match rest {
        [] => "",
        [Value::String(by)] => by,
        _ => return Err(Error::Overload),
    };
    let mut out = String::new();
    for (n, item) in list.iter().enumerate() {
        let Value::String(text) = &item else {
            let shown = item.display();
            return Err(Error::text(format!("join: invalid input: {shown}")));
        };
        meter.charge(1 + (by.len() + text.len()) / 10)?;
        if n > 0 {
            out.push_str(by);
        }
        out.push_str(text);
    }
    Ok(out.into())
}
