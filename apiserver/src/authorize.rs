//! Who may do what: one pure policy, asked for every request and for every operation of a
//! transaction. Some rules are hard-wired here and come first; roles (`rbac.rs`) say the rest. What
//! neither allows is forbidden.

use std::sync::Arc;

use serde_json::Value;
use store::View;

use crate::authn::JOINERS;
use crate::bootstrap::roles::DISCOVERY;
use crate::engine::granted::Granted;
use crate::rbac::rule::leads;
use crate::rbac::{Rule, Rules};
use crate::status::{Failure, Gr};
use crate::user::{AGENTS, AUTHENTICATED, Attributes, CONTROLLERS, MASTERS, SERVERS, User};

const GROUP: &str = "stoa.dev";

/// What answers to strangers.
const PUBLIC: [&str; 4] = ["version", "healthz", "livez", "readyz"];

/// What shows how the whole cluster fares, or everything in it.
const PRIVILEGED: [&str; 2] = ["metrics", "stoa"];

/// Which policy an engine follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everybody may do everything; for tests.
    Open,
    /// What is hard-wired here, and what roles grant.
    #[default]
    Closed,
}

/// The policy as the engine asks it.
#[must_use]
pub fn policy() -> Policy {
    Policy::Closed
}

impl Policy {
    /// Everybody may do everything; for tests.
    #[must_use]
    pub fn open() -> Self {
        Self::Open
    }
}

/// The policy at one moment.
#[derive(Clone, Debug)]
pub struct Authorizer {
    source: Source,
}

/// Where roles come from.
#[derive(Clone, Debug)]
enum Source {
    /// Nothing is asked; for tests.
    Open,
    /// These.
    Fixed(Arc<Rules>),
    /// Those of a view. Looked up only when the hard-wired rules do not decide.
    Stored(Arc<Granted>, View),
}

/// Why something is allowed.
enum Why {
    HardWired,
    Granted(Arc<str>),
}

impl Default for Authorizer {
    /// No roles at all.
    fn default() -> Self {
        Self::of(Arc::default())
    }
}

impl Authorizer {
    /// Everybody may do everything; for tests.
    #[must_use]
    pub fn open() -> Self {
        Self {
            source: Source::Open,
        }
    }

    /// An authorizer over these roles.
    #[must_use]
    pub fn of(rules: Arc<Rules>) -> Self {
        Self {
            source: Source::Fixed(rules),
        }
    }

    /// An authorizer over the roles that a view shows.
    #[must_use]
    pub fn at(granted: Arc<Granted>, view: View) -> Self {
        Self {
            source: Source::Stored(granted, view),
        }
    }

    fn roles(&self) -> Arc<Rules> {
        match &self.source {
            Source::Open => Arc::default(),
            Source::Fixed(rules) => Arc::clone(rules),
            Source::Stored(granted, view) => granted.at(view),
        }
    }

    /// True if nothing is asked; for tests.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.source, Source::Open)
    }

    /// May the user do this?
    ///
    /// # Errors
    /// 403 with Kubernetes' text.
    pub fn authorize(&self, user: &User, attributes: &Attributes) -> Result<(), Failure> {
        match self.decide(user, attributes) {
            Some(_) => Ok(()),
            None => Err(refusal(
                user,
                attributes,
                &self.note(user, &attributes.namespace),
            )),
        }
    }

    /// Why the user may do this; none: he may not. Empty for what needs no explanation.
    #[must_use]
    pub fn why(&self, user: &User, attributes: &Attributes) -> Option<String> {
        self.decide(user, attributes).map(Why::text)
    }

    /// What a refusal adds: the roles the user is bound to that are not there; usually nothing.
    #[must_use]
    pub fn note(&self, user: &User, namespace: &str) -> String {
        match self.roles().lost(user, namespace).as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            many => format!("RBAC: [{}]", many.join(", ")),
        }
    }

    fn decide(&self, user: &User, asked: &Attributes) -> Option<Why> {
        if self.is_open() || is_all_powerful(user) {
            return Some(Why::HardWired);
        }
        // Whatever roles say: these are programs of ours, and do one thing each.
        if user.is_in(AGENTS) {
            let allowed = agent_name(user).is_some_and(|agent| agent_may(agent, asked));
            return allowed.then_some(Why::HardWired);
        }
        if user.is_in(JOINERS) {
            return joiner_may(asked).then_some(Why::HardWired);
        }
        self.roles().allow(user, asked).cloned().map(Why::Granted)
    }

    /// May the user, or a stranger, use this path that names no resource?
    ///
    /// # Errors
    /// 401 for a stranger, 403 for others.
    pub fn authorize_path(
        &self,
        user: Option<&User>,
        verb: &str,
        path: &str,
    ) -> Result<(), Failure> {
        match user {
            _ if is_public(path) => Ok(()),
            None => Err(Failure::unauthorized()),
            Some(user) if self.decide_path(user, verb, path).is_some() => Ok(()),
            Some(user) => Err(Failure::forbidden_text(format!(
                "forbidden: User \"{}\" cannot {verb} path \"{path}\"",
                user.name
            ))),
        }
    }

    /// Why the user may use this path; none: he may not.
    #[must_use]
    pub fn why_path(&self, user: &User, verb: &str, path: &str) -> Option<String> {
        self.decide_path(user, verb, path).map(Why::text)
    }

    fn decide_path(&self, user: &User, verb: &str, path: &str) -> Option<Why> {
        if self.is_open() || is_public(path) || is_all_powerful(user) {
            return Some(Why::HardWired);
        }
        if user.is_in(JOINERS) {
            return None;
        }
        if user.is_in(AGENTS) {
            let allowed = !PRIVILEGED.contains(&first(path));
            return allowed.then_some(Why::HardWired);
        }
        if user.is_in(AUTHENTICATED) && verb == "get" && is_discovery(path) {
            return Some(Why::HardWired);
        }
        let roles = self.roles();
        roles
            .allow_path(user, verb, path)
            .cloned()
            .map(Why::Granted)
    }

    /// The rules a user holds in a namespace; in none: in the whole cluster.
    #[must_use]
    pub fn rules(&self, user: &User, namespace: &str) -> Vec<Arc<[Rule]>> {
        let roles = self.roles();
        let held = roles.held(user, namespace);
        held.map(|held| Arc::clone(&held.rules)).collect()
    }

    /// True if roles are not all that decides about this user.
    #[must_use]
    pub fn is_hard_wired(user: &User) -> bool {
        [AGENTS, JOINERS, SERVERS, CONTROLLERS]
            .into_iter()
            .any(|group| user.is_in(group))
    }

    /// What a ClusterRole really grants.
    #[must_use]
    pub fn cluster_role(&self, name: &str) -> Option<Arc<[Rule]>> {
        self.roles().cluster_role(name).cloned()
    }

    /// Asked for agents only: is the object one of the user's own? Tasks belong to the agent they
    /// are bound to, and an Agent object to the agent of its name.
    #[must_use]
    pub fn owns(&self, user: &User, object: &Value) -> bool {
        self.is_open() || owns(user, object)
    }
}

