//! Namespace: its phase and its own finalizers, which a controller removes once it is empty.

use serde_json::{Value, json};

use crate::metadata;
use crate::names;
use crate::status::Cause;
use crate::user::{MASTERS, User};

/// Namespaces that may not be deleted.
pub const KEPT: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Label with the namespace's own name, which selectors of namespaces use.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The finalizer a controller removes once the namespace is empty.
const KUBERNETES: &str = "kubernetes";

/// The label always says the name.
fn label(object: &mut Value) {
    let name = metadata::text(object, "name").to_owned();
    let metadata = metadata::map(object);
    metadata.entry("labels").or_insert_with(|| json!({}))[NAME_LABEL] = name.into();
}

fn own_finalizers(object: &Value) -> Vec<Value> {
    let found = object.pointer("/spec/finalizers").and_then(Value::as_array);
    found.cloned().unwrap_or_default()
}

/// Active, and held by the finalizer `kubernetes`.
pub fn on_create(object: &mut Value) {
    label(object);
    let mut finalizers = own_finalizers(object);
    if !finalizers.iter().any(|finalizer| finalizer == KUBERNETES) {
        finalizers.push(KUBERNETES.into());
    }
    object["spec"] = json!({ "finalizers": finalizers });
    object["status"] = json!({"phase": "Active"});
}

/// People do not change finalizers or phase here; the controller that empties namespaces does.
pub fn on_update(object: &mut Value, old: &Value, user: &User) {
    let finalizes = user.is_system() || user.is_in(MASTERS);
    let keeps_spec = !finalizes || !object["spec"].is_object();
    if keeps_spec {
        object["spec"] = old["spec"].clone();
    }
    object["status"] = old["status"].clone();
    label(object);
}

/// Judges its own finalizers, and its phase.
#[must_use]
pub fn check(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (n, finalizer) in own_finalizers(object).iter().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        let place = format!("spec.finalizers[{n}]");
        if let Some(problem) = names::label_key(text) {
            causes.push(Cause::invalid(place, finalizer, &problem));
        } else if !text.contains('/') && text != KUBERNETES {
            const TEXT: &str =
                "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(place, finalizer, TEXT));
        }
    }
    let phase = &object["status"]["phase"];
    if phase.is_string() && metadata::is_deleting(object) == (phase == "Active") {
        let text = if phase == "Active" {
            "may only be 'Terminating' if `deletionTimestamp` is not empty"
        } else {
            "may only be 'Active' if `deletionTimestamp` is empty"
        };
        causes.push(Cause::invalid("status.Phase", phase, text));
    }
    causes
}

/// Marks the namespace as going away.
pub fn on_delete(object: &mut Value) {
    object["status"]["phase"] = "Terminating".into();
}

/// True once nothing holds a namespace that is to go.
#[must_use]
pub fn is_released(object: &Value) -> bool {
    let own = object.pointer("/spec/finalizers").and_then(Value::as_array);
    own.is_none_or(Vec::is_empty) && metadata::finalizers(object).is_empty()
}
