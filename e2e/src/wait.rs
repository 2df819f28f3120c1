//! Bounded waits for a level, which remember the last reason why it was not reached.

use std::time::{Duration, Instant};

use crate::{Fault, Outcome};

/// Pause between two looks: short beside what is waited for, long beside the cost of a look.
const PAUSE: Duration = Duration::from_millis(40);

/// Longest a single look may take, so that a hung connection is a reason and not a hang.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// What a future gives, if it does so in time.
///
/// # Errors
/// After `limit`, with `what`.
pub async fn at_most<T>(
    what: &str,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Outcome<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => Ok(value),
        Err(_) => Err(Fault::new(format!("{what} took longer than {limit:?}"))),
    }
}

/// Looks until `look` succeeds, and returns what it found.
///
/// # Errors
/// After `limit`, with `what` and the reason given by the last look.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Outcome<T>,
) -> Outcome<T> {
    let start = Instant::now();
    loop {
        let reason = match tokio::time::timeout(LOOK_MAX, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => format!("no answer within {LOOK_MAX:?}"),
        };
        if start.elapsed() > limit {
            return Err(Fault::new(format!(
                "waited {limit:?} for {what}; last: {reason}"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
