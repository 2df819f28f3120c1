//! Who asks. Filled by authentication (`authn.rs`), judged by `authorize.rs`.

use std::collections::BTreeMap;

/// An authenticated user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Name: the certificate's CN.
    pub name: String,
    /// Groups: the certificate's O entries.
    pub groups: Vec<String>,
    /// What tells this user from an earlier one of the same name; empty if nothing does.
    pub uid: String,
    /// Whatever else the credentials say, by lower-case key.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Group of the controllers inside the server process.
pub const CONTROLLERS: &str = "stoa:controllers";

/// Group of administrators.
pub const MASTERS: &str = "system:masters";

/// Group of everybody who showed credentials.
pub const AUTHENTICATED: &str = "system:authenticated";

/// Group of everybody who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Group of all service accounts.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// Who has shown no credentials.
pub const ANONYMOUS: &str = "system:anonymous";

/// Group of agents.
pub const AGENTS: &str = "stoa:agents";

/// Group of server replicas.
pub const SERVERS: &str = "stoa:servers";

impl User {
    /// A user in one group.
    #[must_use]
    pub fn new(name: &str, group: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: vec![group.to_owned()],
            ..Self::default()
        }
    }

    /// The controllers inside the server process.
    #[must_use]
    pub fn controllers() -> Self {
        Self::new(CONTROLLERS, CONTROLLERS)
    }

    /// The user as one who has shown credentials.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        if !self.is_in(AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// True when the user belongs to the group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// True for the programs that write what only the cluster itself may write.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.is_in(CONTROLLERS) || self.is_in(SERVERS)
    }
}

/// What a request is about, as authorisation judges it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// The field selector of a list or watch.
    pub field_selector: String,
}

impl Attributes {
    /// A Namespace that exists lies in itself: whoever may read namespaces there may read this one.
    #[must_use]
    pub fn placed(mut self) -> Self {
        let is_namespace = self.resource == "namespaces" && self.group.is_empty();
        if is_namespace && self.verb != "create" {
            self.namespace.clone_from(&self.name);
        }
        self
    }
}
