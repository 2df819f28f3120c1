//! What errors name: a resource, and a field with what is wrong about it.

use serde_json::Value;

/// Group and plural of a resource, as errors name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gr {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural, e.g. `tasks`.
    pub resource: String,
}

impl Gr {
    /// Names a resource.
    #[must_use]
    pub fn new(group: &str, resource: &str) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
        }
    }
}

impl std::fmt::Display for Gr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_dotted(f, &self.resource, &self.group)
    }
}

pub(super) fn write_dotted(
    f: &mut dyn std::fmt::Write,
    name: &str,
    group: &str,
) -> std::fmt::Result {
    if group.is_empty() {
        f.write_str(name)
    } else {
        write!(f, "{name}.{group}")
    }
}

/// One field's part in a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid` and the like.
    pub reason: &'static str,
    /// What is wrong, without the field's name.
    pub message: String,
    /// JSON path, e.g. `spec.resources.cpus`.
    pub field: String,
}

impl Cause {
    /// A cause whose message opens with one of Kubernetes' phrases, which gives the reason.
    #[must_use]
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            reason: reason_of(&message),
            message,
            field: field.into(),
        }
    }

    /// `field: Invalid value: "value": detail`.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::of(field, format!("Invalid value: {value}: {detail}"))
    }

    /// `field: Required value: detail`.
    #[must_use]
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let colon = if detail.is_empty() { "" } else { ": " };
        Self::of(field, format!("Required value{colon}{detail}"))
    }

    /// `field: Forbidden: detail`.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::of(field, format!("Forbidden: {detail}"))
    }

    pub(crate) fn line(&self) -> String {
        if self.field.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }
}

fn reason_of(message: &str) -> &'static str {
    const PHRASES: [(&str, &str); 8] = [
        ("Required value", "FieldValueRequired"),
        ("Unsupported value", "FieldValueNotSupported"),
        ("Duplicate value", "FieldValueDuplicate"),
        ("Forbidden", "FieldValueForbidden"),
        ("Too long", "FieldValueTooLong"),
        ("Too many", "FieldValueTooMany"),
        ("Not found", "FieldValueNotFound"),
        ("Internal error", "InternalError"),
    ];
    PHRASES
        .iter()
        .find(|(phrase, _)| message.starts_with(phrase))
        .map_or("FieldValueInvalid", |(_, reason)| reason)
}
