//! What a scalar means: the core schema of YAML 1.2.

use granit_parser::Tag;
use serde_json::{Number, Value};

/// A scalar's meaning: by its tag, else by its text if that is plain; quoted text is text.
///
/// # Errors
/// In words, when the tag is not YAML's own or the text is no such number.
pub(super) fn resolve(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let text_as_is = || Ok(Value::String(text.to_owned()));
    let Some(tag) = tag else {
        return if is_plain { plain(text) } else { text_as_is() };
    };
    match tag.core_suffix() {
        Some("str" | "binary") => text_as_is(),
        Some("int" | "float" | "bool" | "null") => plain(text),
        None if tag.original() == "!" => text_as_is(),
        Some(_) | None => Err(format!("the tag {} means nothing here", tag.original())),
    }
}

/// A plain scalar's meaning.
///
/// # Errors
/// A number that no JSON number holds exactly, in words.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if is_special_float(text) {
        return Err(format!(
            "{text} is no number an object can hold; quote it if it is a text"
        ));
    }
    if let Some(integer) = integer(text) {
        let too_large = || format!("{text} is too large for a number; quote it if it is a text");
        return integer.map(Value::Number).ok_or_else(too_large);
    }
    if is_float(text) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        return number
            .map(Value::Number)
            .ok_or_else(|| format!("{text} is too large for a number"));
    }
    Ok(Value::String(text.to_owned()))
}

/// What a reader of YAML 1.1 would take for something else, in words.
pub(super) fn ambiguity(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let octal =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    octal.then(|| {
        let value = digits.trim_start_matches('0');
        format!(
            "{text} is read as {value:0>1}, decimal; write 0o{value:0>1} for octal, or quote it"
        )
    })
}

/// `None` when the text is no integer; `Some(None)` when it is one that does not fit.
fn integer(text: &str) -> Option<Option<Number>> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return Some(u64::from_str_radix(digits, radix).ok().map(Number::from));
        }
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let signed = text.parse::<i64>().ok().map(Number::from);
    Some(signed.or_else(|| text.parse::<u64>().ok().map(Number::from)))
}

fn is_special_float(text: &str) -> bool {
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (bare, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let bare = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !bare.is_empty() && digits(bare)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_fits && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        let table = [
            ("", json!(null)),
            ("~", json!(null)),
            ("True", json!(true)),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("12", json!(12)),
            ("-12", json!(-12)),
            ("+12", json!(12)),
            ("0644", json!(644)),
            ("0o644", json!(420)),
            ("0xff", json!(255)),
            ("0x", json!("0x")),
            ("1_000", json!("1_000")),
            (
                "18446744073709551615",
                json!(18_446_744_073_709_551_615_u64),
            ),
            ("0.5", json!(0.5)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            (".", json!(".")),
            ("1e3", json!(1000.0)),
            ("1e", json!("1e")),
            ("e3", json!("e3")),
            ("1.2.3", json!("1.2.3")),
            ("2026-01-02", json!("2026-01-02")),
            ("64Mi", json!("64Mi")),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text), Ok(expected), "{text}");
        }
        for text in [
            "-.inf",
            ".NaN",
            "1e999",
            "18446744073709551616",
            "0xfffffffffffffffff",
        ] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
