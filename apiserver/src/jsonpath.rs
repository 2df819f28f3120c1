//! The part of kubectl's JSONPath that printer columns use:
//! `.a.b`, `.a[-1]`, `.a[0:2]`, `.a[*].b`, `..b`, `.a['b.c']`, `.a.b\.c`, `.a[?(@.n>1)].b`.

use std::cmp::Ordering;

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    /// From the end, if negative.
    Index(i64),
    /// Every so many elements of a part of a list.
    Slice(Option<i64>, Option<i64>, usize),
    All,
    /// The value, and everything within it.
    Descend,
    /// Elements of which something holds.
    Filter(Condition),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Present(Path),
    Compared(Operand, Relation, Operand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Path(Path),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// As they are looked for: the longer before those they begin with.
const RELATIONS: [(&str, Relation); 6] = [
    ("==", Relation::Equal),
    ("!=", Relation::Unequal),
    ("<=", Relation::LessOrEqual),
    (">=", Relation::GreaterOrEqual),
    ("<", Relation::Less),
    (">", Relation::Greater),
];

impl Path {
    /// Parses a path; `{...}` around it is ignored.
    ///
    /// # Errors
    /// A sentence on what was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim().trim_start_matches('{').trim_end_matches('}');
        let mut steps = Vec::new();
        let mut rest = inner.strip_prefix('$').unwrap_or(inner);
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(bracket) => bracketed(bracket)?,
                None => field(rest)?,
            };
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// The first value the path leads to.
    #[must_use]
    pub fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        first(&self.0, object)
    }
}

fn first<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(value);
    };
    match step {
        Step::Field(name) => first(rest, value.get(name)?),
        Step::Index(n) => {
            let list = value.as_array()?;
            first(rest, list.get(place(*n, list.len())?)?)
        }
        Step::Slice(from, to, by) => {
            let list = value.as_array()?;
            let bound = |n: i64| place(n, list.len()).unwrap_or(if n < 0 { 0 } else { list.len() });
            let (from, to) = (from.map_or(0, bound), to.map_or(list.len(), bound));
            let part = list.get(from..to.max(from))?;
            part.iter()
                .step_by(*by)
                .find_map(|element| first(rest, element))
        }
        Step::All => elements(value).find_map(|element| first(rest, element)),
        Step::Descend => {
            let below = || elements(value).find_map(|element| first(steps, element));
            first(rest, value).or_else(below)
        }
        Step::Filter(condition) => elements(value)
            .filter(|element| condition.holds(element))
            .find_map(|element| first(rest, element)),
    }
}

/// An index that may count from the end, within a list of this length.
fn place(n: i64, length: usize) -> Option<usize> {
    let place = usize::try_from(n.unsigned_abs()).ok()?;
    if n < 0 {
        length.checked_sub(place)
    } else {
        Some(place).filter(|place| *place <= length)
    }
}

fn elements(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(list) => Box::new(list.iter()),
        Value::Object(map) => Box::new(map.values()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Box::new(std::iter::empty())
        }
    }
}

impl Condition {
    fn holds(&self, element: &Value) -> bool {
        match self {
            Self::Present(path) => path.first(element).is_some(),
            Self::Compared(left, relation, right) => {
                let (left, right) = (left.text(element), right.text(element));
                match relation {
                    Relation::Equal => left.is_some() && left == right,
                    Relation::Unequal => left != right,
                    Relation::Less => order(left, right).is_some_and(Ordering::is_lt),
                    Relation::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
                    Relation::Greater => order(left, right).is_some_and(Ordering::is_gt),
                    Relation::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
                }
            }
        }
    }
}

impl Operand {
    fn text(&self, element: &Value) -> Option<String> {
        match self {
            Self::Path(path) => text_at(path, element),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

/// Numbers by value, everything else by text.
fn order(left: Option<String>, right: Option<String>) -> Option<Ordering> {
    let (left, right) = (left?, right?);
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.partial_cmp(&right),
        _ => Some(left.cmp(&right)),
    }
}

fn text_at(path: &Path, element: &Value) -> Option<String> {
    let found = path.first(element)?;
    Some(
        found
            .as_str()
            .map_or_else(|| found.to_string(), String::from),
    )
}

/// `.name`, with `\.` for a dot within it.
fn field(text: &str) -> Result<(Step, &str), String> {
    let body = text.strip_prefix('.').unwrap_or(text);
    let mut name = String::new();
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' | '[' if !escaped => return named(name, &body[at..], text),
            other => {
                name.push(other);
                escaped = false;
            }
        }
    }
    named(name, "", text)
}

fn named<'a>(name: String, rest: &'a str, text: &str) -> Result<(Step, &'a str), String> {
    match name.as_str() {
        // `..name`: `rest` begins with the second dot.
        "" if rest.starts_with('.') && rest.len() > 1 => Ok((Step::Descend, rest)),
        // `.[0]`, and a path of a lone dot.
        "" if rest.starts_with('[') => bracketed(&rest[1..]),
        "" => Err(format!("a name is missing at {text:?}")),
        "*" => Ok((Step::All, rest)),
        _ => Ok((Step::Field(name), rest)),
    }
}

