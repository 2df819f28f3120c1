//! One figure of both systems beside their ratio and its bar.

use std::fmt;

use crate::bench::figure::{Bar, Figure};
use crate::bench::store::System;

/// Something of each system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sides<T> {
    /// The peer's.
    pub etcd: T,
    /// Ours.
    pub stoa: T,
}

impl<T> Sides<T> {
    /// That of the system.
    pub fn of(&mut self, system: System) -> &mut T {
        match system {
            System::Etcd => &mut self.etcd,
            System::Stoa => &mut self.stoa,
        }
    }

    /// Something made of each.
    pub fn map<'a, U>(&'a self, make: impl Fn(&'a T) -> U) -> Sides<U> {
        Sides {
            etcd: make(&self.etcd),
            stoa: make(&self.stoa),
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Of what.
    pub unit: &'static str,
    /// How much.
    pub values: Sides<f64>,
    /// What our value divided by etcd's is to be.
    pub bar: Bar,
    /// False when the figures beside it cannot be believed.
    sound: bool,
}

impl Row {
    /// A row whose bar is on the ratio.
    pub fn new(name: impl Into<String>, unit: &'static str, values: Sides<f64>, bar: Bar) -> Self {
        Self {
            name: name.into(),
            unit,
            values,
            bar,
            sound: true,
        }
    }

    /// Calls that failed: whoever has them has missed every bar.
    pub fn failed(name: impl Into<String>, counts: Sides<f64>) -> Self {
        Self {
            sound: false,
            ..Self::new(name, "calls", counts, Bar::None)
        }
    }

    /// Ours divided by etcd's.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.values.stoa / self.values.etcd
    }

    /// True when the bar is reached, or there is none and nothing failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.sound && Figure::new("", self.ratio(), "×", self.bar).is_good()
    }

    /// The line above a table.
    #[must_use]
    pub fn heading() -> String {
        format!(
            "{:<56} {:>10} {:>10} {:<6} {:>7}  bar",
            "", "etcd", "stoa", "", "ratio"
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bar = match self.bar {
            Bar::AtLeast(bar) => format!("≥ {bar:.2}"),
            Bar::AtMost(bar) => format!("≤ {bar:.2}"),
            Bar::None => String::new(),
        };
        let verdict = match (self.bar, self.is_good()) {
            (Bar::None, true) => "",
            (Bar::AtLeast(_) | Bar::AtMost(_), true) => "met",
            (Bar::AtLeast(_) | Bar::AtMost(_) | Bar::None, false) => "MISSED",
        };
        let Sides { etcd, stoa } = self.values;
        let line = format!(
            "{:<56} {etcd:>10.2} {stoa:>10.2} {:<6} {:>7.2}  {bar:<7} {verdict}",
            self.name,
            self.unit,
            self.ratio()
        );
        f.write_str(line.trim_end())
    }
}

/// The middle one; of an even count the lower of the two, zero of none.
#[must_use]
pub(in crate::bench) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sides(etcd: f64, stoa: f64) -> Sides<f64> {
        Sides { etcd, stoa }
    }

    #[test]
    fn the_bar_is_on_the_ratio() {
        let row = |stoa| Row::new("x", "/s", sides(100.0, stoa), Bar::AtLeast(2.0));
        assert!(row(200.0).is_good());
        assert!(!row(199.0).is_good());
        assert!(row(199.0).to_string().ends_with("MISSED"));
    }

    #[test]
    fn calls_that_failed_are_a_miss() {
        assert!(!Row::failed("x", sides(0.0, 1.0)).is_good());
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 1.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
