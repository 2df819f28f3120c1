//! Answers as JSON bytes: stored text is spliced, never parsed.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::call::List;
use crate::object::{self, Form};
use crate::registry::Descriptor;

/// One object as JSON.
#[must_use]
pub fn object(resource: &Descriptor, form: &Form) -> Bytes {
    let mut out = Vec::new();
    append(&mut out, resource, form);
    out.into()
}

/// Appends one object as JSON, under the version it was asked in.
pub fn append(out: &mut Vec<u8>, resource: &Descriptor, form: &Form) {
    match form {
        Form::Stored(item) if resource.is_as_stored() => object::append_to(out, item),
        Form::Stored(item) if resource.view.is_some() => {
            let mut value = object::decode(item);
            resource.to_shown(&mut value);
            object::append_value(out, &value);
        }
        Form::Stored(item) => {
            object::append_as(out, item, &resource.kind, &resource.api_version());
        }
        Form::Value(value) if resource.view.is_some() => {
            let mut value = value.clone();
            resource.to_shown(&mut value);
            object::append_value(out, &value);
        }
        Form::Value(value) => object::append_value(out, value),
    }
}

/// A list as JSON.
#[must_use]
pub fn list(resource: &Descriptor, list: &List) -> Bytes {
    let capacity = list
        .items
        .iter()
        .map(|item| item.value.len() + 64)
        .sum::<usize>()
        + 256;
    let mut out = Vec::with_capacity(capacity);
    open_list(&mut out, &resource.list_kind, &resource.api_version(), list);
    for (n, item) in list.items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        append(&mut out, resource, &Form::Stored(item.clone()));
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// A list as a PartialObjectMetadataList.
#[must_use]
pub fn partial_list(list: &List) -> Bytes {
    let mut out = Vec::new();
    open_list(
        &mut out,
        "PartialObjectMetadataList",
        "meta.k8s.io/v1",
        list,
    );
    for (n, item) in list.items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        object::append_partial(&mut out, item);
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// One object as PartialObjectMetadata.
#[must_use]
pub fn partial(form: &Form) -> Bytes {
    match form {
        Form::Stored(item) => {
            let mut out = Vec::new();
            object::append_partial(&mut out, item);
            out.into()
        }
        Form::Value(value) => partial_value(value).to_string().into(),
    }
}

pub(crate) fn partial_value(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata"),
    })
}

fn open_list(out: &mut Vec<u8>, kind: &str, api_version: &str, list: &List) {
    let metadata = list_metadata(list);
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        Value::from(kind),
        Value::from(api_version),
        Value::from(metadata)
    );
    out.extend_from_slice(head.as_bytes());
}

pub(crate) fn list_metadata(list: &List) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), list.revision.to_string().into());
    if let Some(token) = &list.continue_ {
        metadata.insert("continue".into(), token.as_str().into());
    }
    if let Some(remaining) = list.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    metadata
}
