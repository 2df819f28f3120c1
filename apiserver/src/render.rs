//! Answers as JSON bytes: stored text is spliced, never parsed.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use store::Item;

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
        Form::Stored(item) if is_plain(resource, item) => object::append_to(out, item),
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

/// True if the stored text says what is to be shown; `Descriptor::shows` has been asked before.
fn is_plain(resource: &Descriptor, item: &Item) -> bool {
    match &resource.family {
        None => resource.is_as_stored(),
        Some(_) => object::is_of(item, &resource.kind, &resource.group, &resource.version),
    }
}

/// Bytes of a list gathered into one piece.
const PIECE: usize = 64 << 10;

/// A list as JSON, made piece by piece as it is sent: a large one never lies in memory as a whole.
#[derive(Debug)]
pub struct Pieces {
    resource: Arc<Descriptor>,
    items: std::vec::IntoIter<Item>,
    /// What the next piece begins with.
    piece: Vec<u8>,
    is_over: bool,
}

impl Pieces {
    /// The pieces of a list.
    #[must_use]
    pub fn new(resource: &Arc<Descriptor>, list: List) -> Self {
        let mut piece = Vec::with_capacity(PIECE.min(256 + 2 * size(&list)));
        open_list(
            &mut piece,
            &resource.list_kind,
            &resource.api_version(),
            &list,
        );
        Self {
            resource: Arc::clone(resource),
            items: list.items.into_iter(),
            piece,
            is_over: false,
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut piece = mem::take(&mut self.piece);
        while piece.len() < PIECE {
            let Some(item) = self.items.next() else {
                piece.extend_from_slice(b"]}");
                self.is_over = true;
                return Some(piece.into());
            };
            append(&mut piece, &self.resource, &Form::Stored(item));
            if self.items.len() > 0 {
                piece.push(b',');
            }
        }
        self.piece.reserve(PIECE + PIECE / 8);
        Some(piece.into())
    }
}

/// Bytes of the objects of a list, about.
#[must_use]
pub fn size(list: &List) -> usize {
    list.items.iter().map(|item| item.value.len() + 48).sum()
}

/// A list as JSON, in one piece.
#[must_use]
pub fn list(resource: &Descriptor, list: &List) -> Bytes {
    let mut out = Vec::with_capacity(size(list) + 256);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        let resource = Arc::new(Descriptor::default());
        for count in [0, 1, 63, 64, 65, 500] {
            let item = |n: usize| {
                let object =
                    json!({"metadata": {"name": format!("x{n}")}, "data": "d".repeat(1_000)});
                Item {
                    key: Bytes::from(n.to_string()),
                    value: object::encode(&object),
                    create_revision: 1,
                    mod_revision: 1 + n as u64,
                    version: 1,
                }
            };
            let found = List {
                items: (0..count).map(item).collect(),
                revision: 9,
                ..List::default()
            };
            let whole = list(&resource, &found);
            let pieces: Vec<Bytes> = Pieces::new(&resource, found).collect();
            assert!(pieces.concat() == whole, "{count}");
            assert!(pieces.iter().all(|piece| piece.len() < 2 * PIECE));
            assert!(serde_json::from_slice::<Value>(&whole).is_ok());
        }
    }
}
