//! Conversion between the versions of a definition by a webhook: what it is asked, and what it may
//! answer. It says what becomes of an object; of its metadata it may change labels and annotations.
//!
//! Rules and texts: `apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::names;
use crate::object::go_type;
use crate::registry::Descriptor;
use crate::status::Failure;

/// How long a webhook may take, in seconds, as upstream.
pub const TIMEOUT_S: u64 = 30;

/// Where a definition's versions are converted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhook {
    /// Where it answers.
    pub url: String,
    /// PEM certificates of those who may sign its own; empty: the machine's.
    pub ca_bundle: Vec<u8>,
}

impl Webhook {
    /// The webhook of a definition's spec; none if versions differ in nothing but their name.
    #[must_use]
    pub fn of(spec: &Value) -> Option<Self> {
        let conversion = spec.get("conversion")?;
        let client = conversion.pointer("/webhook/clientConfig")?;
        let bundle = client["caBundle"].as_str().unwrap_or_default();
        (conversion["strategy"] == "Webhook").then(|| Self {
            url: client["url"].as_str().unwrap_or_default().to_owned(),
            ca_bundle: STANDARD.decode(bundle).unwrap_or_default(),
        })
    }
}

/// What a conversion and its outcome are known by.
pub type Key = [u8; 32];

/// One object to be converted, and what to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Of webhook, target and content.
    pub key: Key,
    /// Of which resource it is.
    pub resource: Arc<Descriptor>,
    /// The version wanted, with its group.
    pub to: String,
    /// The object.
    pub object: Value,
}

impl Wanted {
    /// A conversion with its key.
    #[must_use]
    pub fn new(resource: &Arc<Descriptor>, to: &str, object: &Value) -> Self {
        let url = resource.webhook().map_or("", |webhook| &webhook.url);
        let hash = Sha256::new()
            .chain_update(url.len().to_be_bytes())
            .chain_update(url)
            .chain_update(to.len().to_be_bytes())
            .chain_update(to)
            .chain_update(object.to_string());
        Self {
            key: hash.finalize().into(),
            resource: Arc::clone(resource),
            to: to.to_owned(),
            object: object.clone(),
        }
    }
}

/// The review that is sent: objects of any versions, to become this one.
#[must_use]
pub fn review(objects: &[Value], to: &str, uid: &str) -> Value {
    json!({
        "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
        "request": {"uid": uid, "desiredAPIVersion": to, "objects": objects},
    })
}

/// Why an object was not converted, as upstream says it: a 500 without a reason.
#[must_use]
pub fn failed(object: &Value, what: &str) -> Failure {
    Failure::bare_500(&format!(
        "conversion webhook for {} {what}",
        spelled(object)
    ))
}

/// `example.com/v1, Kind=Foo`.
fn spelled(object: &Value) -> String {
    let word = |field: &str| object[field].as_str().unwrap_or_default();
    format!("{}, Kind={}", word("apiVersion"), word("kind"))
}

/// What the answer makes of the objects that were sent.
///
/// # Errors
/// 500: why it is no answer to the question.
pub fn read(bytes: &[u8], uid: &str, sent: &[Value], to: &str) -> Result<Vec<Value>, Failure> {
    let Some(first) = sent.first() else {
        return Ok(Vec::new());
    };
    let converted =
        objects(bytes, uid).map_err(|problem| failed(first, &format!("failed: {problem}")))?;
    if converted.len() != sent.len() {
        let (found, expected) = (converted.len(), sent.len());
        let text = format!("returned {found} objects, expected {expected}");
        return Err(failed(first, &text));
    }
    let pairs = sent.iter().zip(converted).enumerate();
    pairs
        .map(|(n, (before, after))| one(n, before, after, to))
        .collect()
}