impl Why {
    fn text(self) -> String {
        match self {
            Self::HardWired => String::new(),
            Self::Granted(by) => format!("RBAC: allowed by {by}"),
        }
    }
}

/// What tells a client which kinds there are.
fn is_discovery(path: &str) -> bool {
    DISCOVERY.iter().any(|own| leads(own, path))
}

fn first(path: &str) -> &str {
    path.trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

fn is_public(path: &str) -> bool {
    PUBLIC.contains(&first(path))
}

fn owns(user: &User, object: &Value) -> bool {
    let Some(agent) = agent_name(user) else {
        return true;
    };
    let text = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match text("/kind") {
        "Task" => text("/spec/agent") == agent,
        "Agent" => text("/metadata/name") == agent,
        _ => false,
    }
}

/// The name of the agent a user is.
#[must_use]
pub fn agent_name(user: &User) -> Option<&str> {
    user.name
        .strip_prefix("stoa:agent:")
        .filter(|_| user.is_in(AGENTS))
}

/// Groups for which nothing is looked up.
#[must_use]
pub fn is_all_powerful(user: &User) -> bool {
    [MASTERS, SERVERS, CONTROLLERS]
        .into_iter()
        .any(|group| user.is_in(group))
}

fn joiner_may(attributes: &Attributes) -> bool {
    attributes.group == GROUP && attributes.resource == "join" && attributes.verb == "create"
}

fn agent_may(agent: &str, asked: &Attributes) -> bool {
    let verb = asked.verb.as_str();
    match (
        asked.group.as_str(),
        asked.resource.as_str(),
        asked.subresource.as_str(),
    ) {
        (GROUP, "agents", "" | "status") => own_agent(agent, verb, asked),
        (GROUP, "agents", "heartbeat") => asked.name == agent && verb == "create",
        (GROUP, "tasks", "") => match verb {
            // Whose task it is shows in the object: the engine asks `owns` about it.
            "get" => !asked.name.is_empty(),
            "list" | "watch" => selects(&asked.field_selector, "spec.agent", agent),
            _ => false,
        },
        (GROUP, "tasks", "status") => matches!(verb, "get" | "update" | "patch"),
        (GROUP, "transactions", "") => verb == "create",
        ("" | "events.k8s.io", "events", "") => matches!(verb, "create" | "patch" | "update"),
        _ => false,
    }
}

fn own_agent(agent: &str, verb: &str, asked: &Attributes) -> bool {
    match verb {
        "get" | "update" | "patch" => asked.name == agent,
        "list" | "watch" => {
            asked.name == agent || selects(&asked.field_selector, "metadata.name", agent)
        }
        // A POST names its object in the body alone: the edge and the engine ask `owns` about it.
        "create" => asked.name.is_empty() || asked.name == agent,
        _ => false,
    }
}

/// True if the selector demands that the field has the value. Terms are joined by "and", so one
/// such term is enough. Escapes could hide where a term ends, and names need none.
fn selects(selector: &str, field: &str, value: &str) -> bool {
    let demands = |term: &str| {
        let exact = term.split_once("==").or_else(|| term.split_once('='));
        exact.is_some_and(|(path, wanted)| path.trim() == field && wanted.trim() == value)
    };
    !selector.contains('\\') && selector.split(',').any(demands)
}

fn refusal(user: &User, asked: &Attributes, note: &str) -> Failure {
    let slash = if asked.subresource.is_empty() {
        ""
    } else {
        "/"
    };
    let resource = format!("{}{slash}{}", asked.resource, asked.subresource);
    let place = match asked.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let colon = if note.is_empty() { "" } else { ": " };
    let text = format!(
        "User \"{}\" cannot {} resource \"{resource}\" in API group \"{}\" {place}{colon}{note}",
        user.name, asked.verb, asked.group
    );
    Failure::forbidden(&Gr::new(&asked.group, &asked.resource), &asked.name, &text)
}

#[cfg(test)]
mod tests;
