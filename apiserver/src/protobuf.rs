//! Kubernetes protobuf bodies to the JSON the same client would have sent otherwise: what Go's
//! typed clients write. Driven by tables; nothing here knows a kind. Pure.
//!
//! A body is `k8s\0`, then `runtime.Unknown`: apiVersion, kind and the raw message
//! (k8s.io/apimachinery `pkg/runtime/serializer/protobuf`). Fields the tables do not know are
//! skipped, as Go does. Depth and the number of fields are bounded.

mod message;
mod tables;
mod wire;

use serde_json::{Map, Value};

use crate::body::{DEPTH_MAX, depth};
use crate::status::Failure;
use wire::{Malformed, Reader, Wire};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// What clients may send instead of a kind that is not in the tables.
const ACCEPTED: &[&str] = &["application/json", "application/yaml"];

/// What the envelope says.
#[derive(Debug, Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
    encoding: &'a str,
}

/// Decodes a body.
///
/// # Errors
/// 400 when it does not decode, 415 for a kind that is not in the tables.
pub fn decode(bytes: &[u8]) -> Result<Value, Failure> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        const TEXT: &str = "provided data does not appear to be a protobuf message, expected \
                            prefix [107 56 115 0]";
        return Err(Failure::bad_request(TEXT));
    };
    let envelope = open(rest).map_err(|error| malformed(&error))?;
    let tables = tables::tables();
    let found = tables.kind(envelope.api_version, envelope.kind);
    let Some(message) = found.filter(|_| envelope.encoding.is_empty()) else {
        return Err(Failure::unsupported_media(ACCEPTED));
    };
    let mut object = Map::new();
    object.insert("apiVersion".into(), envelope.api_version.into());
    object.insert("kind".into(), envelope.kind.into());
    message::read(tables, message, envelope.raw, &mut object).map_err(|error| malformed(&error))?;
    let object = Value::Object(object);
    if depth(&object) > DEPTH_MAX {
        return Err(malformed(&Malformed::Deep));
    }
    Ok(object)
}

fn malformed(error: &Malformed) -> Failure {
    Failure::bad_request(format!("the protobuf body does not decode: {error}"))
}

fn open(bytes: &[u8]) -> Result<Envelope<'_>, Malformed> {
    let mut envelope = Envelope::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(type_)) => open_type(type_, &mut envelope)?,
            (2, Wire::Bytes(raw)) => envelope.raw = raw,
            (3, Wire::Bytes(text)) => envelope.encoding = wire::text(text, "contentEncoding")?,
            _ => {}
        }
    }
    Ok(envelope)
}

fn open_type<'a>(bytes: &'a [u8], envelope: &mut Envelope<'a>) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(text)) => envelope.api_version = wire::text(text, "apiVersion")?,
            (2, Wire::Bytes(text)) => envelope.kind = wire::text(text, "kind")?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
