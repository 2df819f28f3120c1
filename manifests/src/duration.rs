//! `Span`: a duration as people write it, `30s`, `1h30m`, `500ms`, `1w2d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A non-negative duration in whole milliseconds, written `1h30m` (or a number of seconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// Units from the largest to the smallest, as printing needs them.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// What the schema lets through; `FromStr` is the judge of order and size.
const PATTERN: &str = r"^([0-9]+(ms|w|d|h|m|s))+$";

impl Span {
    /// The span of so many milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// The span of so many seconds; the longest there is where that would overflow.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// The same as the standard library has it.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A text that is no span, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: {why}; write for example \"30s\", \"1h30m\" or \"500ms\"")]
pub struct SpanError {
    text: String,
    why: &'static str,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        parse(text).map(Self).map_err(|why| SpanError {
            text: text.to_owned(),
            why,
        })
    }
}

/// Each unit at most once and the largest first, so that `90m1h` is seen for the slip it is.
fn parse(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.starts_with('-') {
        return Err("it is negative");
    }
    let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.iter());
    while !rest.is_empty() {
        let (digits, after) = split(rest, |c| c.is_ascii_digit());
        let (name, after) = split(after, |c| c.is_ascii_alphabetic());
        if digits.is_empty() {
            return Err("a number is missing");
        }
        if name.is_empty() {
            return Err("a unit (w, d, h, m, s or ms) is missing");
        }
        if !UNITS.iter().any(|(unit, _)| *unit == name) {
            return Err("the units are w, d, h, m, s and ms");
        }
        let Some((_, size)) = units.find(|(unit, _)| *unit == name) else {
            return Err("units go from the largest to the smallest, each at most once");
        };
        let count: u64 = digits.parse().map_err(|_overflow| TOO_LONG)?;
        let part = count.checked_mul(*size).ok_or(TOO_LONG)?;
        total = total.checked_add(part).ok_or(TOO_LONG)?;
        rest = after;
    }
    Ok(total)
}

const TOO_LONG: &str = "it is too long";

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in UNITS {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"30s\" or \"1h30m\", or a whole number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
        let ms = seconds
            .checked_mul(1_000)
            .ok_or_else(|| E::custom("the duration is too long"))?;
        Ok(Span(ms))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
        let seconds = u64::try_from(seconds)
            .map_err(|_negative| E::custom("a duration may not be negative"))?;
        self.visit_u64(seconds)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_what_people_write() {
        let table = [
            ("30s", 30_000, "30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("500ms", 500, "500ms"),
            ("1w2d", 777_600_000, "1w2d"),
            ("0s", 0, "0s"),
            ("1s500ms", 1_500, "1s500ms"),
        ];
        for (text, ms, printed) in table {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.ms(), span.to_string().as_str()),
                (ms, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_rest() {
        let table = [
            ("", "it is empty"),
            ("-5s", "it is negative"),
            ("30", "a unit (w, d, h, m, s or ms) is missing"),
            ("s", "a number is missing"),
            ("1.5h", "a unit (w, d, h, m, s or ms) is missing"),
            ("3 s", "a unit (w, d, h, m, s or ms) is missing"),
            ("5y", "the units are w, d, h, m, s and ms"),
            (
                "1m1h",
                "units go from the largest to the smallest, each at most once",
            ),
            (
                "1m1m",
                "units go from the largest to the smallest, each at most once",
            ),
            ("99999999999999999999s", "it is too long"),
            ("9999999999999999999w", "it is too long"),
        ];
        for (text, why) in table {
            let error = text.parse::<Span>().unwrap_err();
            assert_eq!(error.why, why, "{text}");
        }
    }

    #[test]
    fn takes_whole_seconds_as_a_number() {
        assert_eq!(
            serde_json::from_str::<Span>("90").unwrap(),
            Span::from_ms(90_000)
        );
        for bad in [
            "-1",
            "1.5",
            "true",
            "null",
            "18446744073709551615",
            "\"soon\"",
        ] {
            assert!(serde_json::from_str::<Span>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for ms in [0, 1, 999, 1_000, 61_001, 604_800_000, 694_861_001, u64::MAX] {
            let span = Span::from_ms(ms);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
