//! Several histograms below one another, one column per power of two.

use std::fmt;

use crate::Histogram;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Named histograms to print together.
#[derive(Clone, Debug, Default)]
pub struct AsciiChart {
    rows: Vec<(String, Histogram)>,
}

impl AsciiChart {
    /// Without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more row.
    #[must_use]
    pub fn add(mut self, name: &str, histogram: Histogram) -> Self {
        self.rows.push((name.to_owned(), histogram));
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rows.iter().map(|(name, _)| name.chars().count());
        let width = names.max().unwrap_or(0);
        for (name, histogram) in &self.rows {
            let powers = histogram.powers();
            let most = powers.iter().copied().max().unwrap_or(0);
            let columns: String = powers.iter().map(|count| column(*count, most)).collect();
            writeln!(f, "{name:<width$} |{columns}| n={}", histogram.total())?;
        }
        Ok(())
    }
}

fn column(count: u64, most: u64) -> char {
    if count == 0 {
        return ' ';
    }
    let highest = LEVELS.len() as u64 - 1;
    let level = u128::from(count) * u128::from(highest) / u128::from(most.max(1));
    LEVELS[usize::try_from(level).unwrap_or(0).min(LEVELS.len() - 1)]
}
