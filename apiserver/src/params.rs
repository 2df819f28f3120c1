//! The query parameters of a request, parsed once.

use std::borrow::Cow;

use crate::status::Failure;

/// What is done about unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Dropped silently.
    Ignore,
    /// Dropped, and the client is warned.
    #[default]
    Warn,
    /// The request fails.
    Strict,
}

/// How a list's resourceVersion is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// At that version or later.
    NotOlderThan,
    /// At exactly that version.
    Exact,
}

/// The query parameters of a request. Absent strings are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// `limit`; 0: none.
    pub limit: u64,
    /// `continue`.
    pub continue_: String,
    /// `resourceVersion`.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: Option<Match>,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldManager`.
    pub field_manager: String,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// The client's program, as its `User-Agent` names it; set by the edge.
    pub agent: String,
    /// `force`, of server-side apply; none: not said.
    pub force: Option<bool>,
    /// `pretty`.
    pub pretty: bool,
    /// `watch`.
    pub watch: bool,
    /// `sendInitialEvents`; none: not said.
    pub send_initial_events: Option<bool>,
    /// `allowWatchBookmarks`.
    pub allow_bookmarks: bool,
    /// `timeoutSeconds`.
    pub timeout_seconds: Option<u64>,
    /// `gracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
    /// `propagationPolicy`.
    pub propagation: String,
    /// `orphanDependents`, the older spelling.
    pub orphan_dependents: Option<bool>,
    /// `includeObject` of a Table: `None`, `Metadata` or `Object`.
    pub include_object: String,
    /// Everything else, in order: parameters of subresources such as log.
    pub others: Vec<(String, String)>,
}

impl Params {
    /// Parses a query string, with or without stray `&`.
    ///
    /// # Errors
    /// 400 for what does not parse, and for two values of one parameter: whoever judges the request
    /// on its way here may have taken the other one; 422 for values that are not among the allowed.
    pub fn parse(query: &str) -> Result<Self, Failure> {
        let mut params = Self::default();
        let mut said: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for pair in query
            .trim_start_matches('?')
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (unescape(key)?, unescape(value)?);
            if let Some((_, before)) = said.iter().find(|(own, _)| *own == key) {
                check_same(&key, before, &value)?;
            } else if params.set(&key, &value)? {
                said.push((key, value));
            }
        }
        params.check()?;
        Ok(params)
    }

    /// The value of a parameter this struct has no field for.
    #[must_use]
    pub fn other(&self, key: &str) -> Option<&str> {
        self.others
            .iter()
            .find_map(|(own, value)| (own == key).then_some(value.as_str()))
    }

    /// Takes a parameter; false: it has no field, and the first of its name counts.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, Failure> {
        let text = || value.to_owned();
        match key {
            "labelSelector" => self.label_selector = text(),
            "fieldSelector" => self.field_selector = text(),
            "limit" => self.limit = non_negative(key, value)?.unwrap_or(0),
            "continue" => self.continue_ = text(),
            "resourceVersion" => self.resource_version = text(),
            "resourceVersionMatch" => self.resource_version_match = version_match(value)?,
            "dryRun" => self.dry_run = dry_run(value)?,
            "fieldManager" => self.field_manager = text(),
            "fieldValidation" => self.field_validation = field_validation(value)?,
            "force" => self.force = Some(boolean(key, value)?),
            "pretty" => self.pretty = boolean(key, value)?,
            "watch" => self.watch = boolean(key, value)?,
            "sendInitialEvents" => self.send_initial_events = Some(boolean(key, value)?),
            "allowWatchBookmarks" => self.allow_bookmarks = boolean(key, value)?,
            "timeoutSeconds" => self.timeout_seconds = non_negative(key, value)?,
            "gracePeriodSeconds" => self.grace_seconds = integer(key, value)?,
            "propagationPolicy" => self.propagation = text(),
            "orphanDependents" => self.orphan_dependents = Some(boolean(key, value)?),
            "includeObject" => self.include_object = text(),
            _ => {
                self.others.push((key.to_owned(), text()));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.field_manager.len() > 128 {
            const TEXT: &str = "Too long: may not be more than 128 bytes";
            return Err(Failure::invalid_options(
                "PatchOptions",
                "fieldManager",
                TEXT,
            ));
        }
        check_printable(&self.field_manager)?;
        let known = matches!(
            self.propagation.as_str(),
            "" | "Orphan" | "Background" | "Foreground"
        );
        if !known {
            return Err(unknown_propagation(&self.propagation));
        }
        match self.include_object.as_str() {
            "" | "None" | "Metadata" | "Object" => Ok(()),
            other => Err(Failure::bad_request(format!(
                "unrecognized includeObject value: {other:?}"
            ))),
        }
    }
}

fn check_same(key: &str, first: &str, second: &str) -> Result<(), Failure> {
    if first == second {
        return Ok(());
    }
    Err(Failure::bad_request(format!(
        "{key}: given twice, as {first:?} and as {second:?}"
    )))
}