/// What stands after `[`.
fn bracketed(text: &str) -> Result<(Step, &str), String> {
    if let Some(filter) = text.strip_prefix("?(@") {
        let (body, rest) = filter.split_once(")]").ok_or_else(|| unclosed(text))?;
        return Ok((condition(body)?, rest));
    }
    let (body, rest) = text.split_once(']').ok_or_else(|| unclosed(text))?;
    let quoted = body.trim_matches(['\'', '"']);
    match body {
        "*" => Ok((Step::All, rest)),
        _ if quoted.len() < body.len() => Ok((Step::Field(quoted.to_owned()), rest)),
        _ if body.contains(':') => Ok((slice(body)?, rest)),
        _ => match body.trim().parse() {
            Ok(n) => Ok((Step::Index(n), rest)),
            Err(_) => Err(format!("{body:?} is no index; quote a field name")),
        },
    }
}

/// `1:3`, `:2`, `-2:`, `0:9:2`.
fn slice(text: &str) -> Result<Step, String> {
    let wrong = || format!("{text:?} is no part of a list: from:to, or from:to:step");
    let bounds = text.split(':').map(|bound| match bound.trim() {
        "" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_odd| wrong()),
    });
    let bounds: Vec<Option<i64>> = bounds.collect::<Result<_, _>>()?;
    let step = |n: i64| usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(wrong);
    match bounds[..] {
        [from, to] => Ok(Step::Slice(from, to, 1)),
        [from, to, by] => Ok(Step::Slice(from, to, step(by.unwrap_or(1))?)),
        _ => Err(wrong()),
    }
}

fn unclosed(text: &str) -> String {
    format!("a closing bracket is missing at {text:?}")
}

/// What stands between `?(@` and `)`.
fn condition(text: &str) -> Result<Step, String> {
    let places = RELATIONS.into_iter().filter_map(|(sign, relation)| {
        let at = text.find(sign)?;
        Some((at, sign, relation))
    });
    // The first sign; of those at one place the longest, which comes first.
    let Some((at, sign, relation)) = places.min_by_key(|(at, ..)| *at) else {
        return Ok(Step::Filter(Condition::Present(Path::parse(text)?)));
    };
    let left = Operand::Path(Path::parse(text[..at].trim())?);
    let right = operand(text[at + sign.len()..].trim())?;
    Ok(Step::Filter(Condition::Compared(left, relation, right)))
}

fn operand(text: &str) -> Result<Operand, String> {
    match text.strip_prefix('@') {
        Some(path) => Path::parse(path).map(Operand::Path),
        None => Ok(Operand::Text(text.trim_matches(['\'', '"']).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let object = json!({
            "a": {"b": 1, "c.d": 2, "list": [{"type": "X", "v": 3}, {"type": "Ready", "v": 4}]},
        });
        for (path, expected) in [
            (".a.b", Some(json!(1))),
            ("{.a.b}", Some(json!(1))),
            ("$.a.b", Some(json!(1))),
            (r".a.c\.d", Some(json!(2))),
            (".a['c.d']", Some(json!(2))),
            (".a.list[1].v", Some(json!(4))),
            (".a.list[*].v", Some(json!(3))),
            (r#".a.list[?(@.type=="Ready")].v"#, Some(json!(4))),
            (".a.list[?(@.type!='X')].v", Some(json!(4))),
            (".a.list[?(@.type=='None')].v", None),
            (".a.missing.x", None),
            (".a.list[-1].v", Some(json!(4))),
            (".a.list[-3].v", None),
            (".a.list[1:].v", Some(json!(4))),
            (".a.list[-2:-1].v", Some(json!(3))),
            (".a.list[0:9:2].type", Some(json!("X"))),
            (".a.list[2:1].v", None),
            (".a.list[?(@.v>3)].type", Some(json!("Ready"))),
            (".a.list[?(@.v<=3)].type", Some(json!("X"))),
            (".a.list[?(@.v)].type", Some(json!("X"))),
            (".a.list[?(@.w)].type", None),
            (".a.list[?(@.v==@.v)].type", Some(json!("X"))),
            (".a.list[?(@.type == 'Ready')].v", Some(json!(4))),
            ("..v", Some(json!(3))),
            (".a.*", Some(json!(1))),
            ("", Some(object.clone())),
        ] {
            assert_eq!(
                Path::parse(path).unwrap().first(&object),
                expected.as_ref(),
                "{path}"
            );
        }
        for bad in [
            ".a[",
            ".a[x]",
            ".a..",
            ".a[1:2:0]",
            ".a[1:2:3:4]",
            ".a[?(@.x>1]",
            ".",
        ] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
