//! The `format` and `pattern` keywords.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// True when a string has the format. Formats that are not known here promise nothing.
pub(super) fn string_has(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "ip" => text.parse::<std::net::IpAddr>().is_ok(),
        "uuid" => is_uuid(text),
        "byte" => is_base64(text),
        _ => true,
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    hex && (lengths == [8, 4, 4, 4, 12] || lengths == [32])
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.bytes().all(plain)
}

/// True when a whole number fits its format. Kubernetes checks the signed ones alone; the unsigned
/// ones are checked as well, because a number that fits no field would stop every typed reader.
pub(super) fn number_has(format: &str, value: &Value) -> bool {
    let Some(number) = whole(value) else {
        return true;
    };
    let fits = |least: i128, most: i128| (least..=most).contains(&number);
    match format {
        "int8" => fits(i8::MIN.into(), i8::MAX.into()),
        "int16" => fits(i16::MIN.into(), i16::MAX.into()),
        "int32" => fits(i32::MIN.into(), i32::MAX.into()),
        "int64" => fits(i64::MIN.into(), i64::MAX.into()),
        "uint8" => fits(0, u8::MAX.into()),
        "uint16" => fits(0, u16::MAX.into()),
        "uint32" => fits(0, u32::MAX.into()),
        "uint64" => fits(0, u64::MAX.into()),
        _ => true,
    }
}

/// The whole number a value is, if it is one; `2.0` is.
pub(super) fn whole(value: &Value) -> Option<i128> {
    let integer = value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from));
    integer.or_else(|| value.as_f64().and_then(whole_float))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and within range"
)]
fn whole_float(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() < 1e30).then_some(number as i128)
}

/// A thread's compiled patterns: compiling one costs a hundred times what matching does.
const PATTERNS_MAX: usize = 256;

thread_local! {
    static PATTERNS: RefCell<BTreeMap<String, Option<Regex>>> = const { RefCell::new(BTreeMap::new()) };
}

/// True when the text matches. A pattern that cannot be compiled matches everything: the
/// definition should have been refused, the object is not to blame.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|patterns| {
        if !patterns.contains_key(pattern) {
            if patterns.len() >= PATTERNS_MAX {
                patterns.clear();
            }
            patterns.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        patterns
            .get(pattern)
            .and_then(Option::as_ref)
            .is_none_or(|regex| regex.is_match(text))
    })
}
