//! How fast one user may ask: a bucket of tokens for each, filled at a steady rate.

use std::collections::HashMap;

/// Buckets kept before those that are full again are thrown away.
const BUCKETS: usize = 4_096;

/// Requests a user may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, for each second.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// A bucket for each user who asked lately.
#[derive(Debug)]
pub struct Buckets {
    rate: Rate,
    known: HashMap<String, Bucket>,
}

/// Tokens are counted in thousandths, so that a millisecond fills `per_second` of them.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: u64,
    at_ms: u64,
}

const TOKEN: u64 = 1_000;

impl Buckets {
    /// All buckets are full.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate: Rate {
                per_second: rate.per_second.max(1),
                burst: rate.burst.max(1),
            },
            known: HashMap::new(),
        }
    }

    /// Takes a token of the user's.
    ///
    /// # Errors
    /// Milliseconds until there is one.
    pub fn take(&mut self, user: &str, now_ms: u64) -> Result<(), u64> {
        let rate = self.rate;
        if let Some(bucket) = self.known.get_mut(user) {
            return bucket.take(rate, now_ms);
        }
        if self.known.len() >= BUCKETS {
            self.known.retain(|_, bucket| !bucket.is_full(rate, now_ms));
        }
        let mut bucket = Bucket {
            tokens: u64::from(rate.burst) * TOKEN,
            at_ms: now_ms,
        };
        let answer = bucket.take(rate, now_ms);
        self.known.insert(user.to_owned(), bucket);
        answer
    }
}

impl Bucket {
    fn fill(&mut self, rate: Rate, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        let gained = passed.saturating_mul(rate.per_second.into());
        self.tokens = (self.tokens.saturating_add(gained)).min(u64::from(rate.burst) * TOKEN);
        self.at_ms = now_ms.max(self.at_ms);
    }

    fn is_full(mut self, rate: Rate, now_ms: u64) -> bool {
        self.fill(rate, now_ms);
        self.tokens == u64::from(rate.burst) * TOKEN
    }

    fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        self.fill(rate, now_ms);
        match self.tokens.checked_sub(TOKEN) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err((TOKEN - self.tokens).div_ceil(rate.per_second.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_slowed_down_alone() {
        let mut buckets = Buckets::new(Rate {
            per_second: 10,
            burst: 2,
        });
        for (user, now_ms, expected) in [
            ("a", 0, Ok(())),
            ("a", 0, Ok(())),
            ("a", 0, Err(100)),
            ("b", 0, Ok(())),
            ("a", 99, Err(1)),
            ("a", 100, Ok(())),
            ("a", 100, Err(100)),
            // A clock that steps back gives nothing.
            ("a", 50, Err(100)),
            ("a", 10_000, Ok(())),
            ("a", 10_000, Ok(())),
            ("a", 10_000, Err(100)),
        ] {
            assert_eq!(buckets.take(user, now_ms), expected, "{user} at {now_ms}");
        }
    }

    #[test]
    fn buckets_that_are_full_again_are_not_kept() {
        let mut buckets = Buckets::new(Rate {
            per_second: 1_000,
            burst: 1,
        });
        for n in 0..10 * BUCKETS as u64 {
            assert_eq!(buckets.take(&n.to_string(), n), Ok(()));
            assert!(buckets.known.len() <= BUCKETS);
        }
    }
}
