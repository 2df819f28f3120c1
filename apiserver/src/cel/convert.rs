//! Times, durations and numbers as text, in Go's words.

use jiff::Timestamp;

/// First and last second of the years 1 to 9999, which CEL allows.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// An RFC 3339 time.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    // jiff reads more than RFC 3339 allows.
    let shaped = text.len() >= 20 && matches!(text.as_bytes()[10], b'T' | b't');
    let time: Timestamp = text.parse().ok().filter(|_| shaped)?;
    SECONDS.contains(&time.as_second()).then_some(time)
}

pub(crate) fn in_range(time: Timestamp) -> Option<Timestamp> {
    SECONDS.contains(&time.as_second()).then_some(time)
}

pub(crate) fn timestamp_text(time: Timestamp) -> String {
    time.to_string()
}

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// A duration as Go writes it, `1h30m`, in nanoseconds.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let split = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, after) = rest.split_at(split);
        let split = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(split.unwrap_or(after.len()));
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += amount(number, *scale)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounded by the check before"
)]
fn amount(number: &str, scale: f64) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || number.len() > 40 {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let part: f64 = format!("0.{fraction}0").parse().ok()?;
    let whole = whole.checked_mul(scale as i128)?;
    (whole < 1 << 70).then(|| whole + (part * scale) as i128)
}

/// `5400s`, as `string(duration)` says it.
pub(crate) fn duration_text(nanos: i64) -> String {
    let seconds = nanos as f64 / 1e9;
    format!("{seconds}s")
}

/// Go's shortest `%g`.
pub(crate) fn double_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let plain = number.to_string();
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..21).contains(&exponent) {
        return plain;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("-1.5s", Some(-1_500_000_000)),
            ("300ms", Some(300_000_000)),
            ("0", Some(0)),
            (".5m", Some(30_000_000_000)),
            ("", None),
            ("1", None),
            ("1d", None),
            ("h", None),
            ("9999999999999h", None),
        ] {
            assert_eq!(duration(text), nanos, "{text}");
        }
        assert_eq!(duration_text(5_400_000_000_000), "5400s");
        assert_eq!(duration_text(1_500_000_000), "1.5s");
    }

    #[test]
    fn doubles_and_times() {
        assert_eq!(double_text(1.5), "1.5");
        assert_eq!(double_text(3.0), "3");
        assert_eq!(double_text(1e21), "1e+21");
        assert_eq!(double_text(1e-7), "1e-07");
        assert!(timestamp("2026-01-02T03:04:05.5Z").is_some());
        assert!(timestamp("2026-01-02").is_none());
    }
}
