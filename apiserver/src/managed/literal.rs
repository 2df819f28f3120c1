//! JSON values with a total order, as they stand in the keys of list entries: numbers by size, before
//! strings, booleans, lists, maps and null (structured-merge-diff, `value/value.go`).

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Number, Value};

/// A JSON value that can be sorted. `1` and `1.0` are one value.
#[derive(Clone, Debug)]
pub struct Literal(pub Value);

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Literal {}

impl PartialOrd for Literal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Literal {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// As errors show it: Go's `%v`, with strings quoted.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => write!(f, "{text:?}"),
            Value::Array(items) => {
                let words: Vec<String> =
                    items.iter().map(|i| Self(i.clone()).to_string()).collect();
                write!(f, "[{}]", words.join(","))
            }
            Value::Object(fields) => fields
                .iter()
                .try_for_each(|(name, value)| write!(f, "{name}={}", Self(value.clone()))),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => write!(f, "{other}"),
        }
    }
}

/// True if both are the same value; numbers are compared by size.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    compare(a, b) == Ordering::Equal
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => lists(a, b),
        (Value::Object(a), Value::Object(b)) => maps(a, b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// By size; integers too large for a float are told apart all the same.
fn numbers(a: &Number, b: &Number) -> Ordering {
    // Adding zero makes of -0 a 0.
    let float = |n: &Number| n.as_f64().unwrap_or_default() + 0.0;
    let exact = |n: &Number| {
        let integer = n
            .as_i64()
            .map(i128::from)
            .or_else(|| n.as_u64().map(i128::from));
        integer.unwrap_or(float(n) as i128)
    };
    float(a)
        .total_cmp(&float(b))
        .then_with(|| exact(a).cmp(&exact(b)))
}

fn lists(a: &[Value], b: &[Value]) -> Ordering {
    let pairs = a.iter().zip(b).map(|(a, b)| compare(a, b));
    first_difference(pairs).unwrap_or(a.len().cmp(&b.len()))
}

fn maps(a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    let pairs = a
        .iter()
        .zip(b)
        .map(|((ka, a), (kb, b))| ka.cmp(kb).then_with(|| compare(a, b)));
    first_difference(pairs).unwrap_or(a.len().cmp(&b.len()))
}

fn first_difference(mut pairs: impl Iterator<Item = Ordering>) -> Option<Ordering> {
    pairs.find(|order| *order != Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order() {
        let rising = [
            json!(-1),
            json!(0),
            json!(1.5),
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!("a"),
            json!("b"),
            json!(false),
            json!(true),
            json!([]),
            json!([1]),
            json!([1, 2]),
            json!([2]),
            json!({}),
            json!({"a": 1}),
            json!({"a": 1, "b": 0}),
            json!({"a": 2}),
            json!(null),
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert!(same(&json!([1, -0.0]), &json!([1.0, 0])));
        assert!(!same(
            &json!(9_007_199_254_740_993_u64),
            &json!(9_007_199_254_740_992_u64)
        ));
    }

    #[test]
    fn shown() {
        for (value, text) in [
            (json!("a\"b"), r#""a\"b""#),
            (json!(80), "80"),
            (json!([true, null]), "[true,null]"),
            (json!({"a": 1}), "a=1"),
        ] {
            assert_eq!(Literal(value).to_string(), text);
        }
    }
}
