//! Parts of times and durations.

use std::num::IntErrorKind;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::Outcome;
use crate::cel::eval::Error;
use crate::cel::value::Value;

/// Methods.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    match args {
        [Value::Duration(nanos)] => of_duration(name, *nanos).map(|n| Ok(Value::Int(n))),
        [Value::Timestamp(time)] => {
            of_time(name, &time.to_zoned(TimeZone::UTC)).map(|n| Ok(Value::Int(n)))
        }
        [Value::Timestamp(time), Value::String(place)] => Some(
            at(*time, place)
                .and_then(|time| of_time(name, &time).ok_or(Error::Overload))
                .map(Value::Int),
        ),
        _ => None,
    }
}

fn of_duration(name: &str, nanos: i64) -> Option<i64> {
    Some(match name {
        "getHours" => nanos / 3_600_000_000_000,
        "getMinutes" => nanos / 60_000_000_000,
        "getSeconds" => nanos / 1_000_000_000,
        "getMilliseconds" => nanos / 1_000_000,
        _ => return None,
    })
}

fn of_time(name: &str, time: &Zoned) -> Option<i64> {
    Some(match name {
        "getFullYear" => time.year().into(),
        "getMonth" => i64::from(time.month()) - 1,
        "getDate" => time.day().into(),
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDayOfWeek" => time.weekday().to_sunday_zero_offset().into(),
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getHours" => time.hour().into(),
        "getMinutes" => time.minute().into(),
        "getSeconds" => time.second().into(),
        "getMilliseconds" => time.millisecond().into(),
        _ => return None,
    })
}

/// The time as it is somewhere: a name of the IANA database as it is spelt there, or an offset such as
/// `+02:00`, of any size (cel-go's `timestamp.go`, Go's `time.LoadLocation`).
fn at(time: Timestamp, place: &str) -> Result<Zoned, Error> {
    let Some((hours, minutes)) = place.split_once(':') else {
        return named(place).map(|zone| time.to_zoned(zone));
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minutes = match place.starts_with('-') {
        true => hours * 60 - minutes,
        false => hours * 60 + minutes,
    };
    let shifted = time.checked_add(SignedDuration::from_secs(minutes * 60));
    let shifted = shifted.map_err(|_odd| Error::text("timestamp overflow"))?;
    Ok(shifted.to_zoned(TimeZone::UTC))
}

fn named(name: &str) -> Result<TimeZone, Error> {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Err(Error::text("time: invalid location name"));
    }
    // A cluster is at no place of its own.
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    let found = ZONES.get(name).ok();
    let found = found.filter(|zone| zone.iana_name() == Some(name) && !zone.is_unknown());
    found.ok_or_else(|| Error::text(format!("unknown time zone {name}")))
}

/// A whole number that fits 32 bits: no shift by it can overflow.
fn number(text: &str) -> Result<i64, Error> {
    let parsed = text.parse::<i32>().map(i64::from);
    parsed.map_err(|error| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Error::text(format!("strconv.Atoi: parsing {text:?}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::value::Text;

    fn get(method: &str, time: &str, place: &str) -> Result<i64, String> {
        let time = Value::Timestamp(time.parse().unwrap());
        let args = [time, Value::String(Text::Shared(place.into()))];
        match call(method, &args)
            .unwrap()
            .map_err(|error| error.to_string())?
        {
            Value::Int(n) => Ok(n),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn parts_of_a_time_somewhere() {
        let (winter, summer) = ("2026-01-15T23:45:10.5Z", "2026-07-15T23:45:10Z");
        for (method, time, place, expected) in [
            ("getHours", winter, "America/New_York", 18),
            ("getHours", summer, "America/New_York", 19),
            ("getHours", summer, "US/Pacific", 16),
            ("getDate", summer, "Europe/London", 16),
            ("getDayOfMonth", summer, "Europe/London", 15),
            ("getMinutes", winter, "Asia/Kathmandu", 30),
            ("getDayOfWeek", winter, "Asia/Tokyo", 5),
            ("getDayOfYear", "2026-12-31T23:00:00Z", "Asia/Tokyo", 0),
            ("getFullYear", "2026-12-31T23:00:00Z", "Asia/Tokyo", 2027),
            ("getMonth", "2026-12-31T23:00:00Z", "Asia/Tokyo", 0),
            ("getSeconds", winter, "Asia/Tokyo", 10),
            ("getMilliseconds", winter, "Asia/Tokyo", 500),
            ("getHours", winter, "", 23),
            ("getHours", winter, "UTC", 23),
            ("getHours", winter, "Local", 23),
            ("getHours", winter, "Etc/GMT+5", 18),
            ("getHours", winter, "+02:00", 1),
            ("getHours", winter, "2:00", 1),
            ("getMinutes", winter, "-00:30", 15),
            ("getDate", winter, "-48:00", 13),
            // Before there were zones, a city had its own time.
            ("getMinutes", "1850-01-01T00:00:00Z", "America/New_York", 3),
        ] {
            assert_eq!(
                get(method, time, place),
                Ok(expected),
                "{method} {time} {place}"
            );
        }
    }

    #[test]
    fn places_that_are_none() {
        for (place, problem) in [
            ("Mars/Phobos", "unknown time zone Mars/Phobos"),
            ("america/new_york", "unknown time zone america/new_york"),
            ("utc", "unknown time zone utc"),
            ("Etc/Unknown", "unknown time zone Etc/Unknown"),
            ("Z", "unknown time zone Z"),
            ("../etc/passwd", "time: invalid location name"),
            ("/etc/localtime", "time: invalid location name"),
            ("a:00", "strconv.Atoi: parsing \"a\": invalid syntax"),
            ("01:", "strconv.Atoi: parsing \"\": invalid syntax"),
            ("01:2:3", "strconv.Atoi: parsing \"2:3\": invalid syntax"),
            (
                "99999999999:00",
                "strconv.Atoi: parsing \"99999999999\": value out of range",
            ),
            ("2000000000:00", "timestamp overflow"),
        ] {
            let found = get("getHours", "2026-01-15T23:45:10Z", place);
            assert_eq!(found, Err(problem.to_owned()), "{place}");
        }
    }
}
