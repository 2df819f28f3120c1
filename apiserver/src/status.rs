//! What a request is answered with when it fails: Kubernetes' `Status` object.
//!
//! Texts and codes follow `k8s.io/apimachinery/pkg/api/errors`; clients compare them.

use serde_json::{Map, Value, json};
use store::TxnError;

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

fn write_dotted(f: &mut dyn std::fmt::Write, name: &str, group: &str) -> std::fmt::Result {
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

    fn line(&self) -> String {
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

    /// The object does not exist.
    #[must_use]
    pub fn not_found(gr: &Gr, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{gr} \"{name}\" not found")).about(gr, name)
    }

    /// The URL names nothing that is served.
    #[must_use]
    pub fn no_such_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// Another object has the name.
    #[must_use]
    pub fn already_exists(gr: &Gr, name: &str) -> Self {
        Self::new(
            409,
            "AlreadyExists",
            format!("{gr} \"{name}\" already exists"),
        )
        .about(gr, name)
    }

    /// A precondition does not hold.
    #[must_use]
    pub fn conflict(gr: &Gr, name: &str, message: &str) -> Self {
        let text = format!("Operation cannot be fulfilled on {gr} \"{name}\": {message}");
        Self::new(409, "Conflict", text).about(gr, name)
    }

    /// A precondition of a whole transaction does not hold.
    #[must_use]
    pub fn conflict_text(message: impl Into<String>) -> Self {
        Self::new(409, "Conflict", message)
    }

    /// The object changed since the client read it.
    #[must_use]
    pub fn modified(gr: &Gr, name: &str) -> Self {
        const TEXT: &str = "the object has been modified; please apply your changes to the latest \
                            version and try again";
        Self::conflict(gr, name, TEXT)
    }

    /// The object breaks rules; `kind` is the Kind, not the plural.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let mut qualified = String::new();
        // Writing to a String cannot fail.
        let _infallible = write_dotted(&mut qualified, kind, group);
        let lines: Vec<String> = causes.iter().map(Cause::line).collect();
        let text = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        Self::new(
            422,
            "Invalid",
            format!("{qualified} \"{name}\" is invalid: {text}"),
        )
        .about(&Gr::new(group, kind), name)
        .with_causes(causes)
    }

    /// A query parameter breaks a rule.
    #[must_use]
    pub fn invalid_options(kind: &str, field: &str, message: &str) -> Self {
        Self::invalid("meta.k8s.io", kind, "", vec![Cause::of(field, message)])
    }

    /// The request does not parse.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The user may not do this. `text` is everything after `is forbidden: `.
    #[must_use]
    pub fn forbidden(gr: &Gr, name: &str, text: &str) -> Self {
        let named = if name.is_empty() {
            gr.to_string()
        } else {
            format!("{gr} \"{name}\"")
        };
        Self::new(403, "Forbidden", format!("{named} is forbidden: {text}")).about(gr, name)
    }

    /// Something that is no resource may not be reached by this user.
    #[must_use]
    pub fn forbidden_text(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// No credential, or one that is not valid.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// The resource has no such verb.
    #[must_use]
    pub fn method_not_allowed(gr: &Gr, verb: &str) -> Self {
        let text = format!("{verb} is not supported on resources of kind \"{gr}\"");
        Self::new(405, "MethodNotAllowed", text).about(gr, "")
    }

    /// None of the client's accepted media types is served.
    #[must_use]
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let text = format!(
            "only the following media types are accepted: {}",
            accepted.join(", ")
        );
        Self::new(406, "NotAcceptable", text)
    }

    /// The body's media type is not understood here.
    #[must_use]
    pub fn unsupported_media(accepted: &[&str]) -> Self {
        let text = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", text)
    }

    /// The body is too large.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// The asked revision is no longer known.
    #[must_use]
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(
            410,
            "Expired",
            format!("too old resource version: {asked} ({oldest})"),
        )
    }

    /// A continue token is too old; `resume` continues at the latest revision instead.
    #[must_use]
    pub fn expired_continue(resume: String) -> Self {
        const TEXT: &str = "The provided continue parameter is too old to display a consistent list \
            result. You can start a new list without the continue parameter, or use the continue token \
            in this response to retrieve the remainder of the results. Continuing with the provided \
            token results in an inconsistent list - objects that were created, modified, or deleted \
            between the time the first chunk was returned and now may show up in the list.";
        let mut failure = Self::new(410, "Expired", TEXT);
        failure.0.continue_token = Some(resume);
        failure
    }

    /// The asked revision lies in the future and did not come in time.
    #[must_use]
    pub fn timeout_too_new(asked: u64, current: u64) -> Self {
        let text = format!("Too large resource version: {asked}, current: {current}");
        let cause = Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        };
        Self::new(504, "Timeout", format!("Timeout: {text}"))
            .with_causes(vec![cause])
            .retry_after(1)
    }

    /// The outcome is unknown.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(504, "Timeout", message).retry_after(1)
    }

    /// A fault of ours.
    #[must_use]
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let text = format!("Internal error occurred: {message}");
        Self::new(500, "InternalError", text)
    }

    /// Kubernetes answers some client mistakes with a 500 that has no reason.
    #[must_use]
    pub fn bare_500(message: &str) -> Self {
        Self::new(500, "", message)
    }

    /// Not now.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message).retry_after(1)
    }

    /// Too much is asked at once.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>) -> Self {
        Self::new(429, "TooManyRequests", message).retry_after(1)
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
            TxnError::NoLeader | TxnError::Stopped(_) | TxnError::DiskFull => {
                Self::unavailable(text)
            }
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
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": gr.group, "kind": gr.resource, "uid": uid},
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
