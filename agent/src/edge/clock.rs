//! The clock, and ids drawn from the kernel.

use std::fs;
use std::io;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970: the `now` of the cores. Wall time when the agent began, for deadlines
/// outlive it; steady from then on, so that a clock that is set delays no kill.
pub(crate) fn now_ms() -> u64 {
    static BEGIN: LazyLock<(Instant, i64)> = LazyLock::new(|| (Instant::now(), now_us()));
    let (began, at_us) = &*BEGIN;
    let since = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    u64::try_from(at_us / 1_000)
        .unwrap_or(0)
        .saturating_add(since)
}

/// A fresh random UUID.
pub(crate) fn uuid() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?
        .trim()
        .to_owned())
}

/// A number below `bound` that differs from process to process and call to call: spreads retries.
pub(crate) fn jitter(bound: u64) -> u64 {
    let mixed =
        u64::from(std::process::id()) ^ now_us().unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 17) % bound.max(1)
}

/// Tells this start of the machine from all others.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}
