//! One step into an object: a field, or an entry of a list by its key, its value or its place.

use std::fmt;

use serde_json::{Map, Value};

use super::literal::Literal;

/// One step. The order is that of structured-merge-diff, in which sets are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// `f:name`: a field of a map.
    Field(Box<str>),
    /// `k:{"name":"x"}`: the entry of a list with these values of its key fields, by name.
    Key(Vec<(Box<str>, Literal)>),
    /// `v:"x"`: the entry of a set.
    Value(Literal),
    /// `i:0`: a place in a list. Nothing makes these; they may come from elsewhere.
    Index(i64),
}

/// Why text is no element.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// A kind nobody knows yet. Upstream passes over these.
    #[error("unknown path element type")]
    Unknown,
    /// Broken.
    #[error("{0:?} is no path element")]
    Broken(String),
}

impl Element {
    /// A field.
    #[must_use]
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// Reads an element as it is written in FieldsV1.
    ///
    /// # Errors
    /// When the text is broken, or of a kind that is not known.
    pub fn parse(text: &str) -> Result<Self, ElementError> {
        let broken = || ElementError::Broken(text.to_owned());
        let (kind, rest) = text.split_at_checked(2).ok_or_else(broken)?;
        match kind {
            "f:" => Ok(Self::field(rest)),
            "v:" => value(rest)
                .map(|value| Self::Value(Literal(value)))
                .ok_or_else(broken),
            "k:" => key(rest).ok_or_else(broken),
            "i:" => rest.parse().ok().map(Self::Index).ok_or_else(broken),
            _ if kind.ends_with(':') => Err(ElementError::Unknown),
            _ => Err(broken()),
        }
    }

    /// As it is written in FieldsV1.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let pair = |(name, value): &(Box<str>, Literal)| {
                    format!("{}:{}", Value::from(&**name), value.0)
                };
                let pairs: Vec<String> = fields.iter().map(pair).collect();
                format!("k:{{{}}}", pairs.join(","))
            }
            Self::Value(value) => format!("v:{}", value.0),
            Self::Index(place) => format!("i:{place}"),
        }
    }
}

/// Literals are as deep as serde_json allows at most.
fn value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn key(text: &str) -> Option<Element> {
    let fields: Map<String, Value> = serde_json::from_str(text).ok()?;
    let mut fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| (name.into_boxed_str(), Literal(value)))
        .collect();
    fields.sort();
    Some(Element::Key(fields))
}

/// As conflicts show it: `.spec`, `[name="x"]`, `[="x"]`, `[0]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let pairs: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(f, "[{}]", pairs.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(place) => write!(f, "[{place}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (text, shown) in [
            ("f:spec", ".spec"),
            ("f:", "."),
            ("f:a.b/c:d", ".a.b/c:d"),
            (
                r#"k:{"containerPort":80,"protocol":"TCP"}"#,
                r#"[containerPort=80,protocol="TCP"]"#,
            ),
            (r#"v:"a\"b""#, r#"[="a\"b"]"#),
            ("v:1", "[=1]"),
            ("i:3", "[3]"),
        ] {
            let element = Element::parse(text).unwrap();
            assert_eq!(
                (element.encode().as_str(), element.to_string().as_str()),
                (text, shown)
            );
        }
        let sorted = Element::parse(r#"k:{"b":1,"a":2}"#).unwrap();
        assert_eq!(sorted.encode(), r#"k:{"a":2,"b":1}"#);
    }

    #[test]
    fn broken_text_is_refused() {
        for text in [
            "",
            "f",
            "é",
            "fx",
            "k:[]",
            "k:{",
            "k:{} x",
            "v:",
            "v:1 2",
            "i:x",
            "i:99999999999999999999",
        ] {
            assert!(
                matches!(Element::parse(text), Err(ElementError::Broken(_))),
                "{text}"
            );
        }
        assert_eq!(Element::parse("x:1"), Err(ElementError::Unknown));
        let deep = format!("v:{}", "[".repeat(100_000));
        assert!(Element::parse(&deep).is_err());
    }
}
