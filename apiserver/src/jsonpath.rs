//! The part of kubectl's JSONPath that printer columns use:
//! `.a.b`, `.a[0]`, `.a[*].b`, `.a['b.c']`, `.a.b\.c`, `.a[?(@.type=="Ready")].status`.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    All,
    /// Elements in which the path has (or has not) the value.
    Filter {
        path: Path,
        equal: bool,
        value: String,
    },
}

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
        Step::Index(n) => first(rest, value.get(n)?),
        Step::All => value
            .as_array()?
            .iter()
            .find_map(|element| first(rest, element)),
        Step::Filter {
            path,
            equal,
            value: wanted,
        } => {
            let fits =
                |element: &&Value| (text_at(path, element).as_ref() == Some(wanted)) == *equal;
            value
                .as_array()?
                .iter()
                .filter(fits)
                .find_map(|element| first(rest, element))
        }
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
        _ => match body.parse() {
            Ok(n) => Ok((Step::Index(n), rest)),
            Err(_) => Err(format!("{body:?} is no index; quote a field name")),
        },
    }
}

fn unclosed(text: &str) -> String {
    format!("a closing bracket is missing at {text:?}")
}

fn condition(text: &str) -> Result<Step, String> {
    let (path, equal, value) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((path, value)), _) => (path, true, value),
        (None, Some((path, value))) => (path, false, value),
        (None, None) => return Err(format!("only == and != are understood in {text:?}")),
    };
    let value = value.trim().trim_matches(['\'', '"']).to_owned();
    Ok(Step::Filter {
        path: Path::parse(path)?,
        equal,
        value,
    })
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
            ("", Some(object.clone())),
        ] {
            assert_eq!(
                Path::parse(path).unwrap().first(&object),
                expected.as_ref(),
                "{path}"
            );
        }
        for bad in [".a[", ".a[x]", ".a..b", ".a[?(@.x>1)]", "."] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
