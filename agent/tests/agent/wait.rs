//! Bounded waits for a level, which remember what was missing.

use std::thread;
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(30);

/// Waits until `look` finds what it looks for; fails with its last reason.
pub(crate) fn until<T>(mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(reason) => assert!(begun.elapsed() < BOUND, "gave up waiting: {reason}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a condition holds.
pub(crate) fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(|| {
        if holds() {
            Ok(())
        } else {
            Err(what.to_owned())
        }
    });
}
