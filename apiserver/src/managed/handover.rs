//! From `kubectl apply` to `kubectl apply --server-side`: what the last-applied annotation says was
//! kubectl's own all along, and the annotation keeps up with what is applied
//! (`managedfields/internal/lastapplied*.go`).

use serde_json::Value;

use super::apply::Applier;
use super::conflict::Conflict;
use super::set::Set;

/// Whom this is about; anybody else's configurations are taken as they are.
pub const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Largest annotations, as upstream bounds them.
const BYTES_MAX: usize = 256 << 10;

fn annotation(object: &Value) -> Option<&str> {
    let annotations = object.get("metadata")?.get("annotations")?;
    annotations
        .get(ANNOTATION)?
        .as_str()
        .filter(|text| !text.is_empty())
}

impl Applier<'_> {
    /// The conflicts that are left when kubectl applies what it applied from the client's side
    /// before, and nobody has changed since.
    #[must_use]
    pub fn real_conflicts(&self, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
        match self.applied_before(live) {
            Some(own) if self.claim.manager == KUBECTL => conflicts
                .into_iter()
                .filter(|conflict| !conflict.place.difference(&own).is_empty())
                .collect(),
            Some(_) | None => conflicts,
        }
    }

    fn applied_before(&self, live: &Value) -> Option<Set> {
        let last: Value = serde_json::from_str(annotation(live)?).ok()?;
        if last.get("apiVersion")?.as_str()? != self.claim.api_version {
            return None;
        }
        let changes = self.scope.changes(self.type_, Some(&last), live);
        let said = self.scope.owned(self.type_, &last);
        Some(said.difference(&changes.set()).difference(&changes.removed))
    }

    /// Brings the annotation up to date, if there is one.
    pub fn note_applied(&self, object: &mut Value, config: &Value) {
        if self.claim.manager != KUBECTL || annotation(object).is_none() {
            return;
        }
        let text = last_applied(config);
        let annotations = object
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut);
        let Some(annotations) = annotations else {
            return;
        };
        let others: usize = annotations
            .iter()
            .filter(|(name, _)| *name != ANNOTATION)
            .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
            .sum();
        if others + ANNOTATION.len() + text.len() > BYTES_MAX {
            annotations.remove(ANNOTATION);
        } else {
            annotations.insert(ANNOTATION.to_owned(), text.into());
        }
    }
}

/// The configuration without the annotation, as Go writes JSON: HTML's special characters escaped,
/// and a line's end behind.
fn last_applied(config: &Value) -> String {
    let mut config = config.clone();
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut);
        let is_empty = annotations.is_some_and(|annotations| {
            annotations.remove(ANNOTATION);
            annotations.is_empty()
        });
        if is_empty {
            metadata.remove("annotations");
        }
    }
    let mut text = config.to_string();
    for (plain, escaped) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")] {
        text = text.replace(plain, escaped);
    }
    text + "\n"
}
