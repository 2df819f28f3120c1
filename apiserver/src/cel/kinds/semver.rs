//! `semver("1.2.3")`, by semver.org.

use std::cmp::Ordering;

/// A version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Semver {
    pub(crate) numbers: [u64; 3],
    before: Vec<String>,
    pub(crate) text: String,
}

impl Semver {
    /// Parses a version; one to be normalised may have a `v`, leading zeros, or lack its last parts.
    pub(crate) fn parse(text: &str, normalize: bool) -> Option<Self> {
        let text = if normalize {
            normalized(text)
        } else {
            text.to_owned()
        };
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text.as_str(), None),
        };
        let (core, before) = match rest.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (rest, None),
        };
        let parts: Vec<&str> = core.split('.').collect();
        let [major, minor, patch] = parts.try_into().ok()?;
        let numbers = [number(major)?, number(minor)?, number(patch)?];
        let before: Vec<String> = before
            .map(|before| before.split('.').map(String::from).collect())
            .unwrap_or_default();
        let sound = before
            .iter()
            .all(|word| is_word(word) && !has_leading_zero(word));
        let built = build.is_none_or(|build| build.split('.').all(is_word));
        (sound && built).then(|| Self {
            numbers,
            before,
            text: text.clone(),
        })
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let by_number = self.numbers.cmp(&other.numbers);
        by_number.then_with(|| match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.compare_before(other),
        })
    }

    fn compare_before(&self, other: &Self) -> Ordering {
        for (a, b) in self.before.iter().zip(&other.before) {
            let order = match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        self.before.len().cmp(&other.before.len())
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits && !has_leading_zero(text))
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut parts: Vec<&str> = core
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0",
            trimmed => trimmed,
        })
        .collect();
    while rest.is_empty() && parts.len() < 3 {
        parts.push("0");
    }
    format!("{}{rest}", parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let parse = |text: &str| Semver::parse(text, false);
        for bad in [
            "hello", "v1.0.0", "1.0", "01.0.0", "1.0.0-", "1.0.0-01", "", "1.0.0+",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for (text, is) in [("v1.0", "1.0.0"), ("01.01.01", "1.1.1"), ("0", "0.0.0")] {
            assert_eq!(Semver::parse(text, true).unwrap().text, is);
        }
        let ascending = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0",
            "1.0.1",
            "2.0.0",
        ];
        for pair in ascending.windows(2) {
            let order = parse(pair[0]).unwrap().compare(&parse(pair[1]).unwrap());
            assert_eq!(order, Ordering::Less, "{pair:?}");
        }
    }
}