fn check_printable(manager: &str) -> Result<(), Failure> {
    let Some((at, c)) = manager.char_indices().find(|(_, c)| c.is_control()) else {
        return Ok(());
    };
    let code = u32::from(c);
    let text =
        format!("Invalid value: {manager:?}: invalid character U+{code:04X} (at position {at})");
    Err(Failure::invalid_options(
        "PatchOptions",
        "fieldManager",
        &text,
    ))
}

/// The answer to a propagation policy nobody knows.
#[must_use]
pub fn unknown_propagation(found: &str) -> Failure {
    let text = format!(
        "Unsupported value: \"{found}\": supported values: \"Background\", \"Foreground\", \"Orphan\""
    );
    Failure::invalid_options("DeleteOptions", "propagationPolicy", &text)
}

fn boolean(key: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "" | "0" | "false" | "False" | "FALSE" | "f" | "F" => Ok(false),
        "1" | "true" | "True" | "TRUE" | "t" | "T" => Ok(true),
        other => Err(Failure::bad_request(format!(
            "{key}: {other:?} is not true or false"
        ))),
    }
}

fn integer(key: &str, value: &str) -> Result<Option<i64>, Failure> {
    if value.is_empty() {
        return Ok(None);
    }
    let parsed = value.parse().ok();
    let failure = || Failure::bad_request(format!("{key}: {value:?} is not an integer"));
    parsed.map(Some).ok_or_else(failure)
}

fn non_negative(key: &str, value: &str) -> Result<Option<u64>, Failure> {
    let number = integer(key, value)?;
    let failure = || Failure::bad_request(format!("{key}: {value:?} must not be negative"));
    number
        .map(|n| u64::try_from(n).ok().ok_or_else(failure))
        .transpose()
}

fn dry_run(value: &str) -> Result<bool, Failure> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        other => {
            let text = format!("Unsupported value: [\"{other}\"]: supported values: \"All\"");
            Err(Failure::invalid_options("CreateOptions", "dryRun", &text))
        }
    }
}

fn field_validation(value: &str) -> Result<FieldValidation, Failure> {
    match value {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => {
            let text = format!(
                "Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
            );
            Err(Failure::invalid_options(
                "CreateOptions",
                "fieldValidation",
                &text,
            ))
        }
    }
}

fn version_match(value: &str) -> Result<Option<Match>, Failure> {
    match value {
        "" => Ok(None),
        "NotOlderThan" => Ok(Some(Match::NotOlderThan)),
        "Exact" => Ok(Some(Match::Exact)),
        other => {
            let text = format!(
                "Unsupported value: \"{other}\": supported values: \"Exact\", \"NotOlderThan\""
            );
            Err(Failure::invalid_options(
                "ListOptions",
                "resourceVersionMatch",
                &text,
            ))
        }
    }
}

/// Undoes `%xx` and `+`.
fn unescape(text: &str) -> Result<Cow<'_, str>, Failure> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                plain.push(
                    hex(*high)
                        .zip(hex(*low))
                        .map(|(h, l)| h << 4 | l)
                        .ok_or_else(|| bad(text))?,
                );
                rest = after;
            }
            (b'%', [] | [_]) => return Err(bad(text)),
            (b'+', _) => plain.push(b' '),
            (other, _) => plain.push(*other),
        }
    }
    let plain = String::from_utf8(plain).ok();
    plain.map(Cow::Owned).ok_or_else(|| bad(text))
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

fn bad(text: &str) -> Failure {
    Failure::bad_request(format!("invalid URL escape in {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        let params =
            Params::parse("?&watch=1&labelSelector=a%3Db%2Cc+in+%28d%29&limit=5&x=y&").unwrap();
        assert!(params.watch);
        assert_eq!(params.label_selector, "a=b,c in (d)");
        assert_eq!((params.limit, params.other("x")), (5, Some("y")));
        assert_eq!(Params::parse("").unwrap(), Params::default());
    }

    #[test]
    fn repeated() {
        let parse = |query| Params::parse(query).map_err(|failure| failure.code());
        assert!(parse("watch=1&watch=1").unwrap().watch);
        let selector = parse("fieldSelector=a%3Db&fieldSelector=a=b").unwrap();
        assert_eq!(selector.field_selector, "a=b");
        assert_eq!(parse("x=1&x=2").unwrap().other("x"), Some("1"));
        for query in [
            "watch=false&watch=true",
            "w%61tch=false&watch=true",
            "dryRun=All&dryRun=",
            "resourceVersion=1&resourceVersion=2",
            "fieldSelector=metadata.name=own&fieldSelector=metadata.name=other",
        ] {
            assert_eq!(parse(query).unwrap_err(), 400, "{query}");
        }
    }

    #[test]
    fn errors() {
        for (query, code) in [
            ("limit=-1", 400),
            ("limit=x", 400),
            ("watch=maybe", 400),
            ("labelSelector=%zz", 400),
            ("labelSelector=%ff", 400),
            ("labelSelector=%f", 400),
            ("dryRun=some", 422),
            ("fieldValidation=no", 422),
            ("resourceVersionMatch=Roughly", 422),
            ("propagationPolicy=Up", 422),
            ("includeObject=All", 400),
            ("fieldManager=a%07", 422),
        ] {
            assert_eq!(Params::parse(query).unwrap_err().code(), code, "{query}");
        }
    }
}
