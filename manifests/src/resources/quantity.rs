//! `Milli`: a Kubernetes quantity (`500m`, `64Mi`, `2e3`) as an exact number of thousandths.

use std::fmt;
use std::str::FromStr;

/// A whole, non-negative number of thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(i64);

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Nothing was written.
    #[error("is empty; write for example \"2\", \"500m\" or \"64Mi\"")]
    Empty,
    /// A minus sign.
    #[error("{0:?} is negative; the least is 0")]
    Negative(String),
    /// Not a number with a suffix.
    #[error("{0:?} is not a quantity; write for example \"2\", \"0.5\", \"500m\" or \"64Mi\"")]
    Malformed(String),
    /// More than three decimals of the base unit.
    #[error("{0:?} is finer than 0.001, the smallest amount reckoned with")]
    TooFine(String),
    /// More than fits.
    #[error("{0:?} is too large; the most is {max}", max = Milli::MAX)]
    TooLarge(String),
    /// A fraction of something that comes whole.
    #[error("{0:?} is not a whole number")]
    NotWhole(String),
}

impl Milli {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The most there can be of anything: about 9.2 × 10^15 whole units (8 PiB for bytes).
    pub const MAX: Self = Self(i64::MAX);

    /// So many thousandths; `None` when negative.
    #[must_use]
    pub const fn new(thousandths: i64) -> Option<Self> {
        if thousandths < 0 {
            None
        } else {
            Some(Self(thousandths))
        }
    }

    /// So many whole units; `None` when negative or too many.
    #[must_use]
    pub const fn whole(units: i64) -> Option<Self> {
        match units.checked_mul(1_000) {
            Some(thousandths) => Self::new(thousandths),
            None => None,
        }
    }

    /// Thousandths.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Thousandths, for reckoning with ratios.
    #[must_use]
    pub const fn wide(self) -> u128 {
        self.0.unsigned_abs() as u128
    }

    /// Whole units, rounded down; for bytes, the number of bytes.
    #[must_use]
    pub const fn floor(self) -> u64 {
        self.0.unsigned_abs() / 1_000
    }

    /// True for nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, unless too large.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, unless negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        Self::new(self.0 - other.0)
    }

    /// The difference, zero where it would be negative.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        match self.checked_sub(other) {
            Some(difference) => difference,
            None => Self::ZERO,
        }
    }

    /// With a binary suffix where that is exact (`64Mi`), as bytes are best read.
    #[must_use]
    pub fn bytes_text(self) -> String {
        const BINARY: [(&str, i64); 5] = [
            ("Pi", 1 << 50),
            ("Ti", 1 << 40),
            ("Gi", 1 << 30),
            ("Mi", 1 << 20),
            ("Ki", 1 << 10),
        ];
        let bytes = self.0 / 1_000;
        if bytes == 0 || self.0 % 1_000 != 0 {
            return self.to_string();
        }
        BINARY
            .iter()
            .find(|(_, size)| bytes % size == 0)
            .map_or_else(
                || bytes.to_string(),
                |(suffix, size)| format!("{}{suffix}", bytes / size),
            )
    }
}

/// Decimal without a suffix: `2`, `0.5`, `0.125`.
impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, thousandths) = (self.0 / 1_000, self.0 % 1_000);
        if thousandths == 0 {
            return write!(f, "{units}");
        }
        let decimals = format!("{thousandths:03}");
        write!(f, "{units}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Milli {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let malformed = || QuantityError::Malformed(text.to_owned());
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let unsigned = match text.strip_prefix('-') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                return Err(QuantityError::Negative(text.to_owned()));
            }
            Some(_) => return Err(malformed()),
            None => text.strip_prefix('+').unwrap_or(text),
        };
        let end = unsigned
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let number = Decimal::parse(number).ok_or_else(malformed)?;
        let scale = Scale::parse(suffix).ok_or_else(malformed)?;
        number.scaled(scale).map_err(|inexact| match inexact {
            Inexact::TooFine => QuantityError::TooFine(text.to_owned()),
            Inexact::TooLarge => QuantityError::TooLarge(text.to_owned()),
        })
    }
}

/// Digits and the number of them behind the point: no value yet, so nothing can overflow.
struct Decimal {
    digits: String,
    decimals: i64,
}

enum Inexact {
    TooFine,
    TooLarge,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}")
            .trim_start_matches('0')
            .to_owned();
        Some(Self {
            digits,
            decimals: i64::try_from(fraction.len()).ok()?,
        })
    }

    /// The value in thousandths: digits × factor × 10^(exponent + 3 - decimals).
    fn scaled(&self, scale: Scale) -> Result<Milli, Inexact> {
        if self.digits.is_empty() {
            return Ok(Milli::ZERO);
        }
        // 10^-40 of anything that fits is finer than a thousandth, and needs no exact reckoning.
        let digits: u128 = match self.digits.parse() {
            Ok(digits) => digits,
            Err(_too_many) if self.decimals > 3 => return Err(Inexact::TooFine),
            Err(_too_many) => return Err(Inexact::TooLarge),
        };
        let product = digits.checked_mul(scale.factor).ok_or(Inexact::TooLarge)?;
        let power = scale.exponent + 3 - self.decimals;
        let ten = u32::try_from(power.unsigned_abs())
            .ok()
            .and_then(|p| 10_u128.checked_pow(p));
        let thousandths = match (power >= 0, ten) {
            (true, Some(ten)) => product.checked_mul(ten).ok_or(Inexact::TooLarge)?,
            (true, None) => return Err(Inexact::TooLarge),
            (false, Some(ten)) if product.is_multiple_of(ten) => product / ten,
            (false, _) => return Err(Inexact::TooFine),
        };
        i64::try_from(thousandths)
            .map(Milli)
            .map_err(|_large| Inexact::TooLarge)
    }
}

/// What a suffix multiplies by: factor × 10^exponent.
#[derive(Clone, Copy)]
struct Scale {
    factor: u128,
    exponent: i64,
}

impl Scale {
    fn parse(suffix: &str) -> Option<Self> {
        let decimal = |exponent| {
            Some(Self {
                factor: 1,
                exponent,
            })
        };
        let binary = |power: u32| {
            Some(Self {
                factor: 1 << power,
                exponent: 0,
            })
        };
        match suffix {
            "" => decimal(0),
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(10),
            "Mi" => binary(20),
            "Gi" => binary(30),
            "Ti" => binary(40),
            "Pi" => binary(50),
            "Ei" => binary(60),
            exponent => decimal(Self::exponent(exponent)?),
        }
    }

    /// `e3`, `E-3`: at most three digits, beyond which nothing fits anyway.
    fn exponent(suffix: &str) -> Option<i64> {
        let digits = suffix.strip_prefix(['e', 'E'])?;
        let bare = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        if bare.is_empty() || bare.len() > 3 || !bare.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    }
}
