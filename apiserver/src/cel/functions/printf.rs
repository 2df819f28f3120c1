//! `"%s is %d".format([...])`.

use std::fmt::Write as _;

use super::Outcome;
use crate::cel::convert;
use crate::cel::eval::{Error, Meter};
use crate::cel::value::{List, Value};

/// Most digits after the point.
const PRECISION_MAX: usize = 1000;

pub(super) fn format<'a>(text: &str, values: &List<'a>, meter: &Meter) -> Outcome<'a> {
    let mut out = String::new();
    let mut rest = text;
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(rest)?;
        let verb = after.chars().next();
        let verb = verb.ok_or_else(|| Error::text("unexpected end of string"))?;
        rest = &after[verb.len_utf8()..];
        let value = values.get(next);
        let value = value.ok_or_else(|| Error::text(format!("index {next} out of range")))?;
        next += 1;
        let before = out.len();
        clause(verb, precision, &value, &mut out, meter)?;
        meter.charge(1 + (out.len() - before) / 10)?;
    }
    out.push_str(rest);
    Ok(out.into())
}

fn precision(text: &str) -> Result<(Option<usize>, &str), Error> {
    let Some(rest) = text.strip_prefix('.') else {
        return Ok((None, text));
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let wrong = || {
        Error::text("error while parsing precision: error while converting precision to integer")
    };
    let precision: usize = rest[..end].parse().map_err(|_odd| wrong())?;
    if precision > PRECISION_MAX {
        let text =
            format!("precision {precision} exceeds maximum allowed precision {PRECISION_MAX}");
        return Err(Error::text(text));
    }
    Ok((Some(precision), &rest[end..]))
}

fn clause(
    verb: char,
    precision: Option<usize>,
    value: &Value<'_>,
    out: &mut String,
    meter: &Meter,
) -> Result<(), Error> {
    let digits = precision.unwrap_or(6);
    // Writing into a string cannot fail.
    _ = match (verb, value) {
        ('s', value) => return shown(value, out, meter),
        ('d', Value::Int(n)) => write!(out, "{n}"),
        ('d', Value::Uint(n)) => write!(out, "{n}"),
        ('d', Value::Double(n)) if !n.is_finite() => write!(out, "{}", convert::double_text(*n)),
        ('f', value) => write!(out, "{:.digits$}", number(value)?),
        ('e', value) => {
            let text = std::format!("{:.digits$e}", number(value)?);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "{mantissa}e{sign}{:02}", exponent.abs())
        }
        ('b', Value::Bool(b)) => write!(out, "{}", u8::from(*b)),
        ('b', Value::Int(n)) => signed(*n, out, |n| std::format!("{n:b}")),
        ('b', Value::Uint(n)) => write!(out, "{n:b}"),
        ('o', Value::Int(n)) => signed(*n, out, |n| std::format!("{n:o}")),
        ('o', Value::Uint(n)) => write!(out, "{n:o}"),
        ('x', Value::Int(n)) => signed(*n, out, |n| std::format!("{n:x}")),
        ('x', Value::Uint(n)) => write!(out, "{n:x}"),
        ('X', Value::Int(n)) => signed(*n, out, |n| std::format!("{n:X}")),
        ('X', Value::Uint(n)) => write!(out, "{n:X}"),
        ('x', Value::String(text)) => hex(text.as_bytes(), out, false),
        ('X', Value::String(text)) => hex(text.as_bytes(), out, true),
        ('x', Value::Bytes(bytes)) => hex(bytes, out, false),
        ('X', Value::Bytes(bytes)) => hex(bytes, out, true),
        ('d' | 'b' | 'o' | 'x' | 'X', _) => {
            let kind = value.type_name();
            let text =
                std::format!("error during formatting: no formatting function for type {kind}");
            return Err(Error::text(text));
        }
        _ => {
            let text = std::format!(
                "could not parse formatting clause: unrecognized formatting clause \"{verb}\""
            );
            return Err(Error::text(text));
        }
    };
    Ok(())
}

fn number(value: &Value<'_>) -> Result<f64, Error> {
    match value {
        Value::Double(n) => Ok(*n),
        Value::Int(n) => Ok(*n as f64),
        Value::Uint(n) => Ok(*n as f64),
        _ => Err(Error::text(
            "error during formatting: fixed-point clause can only be used on doubles",
        )),
    }
}

fn signed(n: i64, out: &mut String, show: impl Fn(u64) -> String) -> std::fmt::Result {
    let sign = if n < 0 { "-" } else { "" };
    write!(out, "{sign}{}", show(n.unsigned_abs()))
}

fn hex(bytes: &[u8], out: &mut String, upper: bool) -> std::fmt::Result {
    bytes.iter().try_for_each(|b| {
        if upper {
            write!(out, "{b:02X}")
        } else {
            write!(out, "{b:02x}")
        }
    })
}

/// `%s` of anything: lists as `[a, b]`, maps as `{k: v}`.
fn shown(value: &Value<'_>, out: &mut String, meter: &Meter) -> Result<(), Error> {
    meter.charge(1 + value.weight())?;
    match value {
        Value::List(list) => {
            out.push('[');
            for (n, item) in list.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                shown(&item, out, meter)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.display().cmp(&b.display()));
            out.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                shown(key, out, meter)?;
                out.push_str(": ");
                shown(value, out, meter)?;
            }
            out.push('}');
        }
        Value::Bytes(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
        other => out.push_str(&other.display()),
    }
    Ok(())
}
