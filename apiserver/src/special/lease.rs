//! Lease: who leads, and until when (kubernetes/kubernetes `pkg/apis/coordination/validation`).

use serde_json::Value;

use super::time;
use crate::status::{Cause, Failure};

/// Writes its times as Kubernetes does.
///
/// # Errors
/// 400 for a text that is no time.
pub fn complete(object: &mut Value) -> Result<(), Failure> {
    time::micro(object, &["/spec/acquireTime", "/spec/renewTime"])
}

/// Judges the numbers.
#[must_use]
pub fn check(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (field, least, text) in [
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ] {
        let value = &object["spec"][field];
        if value.as_i64().is_some_and(|number| number < least) {
            causes.push(Cause::invalid(format!("spec.{field}"), value, text));
        }
    }
    causes
}
