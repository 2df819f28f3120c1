//! Compares what was said with what must be said.

use std::path::Path;

use serde_json::Value;

/// Stands for any text within a line.
const ANY: &str = "[..]";

/// Stands for any number of lines, or of elements of a JSON array.
const MANY: &str = "...";

/// True when the lines are as expected.
pub(crate) fn same(expected: &[String], said: &str) -> bool {
    let said: Vec<_> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    all(
        expected,
        &said,
        &|line| line.trim() == MANY,
        &|want, line| one(want, line),
    )
}

/// True when the elements match one by one, where `many` stands for any number of them.
fn all<A, B>(
    expected: &[A],
    said: &[B],
    many: &impl Fn(&A) -> bool,
    one: &impl Fn(&A, &B) -> bool,
) -> bool {
    match (expected, said) {
        ([], said) => said.is_empty(),
        ([first, rest @ ..], said) if many(first) => {
            (0..=said.len()).any(|skipped| all(rest, &said[skipped..], many, one))
        }
        ([_, ..], []) => false,
        ([first, rest @ ..], [line, others @ ..]) => {
            one(first, line) && all(rest, others, many, one)
        }
    }
}

/// A line of JSON need only have the members that are asked for; any other line is compared as text.
fn one(pattern: &str, line: &str) -> bool {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    match value(pattern).filter(Value::is_object) {
        Some(wanted) => value(line).is_some_and(|line| has(&wanted, &line)),
        None => text(&squeeze(pattern), &squeeze(line)),
    }
}

/// True when all that is wanted is there; `null` wants nothing to be there.
fn has(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::String(any), _) if any == ANY => true,
        (Value::String(wanted), Value::String(value)) => text(wanted, value),
        (Value::Object(wanted), Value::Object(value)) => wanted
            .iter()
            .all(|(key, wanted)| has(wanted, value.get(key).unwrap_or(&Value::Null))),
        (Value::Array(wanted), Value::Array(value)) => {
            all(wanted, value, &|element| element == MANY, &has)
        }
        (wanted, value) => wanted == value,
    }
}

fn text(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split(ANY);
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let pieces: Vec<_> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else {
        return rest.is_empty();
    };
    for piece in middle {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Columns are as wide as their longest cell, ages among them: runs of blanks within a line are one.
fn squeeze(line: &str) -> String {
    let text = line.trim_end().replace('\t', " ");
    let indent = text.len() - text.trim_start().len();
    let words: Vec<_> = text.split_whitespace().collect();
    format!("{}{}", &text[..indent], words.join(" "))
}

pub(crate) fn lines_have_room_for_what_varies(_: &Path) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(same(
        &lines("NAME AGE\na [..]s"),
        "NAME   AGE\n\na      5s \n"
    ));
    assert!(same(&lines("...\nb\n..."), "a\nb\nc\n"));
    assert!(same(&lines("..."), ""));
    assert!(!same(&lines("a"), "a\nb\n"));
    assert!(!same(&lines("  a"), "a\n"));
    assert!(!same(&lines("a[..]b[..]c"), "abd"));
    assert!(same(&lines("a[..]b[..]c"), "a1b2c"));
}

pub(crate) fn json_has_what_is_asked_for(_: &Path) {
    let said = r#"{"b":{"c":"text","n":null},"a":[1,{"x":2},3]}"#;
    let holds = |wanted: &str| same(&[wanted.to_owned()], said);
    assert!(holds(r#"{"b":{"c":"t[..]t","n":null,"absent":null}}"#));
    assert!(holds(r#"{"a":["...",{"x":2},"..."],"b":"[..]"}"#));
    assert!(!holds(r#"{"a":[1,2,3]}"#));
    assert!(!holds(r#"{"a":[1,"..."],"b":{"c":null}}"#));
    assert!(!holds(r#"{"absent":"x"}"#));
}
