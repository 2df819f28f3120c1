//! The stored form of an object: its JSON without `resourceVersion`, laid out so that readers
//! splice the version in without parsing.
//!
//! ```text
//! byte 0      layout version, 1
//! bytes 1..4  u24: where the text after `"metadata":{` begins
//! bytes 4..8  u32: where metadata's closing brace stands
//! bytes 8..   {"kind":"Task","apiVersion":"stoa.dev/v1","metadata":{"name":...},"spec":...}
//! ```
//!
//! Offsets count from the first byte of the JSON. Metadata is never empty: every object has a name.

use bytes::Bytes;
use serde_json::{Map, Value};
use store::Item;

const LAYOUT: u8 = 1;
const HEADER: usize = 8;

/// An object handed to a client: as stored, or made for this answer alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// As stored.
    Stored(Item),
    /// Computed: a dry run's result, a Scale.
    Value(Value),
}

impl Form {
    /// The parsed object, with its resourceVersion.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Stored(item) => decode(item),
            Self::Value(value) => value.clone(),
        }
    }
}

/// Encodes an object for the store. `metadata.resourceVersion` is left out.
#[must_use]
pub fn encode(object: &Value) -> Bytes {
    let mut out = vec![LAYOUT; HEADER];
    let field = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    open(&mut out, field("kind"), field("apiVersion"));
    let start = out.len() - HEADER;
    write_metadata(&mut out, object);
    let end = out.len() - HEADER;
    out.push(b'}');
    write_rest(&mut out, object);
    out.push(b'}');
    out[1..4].copy_from_slice(&(start as u32).to_be_bytes()[1..]);
    out[4..8].copy_from_slice(&(end as u32).to_be_bytes());
    out.into()
}

fn open(out: &mut Vec<u8>, kind: &str, api_version: &str) {
    out.extend_from_slice(b"{\"kind\":");
    write_json(out, &kind);
    out.extend_from_slice(b",\"apiVersion\":");
    write_json(out, &api_version);
    out.extend_from_slice(b",\"metadata\":{");
}

fn write_metadata(out: &mut Vec<u8>, object: &Value) {
    let empty = Map::new();
    let metadata = object
        .get("metadata")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let kept = metadata.iter().filter(|(key, _)| *key != "resourceVersion");
    for (n, (key, value)) in kept.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_json(out, key);
        out.push(b':');
        write_json(out, value);
    }
}

fn write_rest(out: &mut Vec<u8>, object: &Value) {
    for (key, value) in object.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            out.push(b',');
            write_json(out, key);
            out.push(b':');
            write_json(out, value);
        }
    }
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a string or a JSON value always encodes");
}

/// The stored JSON and the two offsets of its header.
fn parts(value: &[u8]) -> Option<(&[u8], usize, usize)> {
    let (header, json) = value.split_at_checked(HEADER)?;
    let start = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
    let end = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    (header[0] == LAYOUT && start <= end && end < json.len()).then_some((json, start, end))
}

/// True if the object is stored as of this kind, group and version.
#[must_use]
pub fn is_of(item: &Item, kind: &str, group: &str, version: &str) -> bool {
    let (group, slash) = if group.is_empty() {
        ("", "")
    } else {
        (group, "/")
    };
    let words = [
        "{\"kind\":\"",
        kind,
        "\",\"apiVersion\":\"",
        group,
        slash,
        version,
        "\"",
    ];
    let mut rest = text(item);
    words.iter().all(|word| {
        let after = rest.strip_prefix(word.as_bytes());
        rest = after.unwrap_or_default();
        after.is_some()
    })
}

/// Appends the object's JSON, resourceVersion included.
pub fn append_to(out: &mut Vec<u8>, item: &Item) {
    if let Some((json, start, _)) = parts(&item.value) {
        out.reserve(json.len() + 48);
        out.extend_from_slice(&json[..start]);
        append_version(out, item.mod_revision, &json[start..]);
        out.extend_from_slice(&json[start..]);
    } else {
        // Not written by us; an empty object keeps a list well-formed.
        out.extend_from_slice(b"{}");
    }
}

/// Appends an object that is not stored: kind first, as Go writes it.
pub fn append_value(out: &mut Vec<u8>, object: &Value) {
    let Some(map) = object.as_object() else {
        return write_json(out, object);
    };
    out.push(b'{');
    let first = ["kind", "apiVersion", "metadata"];
    let head = first.iter().filter_map(|key| map.get_key_value(*key));
    let rest = map.iter().filter(|(key, _)| !first.contains(&key.as_str()));
    for (n, (key, value)) in head.chain(rest).enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_json(out, key);
        out.push(b':');
        write_json(out, value);
    }
    out.push(b'}');
}

