//! `authorizer`: who may do what, asked of the policy that decided about the request itself
//! (`apiserver/pkg/cel/library/authz.go`).

use std::fmt;
use std::sync::Arc;

use crate::authorize::Authorizer;
use crate::rbac;
use crate::user::{Attributes, SERVICE_ACCOUNTS, User};

pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(crate) const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub(crate) const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub(crate) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub(crate) const DECISION: &str = "kubernetes.authorization.Decision";

/// A step of a question, or its answer.
#[derive(Clone, Debug)]
pub(crate) enum Right {
    Authorizer(Arc<Subject>),
    PathCheck(Arc<Subject>, Arc<str>),
    GroupCheck(Arc<Subject>, Arc<str>),
    ResourceCheck(Arc<Subject>, Arc<Attributes>),
    Decision(Decision),
}

/// Somebody, and what decides about him.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) user: User,
    pub(crate) authorizer: Authorizer,
}

/// What came of a check. The policy never fails, so that there is no error to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    pub(crate) reason: Arc<str>,
}

impl Right {
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Authorizer(_) => AUTHORIZER,
            Self::PathCheck(..) => PATH_CHECK,
            Self::GroupCheck(..) => GROUP_CHECK,
            Self::ResourceCheck(..) => RESOURCE_CHECK,
            Self::Decision(_) => DECISION,
        }
    }
}

/// They are not compared: expressions that do so fail.
impl PartialEq for Right {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Subject {
    /// A service account, judged by the same policy.
    pub(crate) fn service_account(&self, namespace: &str, name: &str) -> Self {
        let groups = [
            SERVICE_ACCOUNTS.to_owned(),
            format!("{SERVICE_ACCOUNTS}:{namespace}"),
        ];
        Self {
            user: User {
                name: rbac::service_account(namespace, name),
                groups: groups.into(),
                ..User::default()
            },
            authorizer: self.authorizer.clone(),
        }
    }

    /// May he do this with a resource?
    pub(crate) fn check(&self, asked: &Attributes, verb: &str) -> Decision {
        let asked = Attributes {
            verb: verb.to_owned(),
            ..asked.clone()
        };
        match self.authorizer.why(&self.user, &asked) {
            Some(why) => Decision::of(true, why),
            None => Decision::of(false, self.authorizer.note(&self.user, &asked.namespace)),
        }
    }

    /// May he use this path?
    pub(crate) fn check_path(&self, path: &str, verb: &str) -> Decision {
        match self.authorizer.why_path(&self.user, verb, path) {
            Some(why) => Decision::of(true, why),
            None => Decision::of(false, self.authorizer.note(&self.user, "")),
        }
    }
}

impl Decision {
    fn of(allowed: bool, reason: String) -> Self {
        Self {
            allowed,
            reason: reason.into(),
        }
    }
}
