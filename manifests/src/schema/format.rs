//! The `format` and `pattern` keywords.

mod addresses;
mod email;
mod numbers;
mod times;

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// True when a string has the format: those of `kube-openapi/pkg/validation/strfmt`, as they are
/// checked there. Formats that are not known promise nothing.
pub(super) fn string_has(format: &str, text: &str) -> bool {
    // A dash within the name does not count, as upstream.
    match format.replace('-', "").as_str() {
        "datetime" => times::is_date_time(text),
        "date" => times::is_date(text),
        "duration" => times::is_duration(text),
        "ip" => text.parse::<std::net::IpAddr>().is_ok(),
        "ipv4" => text.contains('.') && text.parse::<std::net::IpAddr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<std::net::IpAddr>().is_ok(),
        "cidr" => addresses::is_cidr(text),
        "mac" => addresses::is_mac(text),
        "hostname" => addresses::is_hostname(text),
        "uri" => addresses::is_request_uri(text),
        "email" => email::is_address(text),
        "byte" => is_base64(text),
        "isbn" => numbers::is_isbn10(text) || numbers::is_isbn13(text),
        "isbn10" => numbers::is_isbn10(text),
        "isbn13" => numbers::is_isbn13(text),
        "creditcard" => numbers::is_credit_card(text),
        other => pattern(other).is_none_or(|pattern| matches(pattern, text)),
    }
}

/// Formats that are a pattern.
fn pattern(format: &str) -> Option<&'static str> {
    Some(match format {
        "uuid" => r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
        "uuid3" => r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
        "uuid4" => r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$",
        "uuid5" => r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$",
        "bsonobjectid" => r"(?i)^[0-9a-f]{24}$",
        "ssn" => r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$",
        "hexcolor" => r"(?i)^#?([0-9a-f]{3}|[0-9a-f]{6})$",
        "rgbcolor" => {
            r"^rgb\(\s*(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])\s*(,\s*(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])\s*){2}\)$"
        }
        _ => return None,
    })
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