/// Appends the object under another kind or version, as conversion `None` does.
pub fn append_as(out: &mut Vec<u8>, item: &Item, kind: &str, api_version: &str) {
    let Some((json, start, _)) = parts(&item.value) else {
        return out.extend_from_slice(b"{}");
    };
    open(out, kind, api_version);
    append_version(out, item.mod_revision, &json[start..]);
    out.extend_from_slice(&json[start..]);
}

/// Appends the object's PartialObjectMetadata.
pub fn append_partial(out: &mut Vec<u8>, item: &Item) {
    let Some((json, start, end)) = parts(&item.value) else {
        return out.extend_from_slice(b"{}");
    };
    open(out, "PartialObjectMetadata", "meta.k8s.io/v1");
    append_version(out, item.mod_revision, &json[start..]);
    out.extend_from_slice(&json[start..end]);
    out.extend_from_slice(b"}}");
}

/// The first of the metadata; `rest` is what follows it.
fn append_version(out: &mut Vec<u8>, revision: u64, rest: &[u8]) {
    out.extend_from_slice(b"\"resourceVersion\":\"");
    out.extend_from_slice(revision.to_string().as_bytes());
    out.push(b'"');
    if rest.first() != Some(&b'}') {
        out.push(b',');
    }
}

/// The object's JSON, resourceVersion included.
#[must_use]
pub fn splice(item: &Item) -> Bytes {
    let mut out = Vec::new();
    append_to(&mut out, item);
    out.into()
}

/// The stored JSON as text, without the resourceVersion; for cheap searches before parsing.
#[must_use]
pub fn text(item: &Item) -> &[u8] {
    parts(&item.value).map_or(&[], |(json, ..)| json)
}

/// Parses a stored object and puts its resourceVersion in place.
#[must_use]
pub fn decode(item: &Item) -> Value {
    let mut object = decode_bare(&item.value);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(
            "resourceVersion".into(),
            item.mod_revision.to_string().into(),
        );
    }
    object
}

/// Parses a stored value, without a resourceVersion; `null` if we did not write it.
#[must_use]
pub fn decode_bare(value: &[u8]) -> Value {
    parts(value)
        .and_then(|(json, ..)| serde_json::from_slice(json).ok())
        .unwrap_or_default()
}

/// What Go calls a JSON value, as Kubernetes' texts do.
#[must_use]
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(object: &Value, revision: u64) -> Item {
        let value = encode(object);
        let key = Bytes::from_static(b"/core/configmaps/a/x");
        Item {
            key,
            value,
            create_revision: 1,
            mod_revision: revision,
            version: 1,
        }
    }

    #[test]
    fn splicing_equals_decoding() {
        for object in [
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": "stale"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"\"metadata\":{": "}"},
                   "metadata": {"name": "x", "resourceVersion": "stale", "labels": {"é": "\u{1}"}}}),
        ] {
            let item = item(&object, 42);
            let spliced: Value = serde_json::from_slice(&splice(&item)).unwrap();
            assert_eq!(spliced, decode(&item));
            assert_eq!(spliced["metadata"]["resourceVersion"], "42");
            assert_eq!(spliced["data"], object["data"]);
            let mut partial = Vec::new();
            append_partial(&mut partial, &item);
            let partial: Value = serde_json::from_slice(&partial).unwrap();
            assert_eq!(partial["kind"], "PartialObjectMetadata");
            assert_eq!(partial["metadata"], spliced["metadata"]);
            assert!(is_of(&item, "ConfigMap", "", "v1"));
            assert!(!is_of(&item, "ConfigMap", "", "v") && !is_of(&item, "ConfigMap", "v1", ""));
            let mut other = Vec::new();
            append_as(&mut other, &item, "ConfigMap", "v2");
            let other: Value = serde_json::from_slice(&other).unwrap();
            assert_eq!(
                (&other["apiVersion"], &other["data"]),
                (&json!("v2"), &spliced["data"])
            );
        }
    }

    #[test]
    fn foreign_bytes_do_no_harm() {
        for value in [&b""[..], b"{}", b"\x01\x00\x00\xff\x00\x00\x00\xff{}"] {
            let key = Bytes::from_static(b"k");
            let value = Bytes::copy_from_slice(value);
            let item = Item {
                key,
                value,
                create_revision: 1,
                mod_revision: 1,
                version: 1,
            };
            assert_eq!(decode(&item), Value::Null);
            assert_eq!(splice(&item), "{}");
        }
    }
}
