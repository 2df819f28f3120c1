//! JSONPath as `get -o jsonpath=` and `wait --for=jsonpath=` use it: fields, indexes, `[*]`, and
//! filters of the form `[?(@.type=="Ready")]`. Anything else is refused, never half understood.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// One step from a value to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Where { path: Vec<Step>, equals: String },
}

/// A parsed template: literal text and expressions in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
}

impl Template {
    /// Parses `text {.a.b} text`; a bare `.a.b` is one expression. Errors say what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if !text.contains('{') {
            return Ok(Self(vec![Part::Path(steps(text)?)]));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after
                .split_once('}')
                .ok_or_else(|| format!("{text:?} lacks a closing brace"))?;
            push_text(&mut parts, before);
            match inside.strip_prefix('"').and_then(|i| i.strip_suffix('"')) {
                Some(literal) => push_text(&mut parts, &unescape(literal)),
                None => parts.push(Part::Path(steps(inside.trim())?)),
            }
            rest = behind;
        }
        push_text(&mut parts, rest);
        Ok(Self(parts))
    }

    /// Everything the expressions find, several results separated by spaces.
    pub(crate) fn render(&self, value: &Value) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Path(steps) => find(steps, value)
                .into_iter()
                .map(plain)
                .collect::<Vec<_>>()
                .join(" "),
        });
        parts.collect()
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\\"", "\"")
}

/// A string without quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut found = Vec::new();
    let text = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut chars = text.chars().peekable();
    let refused = |what: String| format!("the path {text:?} is not understood: {what}");
    if let Some((word, _)) = text.split_once(' ').filter(|(word, _)| is_plain(word)) {
        return Err(refused(format!("`{word}` is not supported")));
    }
    if text == "end" {
        return Err(refused("`range` and `end` are not supported".into()));
    }
    while let Some(c) = chars.next() {
        match c {
            '.' if chars.peek() == Some(&'.') => {
                return Err(refused("`..` is not supported".into()));
            }
            '.' if chars.peek() == Some(&'*') => {
                chars.next();
                found.push(Step::All);
            }
            '.' => {
                let name = field(&mut chars);
                if !name.is_empty() {
                    found.push(Step::Field(name));
                }
            }
            '[' => found.push(bracket(&inside(&mut chars).map_err(refused)?).map_err(refused)?),
            other if found.is_empty() => {
                let rest = field(&mut chars);
                found.push(Step::Field(format!("{other}{rest}")));
            }
            other => return Err(refused(format!("unexpected {other:?}"))),
        }
    }
    Ok(found)
}

/// True of a word that could be a command of a template, such as `range`.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic())
}

/// A field name up to the next `.` or `[`; `\.` is a dot inside the name.
fn field(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(&c) = chars.peek() {
        match c {
            '.' | '[' => break,
            '\\' => {
                chars.next();
                name.extend(chars.next());
            }
            other => {
                chars.next();
                name.push(other);
            }
        }
    }
    name
}

/// The text up to the matching `]`, minding quotes.
fn inside(chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    let mut quote = None;
    for c in chars.by_ref() {
        match (quote, c) {
            (None, ']') => return Ok(text),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None | Some(_), _) => {}
        }
        text.push(c);
    }
    Err("a `[` is not closed".into())
}

fn bracket(text: &str) -> Result<Step, String> {
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = unquote(text) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(test) = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        let (path, value) = test
            .split_once("==")
            .ok_or_else(|| format!("only `==` filters are supported: {test}"))?;
        let value = value.trim();
        let equals = unquote(value).unwrap_or(value).to_owned();
        return Ok(Step::Where {
            path: steps(path.trim())?,
            equals,
        });
    }
    text.parse()
        .map(Step::Index)
        .map_err(|e| format!("[{text}]: {e}"))
}

fn unquote(text: &str) -> Option<&str> {
    let double = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    double.or_else(|| text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')))
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps {
        found = found
            .into_iter()
            .flat_map(|value| next(step, value))
            .collect();
    }
    found
}

fn next<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => at(value, *index).into_iter().collect(),
        Step::All => members(value),
        Step::Where { path, equals } => {
            let holds = |member: &&Value| find(path, member).iter().any(|v| plain(v) == *equals);
            members(value).into_iter().filter(holds).collect()
        }
    }
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let list = value.as_array()?;
    let length = i64::try_from(list.len()).ok()?;
    let place = if index < 0 { length + index } else { index };
    list.get(usize::try_from(place).ok()?)
}

fn members(value: &Value) -> Vec<&Value> {
    match (value.as_array(), value.as_object()) {
        (Some(list), _) => list.iter().collect(),
        (None, Some(map)) => map.values().collect(),
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_they_name() {
        let object = json!({
            "metadata": {"name": "x", "annotations": {"a.b/c": "d"}},
            "status": {"n": 3, "list": ["p", "q"],
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]},
        });
        let table = [
            (".metadata.name", "x"),
            ("{.metadata.name}", "x"),
            ("{$.status.n}", "3"),
            ("metadata.name", "x"),
            ("{.metadata.annotations.a\\.b/c}", "d"),
            ("{.metadata.annotations['a.b/c']}", "d"),
            ("{.status.list[0]} {.status.list[-1]}", "p q"),
            ("{.status.list[*]}", "p q"),
            ("{.status.conditions[?(@.type==\"Ready\")].status}", "True"),
            ("name={.metadata.name}{\"\\n\"}", "name=x\n"),
            ("{.absent.field}", ""),
        ];
        for (template, expected) in table {
            assert_eq!(
                Template::parse(template).unwrap().render(&object),
                expected,
                "{template}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for template in [
            "{..name}",
            "{.a",
            "{.a[x]}",
            "{.a[?(@.b>1)]}",
            "{.a[0}",
            "{range .a[*]}",
            "{end}",
        ] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
