//! Builds the operations of transactions.

use manifests::bundle::{Operation, Target, Verb};
use manifests::kinds::API_VERSION;
use serde_json::{Value, json};

use crate::model::{Key, Task, Thing};

/// An object of `stoa.dev/v1`.
fn target(resource: &str, namespace: Option<&str>, name: &str) -> Target {
    Target {
        api_version: API_VERSION.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(ToOwned::to_owned),
        name: name.to_owned(),
    }
}

/// An object of core/v1 in a namespace.
pub(crate) fn core(resource: &str, key: &Key) -> Target {
    Target {
        api_version: "v1".to_owned(),
        ..target(resource, Some(&key.namespace), &key.name)
    }
}

/// Any object.
pub(crate) fn thing(thing: &Thing) -> Target {
    let namespace = thing.sort.namespaced.then_some(&*thing.key.namespace);
    Target {
        api_version: thing.sort.api_version.clone(),
        ..target(&thing.sort.plural, namespace, &thing.key.name)
    }
}

/// POST of a whole object.
pub(crate) fn create(resource: &str, key: &Key, body: Value) -> Operation {
    let target = target(resource, Some(&key.namespace), &key.name);
    Operation {
        target,
        subresource: None,
        verb: Verb::Create,
        body,
    }
}

/// Merge patch of an object in a namespace.
pub(crate) fn patch(resource: &str, key: &Key, body: Value) -> Operation {
    let target = target(resource, Some(&key.namespace), &key.name);
    Operation {
        target,
        subresource: None,
        verb: Verb::Patch,
        body,
    }
}

/// Merge patch of the status of an object in a namespace.
pub(crate) fn patch_status(resource: &str, key: &Key, body: Value) -> Operation {
    Operation {
        subresource: Some("status".to_owned()),
        ..patch(resource, key, body)
    }
}

/// Merge patch of the status of a cluster-scoped object.
pub(crate) fn patch_cluster_status(resource: &str, name: &str, body: Value) -> Operation {
    let target = target(resource, None, name);
    Operation {
        target,
        subresource: Some("status".to_owned()),
        verb: Verb::Patch,
        body,
    }
}

/// DELETE, refused unless the object still is who and (with `version`) what we think it is.
pub(crate) fn delete(resource: &str, key: &Key, uid: &str, version: Option<u64>) -> Operation {
    delete_of(
        target(resource, Some(&key.namespace), &key.name),
        uid,
        version,
    )
}

/// DELETE of any object, refused unless it still is who we think it is.
pub(crate) fn delete_thing(of: &Thing, uid: &str) -> Operation {
    delete_of(thing(of), uid, None)
}

/// DELETE of a target under preconditions.
pub(crate) fn delete_of(target: Target, uid: &str, version: Option<u64>) -> Operation {
    let mut preconditions = json!({});
    if !uid.is_empty() {
        preconditions["uid"] = uid.into();
    }
    if let Some(version) = version {
        preconditions["resourceVersion"] = version.to_string().into();
    }
    let body = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": preconditions,
        "propagationPolicy": "Background",
    });
    Operation {
        target,
        subresource: None,
        verb: Verb::Delete,
        body,
    }
}

/// `accept` of an offer: these tasks, each at the version it was judged at.
pub(crate) fn accept<'a>(offer: &Key, tasks: impl IntoIterator<Item = &'a Task>) -> Operation {
    let tasks: Vec<Value> = tasks
        .into_iter()
        .map(|t| json!({ "name": &*t.key.name, "resourceVersion": t.meta.version.to_string() }))
        .collect();
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "OfferAcceptance",
        "tasks": tasks,
        "refuseSeconds": 0.0,
    });
    let target = target("offers", Some(&offer.namespace), &offer.name);
    Operation {
        target,
        subresource: Some("accept".to_owned()),
        verb: Verb::Create,
        body,
    }
}

/// The metadata part of a patch that is refused unless the task is still as judged.
pub(crate) fn guarded(task: &Task) -> Value {
    json!({ "uid": task.meta.uid, "resourceVersion": task.meta.version.to_string() })
}

/// An RFC 3339 time with microseconds, as `MicroTime` is written.
pub(crate) fn micro_time(ms: u64) -> String {
    stamp(ms).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// An RFC 3339 time in whole seconds, as `Time` is written.
pub(crate) fn time(ms: u64) -> String {
    stamp(ms).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn stamp(ms: u64) -> jiff::Timestamp {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX)
}
