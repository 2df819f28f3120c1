//! Failures of admission: what others refuse, in their words.

use serde_json::Value;

use super::{Cause, Failure, Gr};

/// Reasons clients know; others cannot be told apart by a machine anyway.
const REASONS: [&str; 13] = [
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "NotFound",
    "RequestEntityTooLarge",
    "ServiceUnavailable",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
];

/// Marks a computation that waits for somebody's answer. No client ever sees it.
const UNDECIDED: &str = "Undecided";

const REDEFINED: &str = "the kind was defined anew meanwhile: try again";

impl Failure {
    /// A webhook says no. Codes that are none of a failure become 400, as upstream.
    #[must_use]
    pub fn denied(webhook: &str, status: &Value) -> Self {
        let code = status["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
        let word = |field: &str| status[field].as_str().unwrap_or_default();
        let intro = format!("admission webhook {webhook:?} denied the request");
        let text = match (word("message"), word("reason")) {
            ("", "") => format!("{intro} without explanation"),
            ("", reason) => format!("{intro}: {reason}"),
            (message, _) => format!("{intro}: {message}"),
        };
        Self::new(code, known(word("reason")), text)
    }

    /// A policy says no, for one of the reasons it may give; none: Invalid.
    #[must_use]
    pub fn policy(gr: &Gr, name: &str, reason: &str, message: String) -> Self {
        let (code, reason) = match reason {
            "Unauthorized" => (401, "Unauthorized"),
            "Forbidden" => (403, "Forbidden"),
            "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
            _ => (422, "Invalid"),
        };
        let text = format!("{gr} \"{name}\" is forbidden: {message}");
        let cause = Cause {
            reason: "",
            message,
            field: String::new(),
        };
        Self::new(code, reason, text)
            .about(gr, name)
            .with_causes(vec![cause])
    }

    /// The computation needs an answer that is not known yet.
    #[must_use]
    pub fn undecided() -> Self {
        Self::new(500, UNDECIDED, "a webhook has not answered yet")
    }

    /// The kind was defined anew while the request was computed.
    #[must_use]
    pub fn redefined() -> Self {
        Self::new(409, "Conflict", REDEFINED).retry_after(1)
    }

    /// True for a request that is to be begun again with the new definition.
    #[must_use]
    pub fn is_redefined(&self) -> bool {
        self.message() == REDEFINED
    }

    /// True for a computation that is to be repeated once answers are known.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.reason() == UNDECIDED
    }
}

fn known(reason: &str) -> &'static str {
    REASONS
        .into_iter()
        .find(|known| *known == reason)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn denials() {
        for (status, code, reason, message) in [
            (
                Value::Null,
                400,
                "",
                "admission webhook \"w\" denied the request without explanation",
            ),
            (
                json!({"code": 200, "reason": "Nope"}),
                400,
                "",
                "admission webhook \"w\" denied the request: Nope",
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "no"}),
                403,
                "Forbidden",
                "admission webhook \"w\" denied the request: no",
            ),
        ] {
            let failure = Failure::denied("w", &status);
            assert_eq!(
                (failure.code(), failure.reason(), failure.message()),
                (code, reason, message)
            );
        }
        assert!(Failure::undecided().within("operations[0]").is_undecided());
    }
}
