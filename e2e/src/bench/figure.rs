//! One measured figure beside its bar.

use std::fmt;
use std::time::Duration;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// Good at or above this.
    AtLeast(f64),
    /// Good at or below this.
    AtMost(f64),
    /// For information.
    None,
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What was aimed at.
    pub bar: Bar,
}

impl Figure {
    /// A figure and its bar.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, bar: Bar) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            bar,
        }
    }

    /// True when the bar is reached or there is none.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match self.bar {
            Bar::AtLeast(bar) => self.value >= bar,
            Bar::AtMost(bar) => self.value <= bar,
            Bar::None => true,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bar = match self.bar {
            Bar::AtLeast(bar) => format!("≥ {bar}"),
            Bar::AtMost(bar) => format!("≤ {bar}"),
            Bar::None => String::new(),
        };
        let verdict = match self.bar {
            Bar::None => "",
            Bar::AtLeast(_) | Bar::AtMost(_) if self.is_good() => "met",
            Bar::AtLeast(_) | Bar::AtMost(_) => "MISSED",
        };
        write!(
            f,
            "{:<52} {:>10.1} {:<8} {bar:<8} {verdict}",
            self.name, self.value, self.unit
        )
    }
}

/// The value below which `percent` of the samples lie (nearest rank); zero without samples.
#[must_use]
pub fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// Milliseconds with their fraction.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// A count as a number to divide with; counts here are far below 2^52.
#[must_use]
pub fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 50), Duration::from_millis(100));
        assert_eq!(percentile(&samples, 99), Duration::from_millis(198));
        assert_eq!(percentile(&samples[..1], 99), Duration::from_millis(200));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn bars_hold_both_ways() {
        assert!(Figure::new("x", 1000.0, "/s", Bar::AtLeast(1000.0)).is_good());
        assert!(!Figure::new("x", 51.0, "ms", Bar::AtMost(50.0)).is_good());
        assert!(
            Figure::new("x", 51.0, "ms", Bar::AtMost(50.0))
                .to_string()
                .contains("MISSED")
        );
    }
}
