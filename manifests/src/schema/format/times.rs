//! Dates, times and durations.

use super::matches;

/// `2006-01-02`, a day that exists.
pub(super) fn is_date(text: &str) -> bool {
    matches(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", text) && text.parse::<jiff::civil::Date>().is_ok()
}

/// RFC 3339, with a leap second neither here nor upstream.
pub(super) fn is_date_time(text: &str) -> bool {
    const TIME: &str =
        r"^(?i)([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})$";
    text.split_once(['T', 't'])
        .is_some_and(|(date, time)| is_date(date) && matches(TIME, time))
}

/// Go's durations (`1h30m`, `-1.5s`), or numbers with units spelled out (`3 days`, `2 weeks`).
pub(super) fn is_duration(text: &str) -> bool {
    const GO: &str = r"^[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";
    const SPELLED: &str = r"(?i)[0-9]+\s*(ns|nano[a-z]*|us|µs|micro[a-z]*|ms|milli[a-z]*|s|sec[a-z]*|m|min[a-z]*|h|hr|hour[a-z]*|d|day[a-z]*|w|wk|week[a-z]*)([^a-zµ]|$)";
    matches(GO, text) || matches(SPELLED, text)
}
