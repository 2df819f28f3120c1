//! Namespace: its phase and its own finalizers, which a controller removes once it is empty.

use serde_json::{Value, json};

use crate::metadata;
use crate::user::{MASTERS, User};

/// Namespaces that may not be deleted.
pub const KEPT: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Label with the namespace's own name, which selectors of namespaces use.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Active, and held by the finalizer `kubernetes`.
pub fn on_create(object: &mut Value) {
    let name = metadata::text(object, "name").to_owned();
    let metadata = metadata::map(object);
    metadata.entry("labels").or_insert_with(|| json!({}))[NAME_LABEL] = name.into();
    object["spec"] = json!({"finalizers": ["kubernetes"]});
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
