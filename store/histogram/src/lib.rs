//! Histograms of `u64` samples for the metrics of openraft: counts in four buckets per
//! power of two, so a percentile is off by an eighth at most, in two kilobytes at most.
//!
//! It offers only what those crates call, under the name they call it by (`[patch]` in the root
//! manifest), and keeps no tables: the original computes lookup tables for every scale it knows at
//! first use, and they stay resident, 26 MB in a server that may take 40.
//!
//! Start with `bucket`, the one idea; `Histogram` counts, `chart.rs` prints.
//!
//! Tested against exact percentiles of samples over the whole range of `u64`.

mod chart;
mod stats;

use std::marker::PhantomData;

pub use chart::AsciiChart;
pub use stats::PercentileStats;

/// Two bits below the leading one choose among four buckets per power of two.
const PRECISION_BITS: u32 = 2;
const PER_POWER: usize = 1 << PRECISION_BITS;

/// Counts of samples by magnitude. `T` is what the callers' type has; nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    /// Up to the highest bucket used, so that an idle histogram costs nothing.
    counts: Vec<u64>,
    total: u64,
    kind: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// Without samples.
    pub fn new() -> Self {
        Self {
            counts: Vec::new(),
            total: 0,
            kind: PhantomData,
        }
    }

    /// Counts one sample.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts the sample `count` times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        if count == 0 {
            return;
        }
        let index = bucket(value);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] = self.counts[index].saturating_add(count);
        self.total = self.total.saturating_add(count);
    }

    /// Number of samples.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The value below or at which the fraction `p` (0 to 1) of the samples lies: the middle of the
    /// bucket it is in. 0 without samples.
    pub fn percentile(&self, p: f64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank that is off by one in 2^53 samples is still a percentile"
        )]
        let rank = (p.clamp(0.0, 1.0) * self.total as f64).ceil() as u64;
        let mut seen = 0_u64;
        let reached = self.counts.iter().position(|count| {
            seen = seen.saturating_add(*count);
            seen >= rank.max(1)
        });
        reached.map_or(0, middle)
    }

    /// The percentiles that are usually looked at.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.percentile(0.001),
            p1: self.percentile(0.01),
            p5: self.percentile(0.05),
            p10: self.percentile(0.1),
            p50: self.percentile(0.5),
            p90: self.percentile(0.9),
            p99: self.percentile(0.99),
            p99_9: self.percentile(0.999),
        }
    }

    /// Samples by power of two; 0 counts with 1.
    pub(crate) fn powers(&self) -> Vec<u64> {
        let mut powers = Vec::new();
        for (index, count) in self.counts.iter().enumerate() {
            let power = lowest(index).max(1).ilog2() as usize;
            powers.resize(power + 1, 0_u64);
            powers[power] = powers[power].saturating_add(*count);
        }
        powers
    }
}

/// The bucket of a value: its leading one and the bits after it. Values below `PER_POWER` have
/// buckets of their own.
fn bucket(value: u64) -> usize {
    if value < PER_POWER as u64 {
        return usize::try_from(value).unwrap_or(0);
    }
    let power = value.ilog2();
    let below = (value >> (power - PRECISION_BITS)) & (PER_POWER as u64 - 1);
    (power - PRECISION_BITS + 1) as usize * PER_POWER + usize::try_from(below).unwrap_or(0)
}

/// The lowest value of a bucket.
fn lowest(index: usize) -> u64 {
    let (group, below) = (index / PER_POWER, (index % PER_POWER) as u64);
    if group == 0 {
        below
    } else {
        (PER_POWER as u64 + below) << (group - 1)
    }
}

/// The middle of a bucket.
fn middle(index: usize) -> u64 {
    let width = 1_u64 << (index / PER_POWER).saturating_sub(1);
    lowest(index) + (width - 1) / 2
}

#[cfg(test)]
mod tests;
