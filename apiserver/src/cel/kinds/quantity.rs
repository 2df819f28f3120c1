//! `quantity("1.5Gi")`: exact to a thousand-millionth, as `k8s.io/apimachinery/pkg/api/resource`.

use std::fmt;

/// An amount, in thousand-millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

const ONE: i128 = 1_000_000_000;

/// Suffixes, as a power of ten of the unit's thousand-millionth, or of 1024.
const DECIMAL: [(&str, u32); 10] = [
    ("n", 0),
    ("u", 3),
    ("m", 6),
    ("", 9),
    ("k", 12),
    ("M", 15),
    ("G", 18),
    ("T", 21),
    ("P", 24),
    ("E", 27),
];

const BINARY: [(&str, u32); 6] = [
    ("Ki", 1),
    ("Mi", 2),
    ("Gi", 3),
    ("Ti", 4),
    ("Pi", 5),
    ("Ei", 6),
];

/// Digits a quantity may have; more than any that fits has.
const DIGITS_MAX: usize = 60;

impl Quantity {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let split = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let (number, suffix) = unsigned.split_at(split.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        if number.len() > DIGITS_MAX {
            return None;
        }
        let nanos = scaled(whole, fraction, suffix)?;
        Some(Self(if text.starts_with('-') { -nanos } else { nanos }))
    }

    pub(crate) fn of_int(n: i64) -> Self {
        Self(i128::from(n) * ONE)
    }

    pub(crate) fn sign(self) -> i64 {
        i64::try_from(self.0.signum()).unwrap_or(0)
    }

    pub(crate) fn is_integer(self) -> bool {
        self.0 % ONE == 0 && i64::try_from(self.0 / ONE).is_ok()
    }

    pub(crate) fn as_integer(self) -> Option<i64> {
        i64::try_from(self.0 / ONE)
            .ok()
            .filter(|_| self.is_integer())
    }

    pub(crate) fn as_double(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    pub(crate) fn add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    pub(crate) fn sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

fn scaled(whole: &str, fraction: &str, suffix: &str) -> Option<i128> {
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        let scaled = digits
            .checked_mul(1024_i128.pow(*power))?
            .checked_mul(ONE)?;
        return Some(rounded_up(scaled, 10_i128.checked_pow(places)?));
    }
    let power = match DECIMAL.iter().find(|(name, _)| *name == suffix) {
        Some((_, power)) => i64::from(*power),
        None => 9 + suffix.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?,
    };
    let power = power - i64::from(places);
    match u32::try_from(power) {
        Ok(power) => digits.checked_mul(10_i128.checked_pow(power)?),
        Err(_) => {
            let divisor = 10_i128.checked_pow(u32::try_from(-power).ok()?)?;
            Some(rounded_up(digits, divisor))
        }
    }
}

fn rounded_up(amount: i128, divisor: i128) -> i128 {
    amount / divisor + i128::from(amount % divisor != 0)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = DECIMAL
            .iter()
            .rev()
            .find(|(_, power)| self.0 % 10_i128.pow(*power) == 0);
        let (suffix, power) = scale.copied().filter(|_| self.0 != 0).unwrap_or(("", 9));
        write!(f, "{}{suffix}", self.0 / 10_i128.pow(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let parse = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(parse("1Ki"), parse("1024"));
        assert_eq!(parse("1.5k"), parse("1500"));
        assert_eq!(parse("100m"), parse("0.1"));
        assert_eq!(parse("1e3"), parse("1k"));
        assert_eq!(parse("-2"), Quantity::of_int(-2));
        assert_eq!(parse("1500").to_string(), "1500");
        assert!(!parse("0.5").is_integer());
        for bad in ["", "Mi", "1Zi", "1.2.3", "e3", "1e999999999", "200 K"] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
        assert_eq!(Quantity::parse(&"9".repeat(59)), None);
    }
}
