//! Structural schemas, as Kubernetes reads them: validating, pruning and defaulting objects.
//!
//! The server and `stoa apply` judge an object by the same four functions: [`validate`],
//! [`unknown_fields`], [`prune`] and [`apply_defaults`]. A schema is the JSON of a
//! `JSONSchemaProps`; the rules and texts are those of `k8s.io/apiextensions-apiserver`.

mod check;
mod defaults;
mod error;
mod format;
mod known;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

pub use check::{validate, validate_at};
pub use defaults::apply_defaults;
pub use error::{FieldError, Reason};
pub use known::{prune, unknown_fields};

/// The schema of one version of a definition, as JSON; `None` when there is no such version, or
/// it has no schema.
#[must_use]
pub fn structural(definition: &CustomResourceDefinition, version: &str) -> Option<Value> {
    let version = definition
        .spec
        .versions
        .iter()
        .find(|v| v.name == version)?;
    let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
    serde_json::to_value(schema).ok()
}

/// The schema of an object about which nothing more is said.
#[must_use]
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// True when a string has one of Kubernetes' formats. Formats that are not known promise nothing.
#[must_use]
pub fn has_format(format: &str, text: &str) -> bool {
    format::string_has(format, text)
}

/// `parent.child`, or just `child` at the root.
fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn is_true(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

/// Null stands for "not given" unless the schema says that it is a value.
fn is_stray_null(schema: &Value, value: &Value) -> bool {
    value.is_null() && !is_true(schema, "nullable")
}
