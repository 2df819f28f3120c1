//! Structural schemas: what the server and `stoa apply` both read of them.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of an object about which nothing more is said.
#[must_use]
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
