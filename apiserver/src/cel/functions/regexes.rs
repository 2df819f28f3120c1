//! `matches`, `find` and `findAll`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;

use super::{Outcome, text_of};
use crate::cel::eval::{Error, Meter};
use crate::cel::value::Value;

/// A thread's compiled patterns: compiling one costs a hundred times what matching does.
const PATTERNS_MAX: usize = 64;

/// Largest compiled pattern, in bytes: a short one with counts can be huge.
const COMPILED_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static PATTERNS: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
}

/// Methods.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>], meter: &Meter) -> Option<Outcome<'a>> {
    let [Value::String(text), Value::String(pattern), rest @ ..] = args else {
        return None;
    };
    let text: &str = text;
    Some(match (name, rest) {
        ("matches", []) => with(pattern, meter, |regex| Value::Bool(regex.is_match(text))),
        ("find", []) => with(pattern, meter, |regex| {
            text_of(regex.find(text).map_or("", |found| found.as_str()))
        }),
        ("findAll", []) => with(pattern, meter, |regex| all(regex, text, -1)),
        ("findAll", [Value::Int(limit)]) => with(pattern, meter, |regex| all(regex, text, *limit)),
        _ => return None,
    })
}

fn all<'a>(regex: &Regex, text: &str, limit: i64) -> Value<'a> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = regex.find_iter(text).take(limit);
    found
        .map(|one| text_of(one.as_str()))
        .collect::<Vec<_>>()
        .into()
}

/// True if the pattern is one.
pub(crate) fn compiles(pattern: &str) -> Result<(), String> {
    compile(pattern).map(|_| ())
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = regex::RegexBuilder::new(pattern);
    let built = builder.size_limit(COMPILED_BYTES_MAX).build();
    built.map_err(|error| error.to_string())
}

fn with<'a>(pattern: &str, meter: &Meter, run: impl FnOnce(&Regex) -> Value<'a>) -> Outcome<'a> {
    PATTERNS.with_borrow_mut(|patterns| {
        if let Some(regex) = patterns.get(pattern) {
            return Ok(run(regex));
        }
        // Patterns made while evaluating must not make us compile for ever.
        meter.charge(1_000 + 100 * pattern.len())?;
        let regex = compile(pattern).map_err(Error::text)?;
        if patterns.len() >= PATTERNS_MAX {
            patterns.clear();
        }
        let regex = patterns.entry(pattern.to_owned()).or_insert(regex);
        Ok(run(regex))
    })
}
