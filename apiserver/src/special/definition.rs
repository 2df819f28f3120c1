//! CustomResourceDefinition: defaults, structural rules, and the status that makes it served.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::metadata;
use crate::registry::{Origin, Registry, definition};
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
    const TEXT: &str = "CustomResource deletion is in progress";
    let since = metadata::text(object, "deletionTimestamp")
        .to_owned()
        .into();
    let terminating = condition(
        "Terminating",
        true,
        ("InstanceDeletionInProgress", TEXT),
        &since,
    );
    let conditions = object
        .pointer_mut("/status/conditions")
        .and_then(Value::as_array_mut);
    if let Some(conditions) = conditions {
        conditions.retain(|one| one["type"] != "Terminating");
        conditions.push(terminating);
    }
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

fn condition(kind: &str, holds: bool, (reason, message): (&str, &str), since: &Value) -> Value {
    let status = if holds { "True" } else { "False" };
    json!({"type": kind, "status": status, "reason": reason, "message": message,
           "lastTransitionTime": since})
}

fn status(object: &Value, since: &Value) -> Value {
    let accepted = (
        "InitialNamesAccepted",
        "the initial names have been accepted",
    );
    let mut conditions = vec![
        condition(
            "NamesAccepted",
            true,
            ("NoConflicts", "no conflicts found"),
            since,
        ),
        condition("Established", true, accepted, since),
    ];
    let before = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let terminating = before
        .into_iter()
        .flatten()
        .filter(|one| one["type"] == "Terminating");
    conditions.extend(terminating.cloned());
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

/// A definition whose names others of its group have is stored, says so, and is not served
/// (`controller/status/naming_controller.go`). One that was served before goes on under the names
/// it had.
pub fn accept_names(object: &mut Value, old: Option<&Value>, registry: &Registry) {
    let before = old.and_then(|old| old.pointer("/status/acceptedNames"));
    let Some((reason, message)) = conflict(object, before, registry) else {
        return;
    };
    let since = transition_time(object);
    let established = |one: &&Value| one["type"] == "Established";
    let was = old.and_then(|old| {
        old.pointer("/status/conditions")?
            .as_array()?
            .iter()
            .find(established)
    });
    let established = was.cloned().unwrap_or_else(|| {
        condition(
            "Established",
            false,
            ("NotAccepted", "not all names are accepted"),
            &since,
        )
    });
    let refused = condition("NamesAccepted", false, (reason, &message), &since);
    let mut conditions = vec![refused, established];
    let own = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.extend(own.into_iter().flatten().skip(2).cloned());
    object["status"]["conditions"] = conditions.into();
    object["status"]["acceptedNames"] = before
        .cloned()
        .unwrap_or_else(|| json!({"plural": "", "kind": ""}));
}

/// The condition on names, and that the kind is served, hold since now.
pub fn touch(object: &mut Value, now: &str) {
    let conditions = object.pointer_mut("/status/conditions");
    let conditions = conditions.and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().take(2) {
        condition["lastTransitionTime"] = now.into();
    }
}

/// One word, or a list of them.
fn words(value: &Value) -> Vec<String> {
    let list = value.as_array();
    let list = list.map_or(std::slice::from_ref(value), Vec::as_slice);
    let words = list.iter().filter_map(Value::as_str);
    words.map(String::from).collect()
}

/// The last of the names that somebody else has, as upstream, and what is said of it.
fn conflict(
    object: &Value,
    before: Option<&Value>,
    registry: &Registry,
) -> Option<(&'static str, String)> {
    let spec = &object["spec"];
    let word = |names: &Value, name: &str| names[name].as_str().unwrap_or_default().to_owned();
    let (group, plural) = (word(spec, "group"), word(&spec["names"], "plural"));
    let others = registry
        .iter()
        .filter(|d| d.group == group && !(d.plural == plural && d.origin == Origin::Definition));
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for other in others {
        resources.extend([other.plural.clone(), other.singular.clone()]);
        resources.extend(other.short_names.iter().cloned());
        kinds.extend([other.kind.clone(), other.list_kind.clone()]);
    }
    let mut found = None;
    for (name, reason, taken) in [
        ("plural", "PluralConflict", &resources),
        ("singular", "SingularConflict", &resources),
        ("shortNames", "ShortNamesConflict", &resources),
        ("kind", "KindConflict", &kinds),
        ("listKind", "ListKindConflict", &kinds),
    ] {
        let had: Vec<String> = before.map_or(Vec::new(), |before| words(&before[name]));
        let wanted = words(&spec["names"][name]);
        let clashes = wanted
            .iter()
            .filter(|wanted| taken.contains(*wanted) && !had.contains(wanted));
        let clashes: Vec<String> = clashes
            .map(|one| format!("{one:?} is already in use"))
            .collect();
        match clashes.as_slice() {
            [] => {}
            [one] => found = Some((reason, one.clone())),
            all => found = Some((reason, format!("[{}]", all.join(", ")))),
        }
    }
    found
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
    let expected = format!("{}.{}", word("/names/plural"), word("/group"));
    let name = metadata::text(object, "name");
    if name != expected {
        let text = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), text));
    }
    causes.extend(definition::check_spec(spec));
    if let Some(old) = old {
        causes.extend(immutable(spec, old));
    }
    causes.extend(stored_versions(object));
    causes
}

/// A version in which objects may still lie must stay in the definition.
fn stored_versions(object: &Value) -> Vec<Cause> {
    let list = |path: &str| {
        let list = object.pointer(path).and_then(Value::as_array);
        list.map_or(&[][..], Vec::as_slice)
    };
    let versions = list("/spec/versions");
    let stored = list("/status/storedVersions").iter().enumerate();
    let gone = stored.filter(|(_, name)| !versions.iter().any(|own| own["name"] == **name));
    gone.map(|(n, name)| {
        let word = name.as_str().unwrap_or_default();
        let text = format!(
            "missing from spec.versions; {word} was previously a storage version, and must remain \
             in spec.versions until a storage migration ensures no data remains persisted in \
             {word} and removes {word} from status.storedVersions"
        );
        Cause::invalid(format!("status.storedVersions[{n}]"), name, &text)
    })
    .collect()
}

/// The group and plural are part of the name; scope and kind say how objects are stored, once
/// there can be any.
fn immutable(spec: &Value, old: &Value) -> Vec<Cause> {
    let conditions = old.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    let established = conditions.any(|one| one["type"] == "Established" && one["status"] == "True");
    let fields = ["scope", "names/kind", "group", "names/plural"];
    let fields = if established {
        &fields[..]
    } else {
        &fields[2..]
    };
    let changed = fields.iter().filter(|field| {
        let path = format!("/{field}");
        spec.pointer(&path) != old["spec"].pointer(&path)
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
