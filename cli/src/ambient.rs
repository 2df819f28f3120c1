//! The clock and the dice: the one place where commands meet either.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the edge that reads clock and dice"
)]

use jiff::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(now().as_millisecond()).unwrap_or(0)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    now_ms() / 1_000
}

/// Random bits.
pub(crate) fn random() -> u128 {
    rand::random()
}
