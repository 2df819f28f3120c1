//! `Revocation`: credentials that are not heard any more, though they have not ended.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Credentials that are not heard any more, though they have not ended. Deleting it lets them speak
/// again.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stoa.dev",
    version = "v1",
    kind = "Revocation",
    plural = "revocations",
    singular = "revocation",
    shortname = "rvk",
    category = "stoa",
    derive = "PartialEq",
    validation = kube::core::Rule::new("self.spec == oldSelf.spec")
        .message("a revocation never changes; delete it and create another"),
    printcolumn(name = "User", type_ = "string", json_path = ".spec.user"),
    printcolumn(name = "Serial", type_ = "string", json_path = ".spec.serial"),
    printcolumn(name = "Token", type_ = "string", json_path = ".spec.token"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RevocationSpec {
    /// The one certificate with this serial number, in hexadecimal as `openssl x509 -serial` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The one token with this name: the `jti` of a service account's, the fourth part of a join token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Everything this user was given up to `issuedBefore`. Of agents it is `stoa:agent:NAME`; who
    /// holds a join token is `stoa:joiner:agent` or `stoa:joiner:server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// With `user`: what was issued later is heard. Default: the creation of this object. Tokens that
    /// do not say when they were issued (static and bootstrap tokens) count as older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub issued_before: Option<Time>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

fn time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}
