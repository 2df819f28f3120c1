//! What a request is answered with when it fails: Kubernetes' `Status` object.
//!
//! Texts and codes follow `k8s.io/apimachinery/pkg/api/errors`; clients compare them.

mod cause;

mod failures;

mod refusals;

use serde_json::{Map, Value, json};
use store::TxnError;

pub use cause::{Cause, Gr};

/// Why a request failed. Boxed, because results carry it everywhere and it is rare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Parts>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    code: u16,
    reason: &'static str,
    message: String,
    name: String,
    group: String,
    kind: String,
    uid: String,
    causes: Vec<Cause>,
    retry_after_seconds: u32,
    continue_token: Option<String>,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            reason,
            message: message.into(),
            ..Parts::default()
        }))
    }

    fn about(mut self, gr: &Gr, name: &str) -> Self {
        self.0.group.clone_from(&gr.group);
        self.0.kind.clone_from(&gr.resource);
        name.clone_into(&mut self.0.name);
        self
    }

    /// Adds causes, e.g. which operation of a transaction failed.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<Cause>) -> Self {
        self.0.causes = causes;
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = seconds;
        self
    }

    /// Puts an operation's place in front of every cause's field and of the message.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        if self.0.causes.is_empty() {
            let message = self.0.message.clone();
            self.0.causes.push(Cause {
                reason: self.0.reason,
                message,
                field: String::new(),
            });
        }
        for cause in &mut self.0.causes {
            let dot = if cause.field.is_empty() { "" } else { "." };
            cause.field = format!("{place}{dot}{}", cause.field);
        }
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// The machine-readable reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// The sentence a person reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Seconds for a `Retry-After` header; 0: none.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u32 {
        self.0.retry_after_seconds
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let parts = &*self.0;
        let mut metadata = Map::new();
        if let Some(token) = &parts.continue_token {
            metadata.insert("continue".into(), token.as_str().into());
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": parts.message, "code": parts.code,
        });
        if !parts.reason.is_empty() {
            status["reason"] = parts.reason.into();
        }
        let details = parts.details();
        if !details.is_empty() {
            status["details"] = details.into();
        }
        status
    }
}

impl Parts {
    fn details(&self) -> Map<String, Value> {
        let words = [
            ("name", &self.name),
            ("group", &self.group),
            ("kind", &self.kind),
            ("uid", &self.uid),
        ];
        let filled = words.into_iter().filter(|(_, word)| !word.is_empty());
        let mut details: Map<String, Value> = filled
            .map(|(key, word)| (key.to_owned(), word.as_str().into()))
            .collect();
        if !self.causes.is_empty() {
            details.insert("causes".into(), self.causes.iter().map(cause).collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        details
    }
}

fn cause(cause: &Cause) -> Value {
    let mut value = json!({"reason": cause.reason, "message": cause.message});
    if !cause.field.is_empty() {
        value["field"] = cause.field.as_str().into();
    }
    value
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.0.code, self.0.reason, self.0.message)
    }
}

impl std::error::Error for Failure {}

impl From<TxnError> for Failure {
    fn from(error: TxnError) -> Self {
        let text = error.to_string();
        match error {
            TxnError::NoLeader
            | TxnError::Stopped(_)
            | TxnError::DiskFull
            | TxnError::LowSpace
            | TxnError::Diverged(_) => Self::unavailable(text),
            TxnError::Timeout => Self::timeout(text),
            TxnError::TooLarge { .. } => Self::too_large(text),
            TxnError::UnknownMember(_) => Self::new(404, "NotFound", text),
            TxnError::Membership(_) => Self::conflict_text(text),
        }
    }
}

/// The `Status` of a finished delete.
#[must_use]
pub fn deleted(gr: &Gr, name: &str, uid: &str) -> Value {
    let mut details = json!({"name": name, "kind": gr.resource, "uid": uid});
    if !gr.group.is_empty() {
        details["group"] = gr.group.clone().into();
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let tasks = Gr::new("stoa.dev", "tasks");
        let secrets = Gr::new("", "secrets");
        let cause = Cause::required("spec.framework", "");
        let two = vec![
            cause.clone(),
            Cause::invalid("spec.n", &json!(-1), "must be positive"),
        ];
        for (failure, code, message) in [
            (
                Failure::not_found(&tasks, "x"),
                404,
                r#"tasks.stoa.dev "x" not found"#,
            ),
            (
                Failure::not_found(&secrets, "x"),
                404,
                r#"secrets "x" not found"#,
            ),
            (
                Failure::already_exists(&tasks, "x"),
                409,
                r#"tasks.stoa.dev "x" already exists"#,
            ),
            (
                Failure::modified(&tasks, "x"),
                409,
                r#"Operation cannot be fulfilled on tasks.stoa.dev "x": the object has been modified; please apply your changes to the latest version and try again"#,
            ),
            (
                Failure::invalid("stoa.dev", "Task", "x", vec![cause]),
                422,
                r#"Task.stoa.dev "x" is invalid: spec.framework: Required value"#,
            ),
            (
                Failure::invalid("stoa.dev", "Task", "x", two),
                422,
                r#"Task.stoa.dev "x" is invalid: [spec.framework: Required value, spec.n: Invalid value: -1: must be positive]"#,
            ),
            (
                Failure::timeout_too_new(9, 3),
                504,
                "Timeout: Too large resource version: 9, current: 3",
            ),
        ] {
            assert_eq!((failure.code(), failure.message()), (code, message));
        }
    }

    #[test]
    fn status_object() {
        let causes = vec![Cause::of("spec.a", "Unsupported value: \"x\"")];
        let failure = Failure::invalid("stoa.dev", "Task", "x", causes).within("operations[3]");
        let status = failure.to_status();
        assert_eq!(
            status["details"]["causes"][0]["field"],
            "operations[3].spec.a"
        );
        assert_eq!(
            status["details"]["causes"][0]["reason"],
            "FieldValueNotSupported"
        );
        assert_eq!(status["details"]["kind"], "Task");
        assert_eq!(status["reason"], "Invalid");
    }
}
