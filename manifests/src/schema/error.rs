//! One field's error: where, of which kind, and Kubernetes' words for it.

use std::fmt;

use serde_json::Value;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path from the root of the object, e.g. `spec.tasks[0].name`.
    pub path: String,
    /// The kind of error, for `details.causes[].reason`.
    pub reason: Reason,
    /// What is wrong, e.g. `Required value`.
    pub message: String,
}

/// Kinds of field error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The field is missing.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value is of another type.
    TypeInvalid,
    /// The value is none of an enumeration.
    NotSupported,
    /// The value occurs twice.
    Duplicate,
    /// The string is too long.
    TooLong,
    /// There are too many entries.
    TooMany,
    /// The field may not be given here.
    Forbidden,
}

impl Reason {
    /// True when rules (`x-kubernetes-validations`) cannot be relied on to have what they read, so
    /// that Kubernetes does not evaluate them.
    #[must_use]
    pub const fn hides_rules(self) -> bool {
        match self {
            Self::Required
            | Self::TypeInvalid
            | Self::NotSupported
            | Self::TooLong
            | Self::TooMany => true,
            Self::Invalid | Self::Duplicate | Self::Forbidden => false,
        }
    }

    /// The word in `details.causes[].reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Forbidden => "FieldValueForbidden",
        }
    }
}

impl FieldError {
    fn new(path: impl Into<String>, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason,
            message: message.into(),
        }
    }

    /// `Required value`, and why it is, unless empty.
    #[must_use]
    pub fn required(path: impl Into<String>, why: &str) -> Self {
        Self::new(path, Reason::Required, with("Required value", why))
    }

    /// `Invalid value: VALUE: WHY`.
    #[must_use]
    pub fn invalid(path: impl Into<String>, value: &Value, why: &str) -> Self {
        Self::new(
            path,
            Reason::Invalid,
            with(&format!("Invalid value: {value}"), why),
        )
    }

    /// `Duplicate value: VALUE`.
    #[must_use]
    pub fn duplicate(path: impl Into<String>, value: &Value) -> Self {
        Self::new(path, Reason::Duplicate, format!("Duplicate value: {value}"))
    }

    /// `Forbidden: WHY`.
    #[must_use]
    pub fn forbidden(path: impl Into<String>, why: &str) -> Self {
        Self::new(path, Reason::Forbidden, with("Forbidden", why))
    }

    /// `Unsupported value: VALUE: supported values: ...`.
    #[must_use]
    pub fn unsupported(path: impl Into<String>, value: &Value, supported: &[Value]) -> Self {
        let supported: Vec<String> = supported.iter().map(quoted).collect();
        let values = supported.join(", ");
        let message = format!("Unsupported value: {value}: supported values: {values}");
        Self::new(path, Reason::NotSupported, message)
    }

    /// A value of type `found` where `wanted` is asked for.
    pub(super) fn mistyped(path: &str, wanted: &str, found: &str) -> Self {
        let message = format!(
            "Invalid value: \"{found}\": {path} in body must be of type {wanted}: \"{found}\""
        );
        Self::new(path, Reason::TypeInvalid, message)
    }

    /// A value that breaks a keyword of the schema.
    pub(super) fn breaks(path: &str, value: &Value, rule: &str) -> Self {
        Self::invalid(path, value, &format!("{path} in body {rule}"))
    }

    pub(super) fn too_long(path: &str, most: u64) -> Self {
        Self::new(
            path,
            Reason::TooLong,
            format!("Too long: may not be more than {most} bytes"),
        )
    }

    pub(super) fn too_many(path: &str, count: usize, most: u64) -> Self {
        let message = format!("Too many: {count}: must have at most {most} items");
        Self::new(path, Reason::TooMany, message)
    }
}

fn with(head: &str, detail: &str) -> String {
    if detail.is_empty() {
        head.to_owned()
    } else {
        format!("{head}: {detail}")
    }
}

/// Kubernetes quotes the members of an enumeration whatever their type.
fn quoted(value: &Value) -> String {
    if value.is_string() {
        value.to_string()
    } else {
        format!("\"{value}\"")
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for FieldError {}
