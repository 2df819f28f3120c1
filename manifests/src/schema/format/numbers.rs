//! Numbers that carry their own check.

use super::matches;

/// The brands upstream knows, by first digits and length.
const CARDS: &str = r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11}|6[27][0-9]{14})$";

fn bare(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect()
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10))
}

pub(super) fn is_isbn10(text: &str) -> bool {
    let text = bare(text);
    if !matches(r"^(?:[0-9]{9}X|[0-9]{10})$", &text) {
        return false;
    }
    let last = if text.ends_with('X') { 100 } else { 0 };
    let sum: u32 = (1..).zip(digits(&text)).map(|(n, digit)| n * digit).sum();
    (sum + last).is_multiple_of(11)
}

pub(super) fn is_isbn13(text: &str) -> bool {
    let text = bare(text);
    let weights = [1, 3].into_iter().cycle();
    let sum: u32 = weights.zip(digits(&text)).map(|(n, digit)| n * digit).sum();
    matches(r"^[0-9]{13}$", &text) && sum.is_multiple_of(10)
}

/// Luhn's check over what is left when everything but digits is taken away.
pub(super) fn is_credit_card(text: &str) -> bool {
    let text: String = text.chars().filter(char::is_ascii_digit).collect();
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let weigh = |(n, digit): (usize, u32)| if n % 2 == 1 { doubled(digit) } else { digit };
    let sum: u32 = digits(&text).rev().enumerate().map(weigh).sum();
    matches(CARDS, &text) && sum.is_multiple_of(10)
}
