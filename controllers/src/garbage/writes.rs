//! What is written about dependents and owners.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use manifests::bundle::{Operation, Verb};
use serde_json::{Value, json};

use crate::effect::{Token, Write};
use crate::model::{Meta, Thing};
use crate::ops;

pub(super) fn remove(thing: &Thing, meta: &Meta) -> Write {
    write(thing, ops::delete_thing(thing, &meta.uid))
}

pub(super) fn unfinalize(thing: &Thing, meta: &Meta, finalizer: &str) -> Write {
    let kept: Vec<&String> = meta.finalizers.iter().filter(|f| *f != finalizer).collect();
    metadata(thing, meta, "finalizers", json!(kept))
}

pub(super) fn set_free(thing: &Thing, meta: &Meta, owner: &str) -> Write {
    let kept: Vec<&OwnerReference> = meta.owners.iter().filter(|o| o.uid != owner).collect();
    metadata(thing, meta, "ownerReferences", json!(kept))
}

fn metadata(thing: &Thing, meta: &Meta, field: &str, value: Value) -> Write {
    let mut metadata = json!({ "uid": meta.uid, "resourceVersion": meta.version.to_string() });
    metadata[field] = value;
    let operation = Operation {
        target: ops::thing(thing),
        subresource: None,
        verb: Verb::Patch,
        body: json!({ "metadata": metadata }),
    };
    write(thing, operation)
}

fn write(thing: &Thing, operation: Operation) -> Write {
    Write::cold(Token::Garbage(thing.clone()), vec![operation])
}
