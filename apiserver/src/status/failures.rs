//! Every failure there is, each with Kubernetes' code, reason and text.

use super::cause::write_dotted;
use super::{Cause, Failure, Gr};

impl Failure {
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

    /// A credential that was valid once, and why it is not any more.
    #[must_use]
    pub fn unauthorized_text(message: impl Into<String>) -> Self {
        Self::new(401, "Unauthorized", message)
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
}
