//! `Ranges`: a set of ports as sorted, disjoint, inclusive ranges.

use std::fmt;
use std::str::FromStr;

/// A set of ports: sorted, disjoint, never adjacent, each inclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Vec<(u16, u16)>);

/// Why a text is no set of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a list of ports: {why}; write for example \"31000-31005,32000\"")]
pub struct RangeError {
    text: String,
    why: &'static str,
}

impl Ranges {
    /// The set of these inclusive ranges; they may overlap and come in any order.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut sorted: Vec<_> = ranges
            .into_iter()
            .filter(|(first, last)| first <= last)
            .collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                Some(_) | None => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// True for no port.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ports.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0
            .iter()
            .map(|(first, last)| u32::from(*last) - u32::from(*first) + 1)
            .sum()
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// Every port, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Ports in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied())
    }

    /// Ports in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let overlap = |a: &(u16, u16), b: &(u16, u16)| (a.0.max(b.0), a.1.min(b.1));
        Self::new(
            self.0
                .iter()
                .flat_map(|a| other.0.iter().map(move |b| overlap(a, b))),
        )
    }

    /// Ports here and not there.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for (first, last) in &other.0 {
            left = left
                .into_iter()
                .flat_map(|range| cut(range, (*first, *last)))
                .collect();
        }
        Self(left)
    }

    /// True when every port of `other` is here.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let held = |b: &(u16, u16)| self.0.iter().any(|a| a.0 <= b.0 && b.1 <= a.1);
        other.0.iter().all(held)
    }
}

/// What is left of `range` below and above `hole`.
fn cut(range: (u16, u16), hole: (u16, u16)) -> impl Iterator<Item = (u16, u16)> {
    let below = hole.0.checked_sub(1).map(|end| (range.0, range.1.min(end)));
    let above = hole
        .1
        .checked_add(1)
        .map(|start| (range.0.max(start), range.1));
    [below, above]
        .into_iter()
        .flatten()
        .filter(|(first, last)| first <= last)
}

impl FromStr for Ranges {
    type Err = RangeError;

    /// Reads `31000-31005,32000`, in brackets or not.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let wrong = |why| RangeError {
            text: text.to_owned(),
            why,
        };
        let trimmed = text.trim();
        let inner = match (trimmed.strip_prefix('['), trimmed.strip_suffix(']')) {
            (Some(open), Some(_)) => &open[..open.len() - 1],
            (None, None) => trimmed,
            (Some(_), None) | (None, Some(_)) => return Err(wrong("a bracket has no partner")),
        };
        if inner.trim().is_empty() {
            return Ok(Self::default());
        }
        inner
            .split(',')
            .map(range)
            .collect::<Result<Vec<_>, _>>()
            .map(Self::new)
            .map_err(wrong)
    }
}

fn range(text: &str) -> Result<(u16, u16), &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err("a range goes from the lower port to the higher");
    }
    Ok((first, last))
}

fn port(text: &str) -> Result<u16, &'static str> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a port is a number");
    }
    match text.parse() {
        Ok(0) | Err(_) => Err("a port is between 1 and 65535"),
        Ok(port) => Ok(port),
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}
