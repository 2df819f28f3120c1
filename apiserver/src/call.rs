//! A request to the engine and its answer, free of HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use store::Item;

use crate::object::Form;
use crate::params::Params;
use crate::registry::Descriptor;
use crate::user::User;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET of a name.
    Get,
    /// GET of a collection.
    List,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of a name.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
}

impl Verb {
    /// The word discovery and authorisation use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Media {
    /// `application/json`, and the default when nothing is said.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/json-patch+json`.
    JsonPatch,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/strategic-merge-patch+json`.
    StrategicMerge,
    /// `application/apply-patch+yaml`.
    Apply,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// A body as it came.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// How they are written.
    pub media: Media,
}

/// What a request leaves in the audit log beside itself: whoever asks holds on to it, and reads it
/// when the request is over. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Annotations(Arc<Mutex<BTreeMap<String, String>>>);

impl Annotations {
    /// Replaces what was there.
    pub fn set(&self, annotations: BTreeMap<String, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = annotations;
    }

    /// What is there.
    #[must_use]
    pub fn get(&self) -> BTreeMap<String, String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// One request on a resource; every verb but watch.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked.
    pub verb: Verb,
    /// Of which resource.
    pub resource: Arc<Descriptor>,
    /// In which namespace; none: cluster-scoped, or all.
    pub namespace: Option<String>,
    /// Of which object.
    pub name: Option<String>,
    /// `status`, `scale`, `accept`, `decline`, `finalize`.
    pub subresource: Option<String>,
    /// Query parameters.
    pub params: Params,
    /// Who asks.
    pub user: User,
    /// The body.
    pub body: Body,
    /// The wall clock when the request arrived.
    pub now: Timestamp,
    /// Random, drawn by the edge: uid, name suffix and request id come from it.
    pub seed: u128,
    /// Filled when the call ends.
    pub annotations: Annotations,
}

/// `POST /apis/stoa.dev/v1/transactions`.
#[derive(Clone, Debug)]
pub struct TransactionCall {
    /// Who asks.
    pub user: User,
    /// The body, `manifests::bundle::Transaction`.
    pub body: Body,
    /// `dryRun=All`, `fieldValidation`.
    pub params: Params,
    /// The wall clock when the request arrived.
    pub now: Timestamp,
    /// Random, drawn by the edge.
    pub seed: u128,
    /// Filled when the call ends.
    pub annotations: Annotations,
}

/// An answer. The edge renders it as JSON, YAML, Table or PartialObjectMetadata.
#[derive(Clone, Debug)]
pub enum Reply {
    /// One object.
    Object {
        /// 200 or 201.
        code: u16,
        /// The object.
        object: Form,
        /// For `Warning: 299 - "..."` headers.
        warnings: Vec<String>,
    },
    /// Many objects.
    List(List),
    /// A `Status`, or another object that is no resource of its own.
    Status {
        /// HTTP status.
        code: u16,
        /// The object.
        status: Value,
    },
    /// JSON ready to send.
    Encoded {
        /// HTTP status.
        code: u16,
        /// The bytes.
        json: Bytes,
        /// For `Warning: 299 - "..."` headers.
        warnings: Vec<String>,
    },
}

/// A page of objects.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// In key order.
    pub items: Vec<Item>,
    /// The list's resourceVersion.
    pub revision: u64,
    /// Token for the next page.
    pub continue_: Option<String>,
    /// How many more there are; only without selectors.
    pub remaining: Option<u64>,
}
