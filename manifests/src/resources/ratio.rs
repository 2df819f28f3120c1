//! `Ratio`: a share as an exact fraction, compared without rounding.

use std::cmp::Ordering;
use std::fmt;

/// A non-negative fraction. Equal when the values are, whatever the terms.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    numerator: u128,
    denominator: u128,
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self {
        numerator: 0,
        denominator: 1,
    };

    /// `numerator / denominator`; `None` when the denominator is 0.
    #[must_use]
    pub const fn new(numerator: u128, denominator: u128) -> Option<Self> {
        if denominator == 0 {
            None
        } else {
            Some(Self {
                numerator,
                denominator,
            })
        }
    }

    /// The share per unit of a weight given in thousandths, as weighted DRF compares pools.
    /// Weights are at most 10^9 thousandths and shares quotients of `i64`: nothing overflows;
    /// elsewhere the terms stop at their largest.
    #[must_use]
    pub const fn per_weight(self, weight_milli: u64) -> Self {
        let weight = if weight_milli == 0 {
            1
        } else {
            weight_milli as u128
        };
        Self {
            numerator: self.numerator.saturating_mul(1_000),
            denominator: self.denominator.saturating_mul(weight),
        }
    }

    /// As a float, for metrics and for display alone.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "shown to people, never compared"
    )]
    pub fn to_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = self.numerator.checked_mul(other.denominator);
        let right = other.numerator.checked_mul(self.denominator);
        match (left, right) {
            (Some(left), Some(right)) => left.cmp(&right),
            (Some(_) | None, None) | (None, Some(_)) => by_continued_fraction(*self, *other),
        }
    }
}

/// Compares whole parts, then the remainders upside down: Euclid, so never a larger number.
fn by_continued_fraction(mut a: Ratio, mut b: Ratio) -> Ordering {
    loop {
        let whole = (a.numerator / a.denominator).cmp(&(b.numerator / b.denominator));
        if whole != Ordering::Equal {
            return whole;
        }
        let rest = (a.numerator % a.denominator, b.numerator % b.denominator);
        match rest {
            (0, 0) => return Ordering::Equal,
            (0, _) => return Ordering::Less,
            (_, 0) => return Ordering::Greater,
            (left, right) => {
                // a < b exactly when the inverse of b's remainder is below that of a's.
                let next = Ratio {
                    numerator: b.denominator,
                    denominator: right,
                };
                b = Ratio {
                    numerator: a.denominator,
                    denominator: left,
                };
                a = next;
            }
        }
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

/// Three decimals, rounded down: `0.250`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.numerator / self.denominator;
        let rest = self.numerator % self.denominator;
        let thousandths = rest.checked_mul(1_000).map_or_else(
            // A denominator this large loses nothing visible by dropping its last digits.
            || rest / (self.denominator / 1_000).max(1),
            |scaled| scaled / self.denominator,
        );
        write!(f, "{whole}.{:03}", thousandths.min(999))
    }
}
