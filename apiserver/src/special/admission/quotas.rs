//! ResourceQuota.

use serde_json::Value;

use super::amounts_as_text;
use crate::admission::quota::Measure;
use crate::status::Cause;

/// Amounts are text.
pub(super) fn complete(object: &mut Value) {
    amounts_as_text(object.pointer_mut("/spec/hard"));
}

/// Every entry must be something that is measured, and an amount.
pub(super) fn check(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let hard = object.pointer("/spec/hard").and_then(Value::as_object);
    for (name, amount) in hard.into_iter().flatten() {
        let place = format!("spec.hard[{name}]");
        match Measure::of(name) {
            None => {
                const TEXT: &str = "must be a standard resource for quota";
                causes.push(Cause::invalid(place, &name.as_str().into(), TEXT));
            }
            Some(measure) => {
                if let Err(problem) = measure.amount(amount) {
                    causes.push(Cause::invalid(place, amount, &problem));
                }
            }
        }
    }
    let spec = &object["spec"];
    for field in ["scopes", "scopeSelector"] {
        let empty = spec
            .get(field)
            .is_none_or(|value| value.is_null() || value.as_array().is_some_and(Vec::is_empty));
        if !empty {
            const TEXT: &str = "scopes tell Pods apart, of which there are none here";
            causes.push(Cause::forbidden(format!("spec.{field}"), TEXT));
        }
    }
    causes
}
