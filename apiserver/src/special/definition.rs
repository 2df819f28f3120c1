//! CustomResourceDefinition: defaults, structural rules, and the status that makes it served.

use serde_json::{Value, json};

use crate::metadata;
use crate::names;
use crate::registry::definition;
use crate::status::{Cause, Failure, Gr};
use crate::user::User;

/// Finalizer that holds a definition while it has instances.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in names, conversion and status. A definition is served by the write that creates it.
///
/// # Errors
/// 403 when somebody but the servers writes one of our own definitions.
pub fn complete(object: &mut Value, user: &User) -> Result<(), Failure> {
    if object["spec"]["group"] == manifests::kinds::GROUP && !user.is_system() {
        let gr = Gr::new("apiextensions.k8s.io", "customresourcedefinitions");
        let name = metadata::text(object, "name");
        return Err(Failure::forbidden(
            &gr,
            name,
            "the kinds of stoa.dev belong to the server",
        ));
    }
    default_names(object);
    if object["spec"].get("conversion").is_none_or(Value::is_null) && object["spec"].is_object() {
        object["spec"]["conversion"] = json!({"strategy": "None"});
    }
    if object["spec"].is_object() {
        let since = transition_time(object);
        object["status"] = status(object, &since);
    }
    Ok(())
}

/// Says that the definition is going away.
pub fn on_delete(object: &mut Value) {
    let since = metadata::text(object, "deletionTimestamp").to_owned();
    object["status"] = status(object, &since.into());
}

/// People cannot let a definition go while it has objects, which nobody could reach then.
pub fn keep_cleanup(old: &Value, new: &mut Value) {
    let holds = |object: &Value| metadata::finalizers(object).iter().any(|f| f == CLEANUP);
    if holds(old) && !holds(new) {
        let mut finalizers = metadata::finalizers(new);
        finalizers.push(CLEANUP.to_owned());
        metadata::set_finalizers(new, &finalizers);
    }
}

fn default_names(object: &mut Value) {
    let Some(names) = object
        .pointer_mut("/spec/names")
        .filter(|names| names.is_object())
    else {
        return;
    };
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names
        .get("singular")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .is_empty()
    {
        names["singular"] = kind.to_lowercase().into();
    }
    if names
        .get("listKind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .is_empty()
    {
        names["listKind"] = format!("{kind}List").into();
    }
}

fn transition_time(object: &Value) -> Value {
    let present = object.pointer("/status/conditions/0/lastTransitionTime");
    present
        .unwrap_or(&object["metadata"]["creationTimestamp"])
        .clone()
}

fn status(object: &Value, since: &Value) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
               "lastTransitionTime": since})
    };
    let mut conditions = vec![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition(
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ];
    if metadata::is_deleting(object) {
        const TEXT: &str = "CustomResource deletion is in progress";
        conditions.push(condition("Terminating", "InstanceDeletionInProgress", TEXT));
    }
    let versions = object.pointer("/spec/versions").and_then(Value::as_array);
    let storage = versions
        .into_iter()
        .flatten()
        .filter(|v| v["storage"] == true);
    let mut stored: Vec<Value> = object
        .pointer("/status/storedVersions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for version in storage {
        if !stored.contains(&version["name"]) {
            stored.push(version["name"].clone());
        }
    }
    json!({"conditions": conditions, "acceptedNames": object["spec"]["names"], "storedVersions": stored})
}

/// Everything that is wrong with a definition.
#[must_use]
pub fn check(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &object["spec"];
    let word = |path: &str| {
        spec.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    for field in ["group", "names/plural", "names/kind", "scope"] {
        if word(&format!("/{field}")).is_empty() {
            causes.push(Cause::required(
                format!("spec.{}", field.replace('/', ".")),
                "",
            ));
        }
    }
    let expected = format!("{}.{}", word("/names/plural"), word("/group"));
    let name = metadata::text(object, "name");
    if causes.is_empty() && name != expected {
        let text = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), text));
    }
    if let Some(problem) = names::dns_subdomain(word("/group")) {
        causes.push(Cause::invalid("spec.group", &spec["group"], &problem));
    }
    if !matches!(word("/scope"), "" | "Namespaced" | "Cluster") {
        let text = format!(
            "Unsupported value: {}: supported values: \"Cluster\", \"Namespaced\"",
            spec["scope"]
        );
        causes.push(Cause::of("spec.scope", text));
    }
    if let Some(old) = old {
        causes.extend(immutable(spec, &old["spec"]));
    }
    causes.extend(definition::check_versions(spec));
    causes
}

fn immutable(spec: &Value, old: &Value) -> Vec<Cause> {
    let fields = ["group", "scope", "names/plural", "names/kind"];
    let changed = fields.iter().filter(|field| {
        let path = format!("/{field}");
        spec.pointer(&path) != old.pointer(&path)
    });
    changed
        .map(|field| {
            let value = spec.pointer(&format!("/{field}")).unwrap_or(&Value::Null);
            Cause::invalid(
                format!("spec.{}", field.replace('/', ".")),
                value,
                "field is immutable",
            )
        })
        .collect()
}
