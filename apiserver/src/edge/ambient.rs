//! The clock and the dice: the one place in this crate that reads them.

use std::cell::RefCell;

use http::HeaderValue;
use jiff::Timestamp;

thread_local! {
    /// The last date that was asked for, and its second.
    static DATE: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
}

/// The wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge is where the clock is read"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The wall clock in whole seconds since 1970.
pub(crate) fn now_s() -> u64 {
    u64::try_from(now().as_second()).unwrap_or(0)
}

/// A random number: for uids, request ids and spreading timers.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge is where randomness is drawn"
)]
pub(crate) fn seed() -> u128 {
    rand::random()
}

/// The date as HTTP writes it; made once a second.
pub(crate) fn date() -> HeaderValue {
    let now = now();
    let second = u64::try_from(now.as_second()).unwrap_or(0);
    DATE.with_borrow_mut(|(made, date)| {
        if *made != second {
            let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            *date = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
            *made = second;
        }
        date.clone()
    })
}
