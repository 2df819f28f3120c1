//! What policies leave in the audit log: the annotations they make, and the validations that did not
//! hold where a binding wants that noted. Keys and texts are upstream's
//! (`pkg/admission/plugin/policy/validating/dispatcher.go`).

use std::collections::BTreeMap;

use serde::Serialize;

/// Where validations are noted that did not hold.
const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Longest value of an annotation, as upstream.
const VALUE_BYTES_MAX: usize = 10 << 10;

/// Most failures, and most values under one key: a bundle may have thousands of writes.
const MOST: usize = 100;

/// A validation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What it says.
    pub message: String,
    /// Whose it is.
    pub policy: String,
    /// Under which binding.
    pub binding: String,
    /// Which of the policy's validations.
    pub expression_index: usize,
    /// What the binding does about it.
    pub validation_actions: Vec<String>,
}

/// Notes about one request.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    values: BTreeMap<String, Vec<String>>,
    failures: Vec<Failure>,
}

impl Notes {
    /// A policy's annotation. Values that differ, under several bindings or for several objects of a
    /// bundle, stand side by side.
    pub fn publish(&mut self, policy: &str, key: &str, value: &str) {
        let value = shortened(value);
        let values = self.values.entry(format!("{policy}/{key}")).or_default();
        if values.len() < MOST && !values.iter().any(|own| own == value) {
            values.push(value.to_owned());
        }
    }

    /// A validation that did not hold.
    pub fn fail(&mut self, failure: Failure) {
        if self.failures.len() < MOST {
            self.failures.push(failure);
        }
    }

    /// As the audit log has it.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let values = self.values.iter();
        let mut made: BTreeMap<String, String> = values
            .map(|(key, values)| (key.clone(), values.join(", ")))
            .collect();
        if !self.failures.is_empty() {
            let text = serde_json::to_string(&self.failures).unwrap_or_default();
            made.insert(FAILURES.to_owned(), text);
        }
        made
    }
}

fn shortened(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_annotations() {
        let mut notes = Notes::default();
        assert!(notes.annotations().is_empty());
        for value in ["a", "b", "a"] {
            notes.publish("p.example.com", "k", value);
        }
        notes.publish("p.example.com", "long", &"é".repeat(VALUE_BYTES_MAX));
        for n in 0..2 * MOST {
            notes.publish("p.example.com", "many", &n.to_string());
            notes.fail(Failure {
                message: "no".into(),
                policy: "p.example.com".into(),
                binding: "b".into(),
                expression_index: n,
                validation_actions: vec!["Warn".into(), "Audit".into()],
            });
        }
        let made = notes.annotations();
        assert_eq!(made["p.example.com/k"], "a, b");
        assert_eq!(made["p.example.com/long"].len(), VALUE_BYTES_MAX);
        assert!(made["p.example.com/many"].ends_with(", 99"));
        let failures = &made[FAILURES];
        let first = r#"[{"message":"no","policy":"p.example.com","binding":"b","expressionIndex":0,"validationActions":["Warn","Audit"]},"#;
        assert!(failures.starts_with(first), "{failures}");
        assert_eq!(failures.matches("expressionIndex").count(), MOST);
    }
}
