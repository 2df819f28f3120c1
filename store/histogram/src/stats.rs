//! What is said of a distribution in one line.

use std::fmt;

/// Percentiles of a histogram's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// Number of samples.
    pub samples: u64,
    /// One in a thousand lies at or below.
    pub p0_1: u64,
    /// One in a hundred lies at or below.
    pub p1: u64,
    /// One in twenty lies at or below.
    pub p5: u64,
    /// One in ten lies at or below.
    pub p10: u64,
    /// The median.
    pub p50: u64,
    /// Nine in ten lie at or below.
    pub p90: u64,
    /// All but one in a hundred lie at or below.
    pub p99: u64,
    /// All but one in a thousand lie at or below.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("p0.1", self.p0_1),
            ("p1", self.p1),
            ("p5", self.p5),
            ("p10", self.p10),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
        ];
        write!(f, "n={}", self.samples)?;
        named
            .iter()
            .try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