fn objects(bytes: &[u8], uid: &str) -> Result<Vec<Value>, String> {
    let mut review: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let found = (word(&review, "apiVersion"), word(&review, "kind"));
    if found.0 != "apiextensions.k8s.io/v1" || found.1 != "ConversionReview" {
        return Err(format!(
            "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got {}, Kind={}",
            found.0, found.1
        ));
    }
    let response = review["response"].take();
    if !response.is_object() {
        return Err("no response provided".to_owned());
    }
    let echoed = word(&response, "uid");
    if echoed != uid {
        return Err(format!("expected response.uid={uid:?}, got {echoed:?}"));
    }
    let status = word(&response["result"], "status");
    if status != "Success" {
        let message = word(&response["result"], "message");
        let plain = format!("response.result.status was '{status}', not 'Success'");
        return Err(if message.is_empty() { plain } else { message });
    }
    let mut response = response;
    Ok(match response["convertedObjects"].take() {
        Value::Array(objects) => objects,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    })
}

fn one(n: usize, before: &Value, mut after: Value, to: &str) -> Result<Value, Failure> {
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let wrong = |what: &str, expected: &str, found: &str| {
        let text = format!(
            "returned invalid object at index {n}: invalid {what} (expected {expected}, received {found})"
        );
        Err(failed(before, &text))
    };
    let (version, kind) = (word(&after, "apiVersion"), word(&after, "kind"));
    if version != to {
        return wrong("groupVersion", to, &version);
    }
    if kind != word(before, "kind") {
        return wrong("kind", &word(before, "kind"), &kind);
    }
    same(before, &after)
        .map_err(|problem| failed(before, &format!("returned invalid object: {problem}")))?;
    restore(before, &mut after)
        .map_err(|problem| failed(before, &format!("returned invalid metadata: {problem}")))?;
    Ok(after)
}

/// It must still be the same object.
fn same(before: &Value, after: &Value) -> Result<(), String> {
    for (field, what) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let text = |object: &Value| {
            let found = object.pointer(&format!("/metadata/{field}"));
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (was, is) = (text(before), text(after));
        if was != is {
            return Err(format!("must have the same {what}: {was} != {is}"));
        }
    }
    Ok(())
}

/// Metadata as it was, but for labels and annotations.
fn restore(before: &Value, after: &mut Value) -> Result<(), String> {
    let found = after.get_mut("metadata").map(Value::take);
    let mut found = found.ok_or("missing metadata in converted object")?;
    if !found.is_object() {
        let kind = go_type(&found);
        return Err(format!(
            "invalid metadata of type {kind} in converted object"
        ));
    }
    let mut metadata = before["metadata"].clone();
    for field in ["labels", "annotations"] {
        let is = found[field].take();
        if is != metadata[field] {
            check(field, &is)?;
        }
        match metadata.as_object_mut() {
            Some(map) if is.is_null() => _ = map.remove(field),
            Some(map) => _ = map.insert(field.to_owned(), is),
            None => {}
        }
    }
    after["metadata"] = metadata;
    Ok(())
}

fn check(field: &str, words: &Value) -> Result<(), String> {
    let words = match words {
        Value::Null => return Ok(()),
        Value::Object(words) => words,
        other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            let kind = go_type(other);
            return Err(format!(
                "invalid metadata.{field} of type {kind} in converted object"
            ));
        }
    };
    let mut problems = Vec::new();
    for (key, value) in words {
        let Some(text) = value.as_str() else {
            let kind = go_type(value);
            return Err(format!(
                "metadata.{field}[{key}] must be a string, but is {kind} in converted object"
            ));
        };
        // The path is misspelt upstream.
        let place = if field == "labels" {
            "metadata.labels"
        } else {
            "metadata.annotation"
        };
        let wrong =
            |value: &str, problem: String| format!("{place}: Invalid value: {value:?}: {problem}");
        problems.extend(names::label_key(key).map(|problem| wrong(key, problem)));
        if field == "labels" {
            problems.extend(names::label_value(text).map(|problem| wrong(text, problem)));
        }
    }
    match problems.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        all => Err(format!("[{}]", all.join(", "))),
    }
}

#[cfg(test)]
mod tests;
