//! The wire form of `POST /apis/stoa.dev/v1/transactions`: many writes, all or nothing, one log entry.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Many writes, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transaction {
    /// `stoa.dev/v1`.
    pub api_version: String,
    /// `Transaction`.
    pub kind: String,
    /// A UUID: the same id applies once, so a retry after a lost answer is safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What must hold for anything to be applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
    /// The writes, in order; a later one sees the earlier ones.
    pub operations: Vec<Operation>,
}

/// A condition on the state the transaction meets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Guard {
    /// The object exists, at this version if one is named.
    Exists(Target, #[serde(default)] Option<String>),
    /// The object does not exist.
    Absent(Target),
    /// The leader that orders the entry has this epoch. Fences controllers.
    Epoch(u64),
}

/// Names one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// Plural, e.g. `tasks`.
    pub resource: String,
    /// Absent for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `metadata.name`; empty with `generateName`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// What is written.
    #[serde(flatten)]
    pub target: Target,
    /// `status`, `accept`, `decline`; absent for the object itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// How.
    pub verb: Verb,
    /// The object (create, update, accept, decline), the patch (patch) or the DeleteOptions.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// How an operation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// POST.
    Create,
    /// PUT; `metadata.resourceVersion` in the body is a precondition.
    Update,
    /// Merge patch (RFC 7396); `metadata.resourceVersion` in the body is a precondition.
    Patch,
    /// Create, or merge the body into what exists, as `stoa apply --atomic` needs.
    Apply,
    /// DELETE.
    Delete,
}

/// Answer to a transaction: the resulting objects in the order of the operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionResult {
    /// `stoa.dev/v1`.
    pub api_version: String,
    /// `TransactionResult`.
    pub kind: String,
    /// Store revision after the last operation.
    pub revision: String,
    /// Object, or Status for a delete, of each operation.
    pub results: Vec<Value>,
}
