//! The clock and the dice: the one place in this crate that reads them.

use jiff::Timestamp;

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
