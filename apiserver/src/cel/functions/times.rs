//! Parts of times and durations. Time zones are UTC or an offset.

use jiff::tz::{Offset, TimeZone};

use super::Outcome;
use crate::cel::eval::Error;
use crate::cel::value::Value;

/// Methods.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>]) -> Option<Outcome<'a>> {
    match args {
        [Value::Duration(nanos)] => of_duration(name, *nanos).map(|n| Ok(Value::Int(n))),
        [Value::Timestamp(time)] => of_time(name, *time, TimeZone::UTC).map(|n| Ok(Value::Int(n))),
        [Value::Timestamp(time), Value::String(zone)] => Some(match zone_of(zone) {
            Some(zone) => of_time(name, *time, zone)
                .map(Value::Int)
                .ok_or(Error::Overload),
            None => Err(Error::text(format!("unknown time zone {}", &**zone))),
        }),
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

fn of_time(name: &str, time: jiff::Timestamp, zone: TimeZone) -> Option<i64> {
    let time = time.to_zoned(zone);
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

/// `UTC`, `+02:00`, `-09:30`.
fn zone_of(name: &str) -> Option<TimeZone> {
    if matches!(name, "UTC" | "" | "Z" | "GMT" | "Etc/UTC") {
        return Some(TimeZone::UTC);
    }
    let (sign, rest) = match name.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?;
    Some(TimeZone::fixed(offset))
}
