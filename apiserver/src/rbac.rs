//! Roles: what a rule allows, who holds which, and what covers what. Everything here is a function
//! of stored objects; `authorize.rs` asks it after the hard-wired rules, `special/rbac.rs` says
//! what may be stored, `verbs/escalation.rs` who may store it.
//!
//! Rules follow `plugin/pkg/auth/authorizer/rbac` and `pkg/registry/rbac` of Kubernetes.

pub mod rule;

pub mod cover;

pub mod piece;

pub mod aggregate;

pub mod grants;

pub use grants::{Held, Rules};
pub use rule::Rule;

/// Group of the kinds.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// What a service account's user name begins with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The user name of a service account.
#[must_use]
pub fn service_account(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// Namespace and name of the service account a user is.
#[must_use]
pub fn as_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    let legal =
        crate::names::dns_label(namespace).is_none() && crate::names::dns_subdomain(name).is_none();
    legal.then_some((namespace, name))
}
