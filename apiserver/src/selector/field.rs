//! Field selectors: `metadata.name=x,spec.agent!=a1`.

use serde_json::Value;

use crate::registry::Descriptor;
use crate::status::Failure;

/// One requirement on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// JSON path without a leading dot, e.g. `spec.agent`.
    pub path: String,
    /// True: must equal; false: must differ.
    pub equal: bool,
    /// The value compared with; an absent field is the empty string.
    pub value: String,
}

impl Requirement {
    /// True when the object's field is as required.
    #[must_use]
    pub fn holds(&self, object: &Value) -> bool {
        (value_at(object, &self.path) == self.value) == self.equal
    }
}

/// The text of a field, as selectors compare it: strings as they are, numbers and booleans as
/// JSON writes them, anything else (absent too) as the empty string.
#[must_use]
pub fn value_at(object: &Value, path: &str) -> String {
    let mut place = object;
    for step in path.trim_start_matches('.').split('.') {
        let Some(next) = place.get(step) else {
            return String::new();
        };
        place = next;
    }
    text_of(place)
}

/// The text of a value, as selectors compare it.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Parses a field selector for a resource.
///
/// # Errors
/// 400 when it does not parse or names a field that is not selectable.
pub fn parse(text: &str, resource: &Descriptor) -> Result<Vec<Requirement>, Failure> {
    let terms = split(text, ',');
    let filled = terms.iter().filter(|term| !term.is_empty());
    filled
        .map(|term| requirement(term, text, resource))
        .collect()
}

/// The name every selected object must have, as authorisation reads it. A selector with escapes
/// names nobody here: names need none.
#[must_use]
pub fn demanded_name(text: &str) -> Option<String> {
    let exact = |term: &str| {
        let value = term.strip_prefix("metadata.name=")?;
        let value = value.strip_prefix('=').unwrap_or(value);
        let legal = !value.is_empty() && !value.contains(['=', '/', '%']);
        legal.then(|| value.to_owned())
    };
    (!text.contains('\\'))
        .then(|| text.split(',').find_map(exact))
        .flatten()
}

fn requirement(term: &str, text: &str, resource: &Descriptor) -> Result<Requirement, Failure> {
    let parsed = ["!=", "==", "="].into_iter().find_map(|op| {
        let (path, value) = term.split_once(op)?;
        Some((path, op, value))
    });
    // `a==b` holds `=` too, and `!=` must win over `=`: the order above decides.
    let Some((path, op, raw)) = parsed else {
        let message = format!("invalid selector: '{text}'; can't understand '{term}'");
        return Err(Failure::bad_request(message));
    };
    let selectable = matches!(path, "metadata.name" | "metadata.namespace")
        || resource.selectable.iter().any(|own| own == path);
    if !selectable {
        return Err(Failure::bad_request(unknown(path, resource)));
    }
    Ok(Requirement {
        path: resource.stored_path(path).into_owned(),
        equal: op != "!=",
        value: unescape(raw, text)?,
    })
}

/// Built-in kinds that can be selected by nothing else say what is left.
fn unknown(path: &str, resource: &Descriptor) -> String {
    if resource.strategic_merge && resource.selectable.is_empty() {
        format!(
            "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {path}")
    }
}

/// Splits at unescaped separators, leaving the escapes in place.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            terms.push(String::new());
        } else if let Some(last) = terms.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    terms
}

fn unescape(raw: &str, text: &str) -> Result<String, Failure> {
    let mut plain = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                other => {
                    let shown = other.map(String::from).unwrap_or_default();
                    let message =
                        format!("invalid field selector: invalid escape sequence: \\{shown}");
                    return Err(Failure::bad_request(message));
                }
            },
            '=' => {
                let message =
                    format!("invalid field selector: unescaped character in value: = in '{text}'");
                return Err(Failure::bad_request(message));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks() -> Descriptor {
        Descriptor {
            selectable: vec!["spec.agent".into()],
            ..Descriptor::default()
        }
    }

    #[test]
    fn grammar() {
        for (text, expected) in [
            ("", vec![]),
            ("metadata.name=x", vec![("metadata.name", true, "x")]),
            ("metadata.name==x,", vec![("metadata.name", true, "x")]),
            ("spec.agent!=", vec![("spec.agent", false, "")]),
            (
                r"spec.agent=a\,b\=c\\,metadata.namespace!=n",
                vec![
                    ("spec.agent", true, r"a,b=c\"),
                    ("metadata.namespace", false, "n"),
                ],
            ),
        ] {
            let parsed = parse(text, &tasks()).unwrap();
            let shown: Vec<_> = parsed
                .iter()
                .map(|r| (r.path.as_str(), r.equal, r.value.as_str()))
                .collect();
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn demanded_names() {
        for (text, name) in [
            ("metadata.name=x", Some("x")),
            ("spec.agent=a,metadata.name==x", Some("x")),
            ("metadata.name!=x", None),
            ("metadata.name=", None),
            ("metadata.name=x=y", None),
            ("metadata.name=a/b", None),
            (r"spec.agent=a\,metadata.name=x", None),
            ("", None),
        ] {
            assert_eq!(demanded_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn errors() {
        for (text, message) in [
            ("spec.foo=x", "field label not supported: spec.foo"),
            (
                "nonsense",
                "invalid selector: 'nonsense'; can't understand 'nonsense'",
            ),
            (
                r"spec.agent=a\b",
                r"invalid field selector: invalid escape sequence: \b",
            ),
            (
                "spec.agent=a=b",
                "invalid field selector: unescaped character in value: = in 'spec.agent=a=b'",
            ),
        ] {
            let failure = parse(text, &tasks()).unwrap_err();
            assert_eq!((failure.code(), failure.message()), (400, message));
        }
    }
}
