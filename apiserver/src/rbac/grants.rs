//! Who holds which rules, indexed so that a decision is a few look-ups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::aggregate;
use super::piece::{Binding, Piece, Role, Subject};
use super::rule::Rule;
use crate::user::{Attributes, User};

/// All roles and bindings at one moment.
#[derive(Debug, Default)]
pub struct Rules {
    cluster: Bound,
    namespaces: HashMap<String, Bound>,
    cluster_roles: BTreeMap<String, Arc<[Rule]>>,
}

/// The grants of one scope.
#[derive(Debug, Default)]
struct Bound {
    users: HashMap<String, Vec<Held>>,
    groups: HashMap<String, Vec<Held>>,
}

/// Rules somebody holds, and by what.
#[derive(Clone, Debug)]
pub struct Held {
    /// The rules.
    pub rules: Arc<[Rule]>,
    /// As reasons name it: `ClusterRoleBinding "b" of ClusterRole "r" to User "u"`.
    pub by: Arc<str>,
    /// True if the role is not there: then there are no rules, and `by` says so.
    pub is_lost: bool,
}

impl Rules {
    /// Puts roles and bindings together. A binding of a role that is not there grants nothing.
    #[must_use]
    pub fn of(pieces: &[Arc<Piece>]) -> Self {
        let roles = pieces.iter().filter_map(|piece| match &**piece {
            Piece::Role(role) => Some(role),
            Piece::Binding(_) => None,
        });
        let (cluster, local): (Vec<&Role>, Vec<&Role>) =
            roles.partition(|role| role.namespace.is_none());
        let cluster_roles = aggregate::effective(cluster.into_iter());
        let local: HashMap<(Option<&str>, &str), &Arc<[Rule]>> = local
            .into_iter()
            .map(|role| ((role.namespace.as_deref(), role.name.as_str()), &role.rules))
            .collect();
        let mut rules = Self::default();
        for piece in pieces {
            let Piece::Binding(binding) = &**piece else {
                continue;
            };
            let role = binding.role.as_str();
            let granted = match binding.of_cluster_role {
                true => cluster_roles.get(role),
                false => local.get(&(binding.namespace.as_deref(), role)).copied(),
            };
            rules.bind(binding, granted);
        }
        rules.cluster_roles = cluster_roles
            .into_iter()
            .map(|(name, rules)| (name.to_owned(), rules))
            .collect();
        rules
    }

    fn bind(&mut self, binding: &Binding, granted: Option<&Arc<[Rule]>>) {
        let bound = match &binding.namespace {
            None => &mut self.cluster,
            Some(namespace) => self.namespaces.entry(namespace.clone()).or_default(),
        };
        for subject in &binding.subjects {
            let place = match subject.is_group {
                true => &mut bound.groups,
                false => &mut bound.users,
            };
            let by = match granted {
                Some(_) => reason(binding, subject),
                None => loss(binding),
            };
            let held = Held {
                rules: granted.cloned().unwrap_or_default(),
                by: by.into(),
                is_lost: granted.is_none(),
            };
            place.entry(subject.name.clone()).or_default().push(held);
        }
    }

    /// What a user holds in a namespace; in none: in the whole cluster.
    pub fn held<'r, 'u>(
        &'r self,
        user: &'u User,
        namespace: &str,
    ) -> impl Iterator<Item = &'r Held> + use<'r, 'u> {
        let local = Some(namespace).filter(|namespace| !namespace.is_empty());
        let local = local.and_then(|namespace| self.namespaces.get(namespace));
        let scopes = std::iter::once(&self.cluster).chain(local);
        scopes.flat_map(move |bound| {
            let groups = user.groups.iter();
            let of_groups = groups.filter_map(move |own| bound.groups.get(own));
            let own = bound.users.get(&user.name);
            own.into_iter().chain(of_groups).flatten()
        })
    }

    /// By what the user may do this; none: he may not.
    #[must_use]
    pub fn allow(&self, user: &User, asked: &Attributes) -> Option<&Arc<str>> {
        self.held(user, &asked.namespace)
            .find(|held| held.rules.iter().any(|rule| rule.allows(asked)))
            .map(|held| &held.by)
    }

    /// By what the user may use this path; none: he may not.
    #[must_use]
    pub fn allow_path(&self, user: &User, verb: &str, path: &str) -> Option<&Arc<str>> {
        self.held(user, "")
            .find(|held| held.rules.iter().any(|rule| rule.allows_path(verb, path)))
            .map(|held| &held.by)
    }

    /// The roles a user is bound to that are not there, as refusals name them.
    #[must_use]
    pub fn lost(&self, user: &User, namespace: &str) -> Vec<Arc<str>> {
        let held = self.held(user, namespace).filter(|held| held.is_lost);
        held.map(|held| Arc::clone(&held.by)).collect()
    }

    /// What a ClusterRole really grants.
    #[must_use]
    pub fn cluster_role(&self, name: &str) -> Option<&Arc<[Rule]>> {
        self.cluster_roles.get(name)
    }
}

fn loss(binding: &Binding) -> String {
    let kind = match binding.of_cluster_role {
        true => "clusterrole",
        false => "role",
    };
    format!("{kind}.{} {:?} not found", super::GROUP, binding.role)
}

fn reason(binding: &Binding, subject: &Subject) -> String {
    let kind = match binding.of_cluster_role {
        true => "ClusterRole",
        false => "Role",
    };
    let (binder, name) = match &binding.namespace {
        None => ("ClusterRoleBinding", binding.name.clone()),
        Some(namespace) => ("RoleBinding", format!("{}/{namespace}", binding.name)),
    };
    format!(
        "{binder} {name:?} of {kind} {:?} to {}",
        binding.role, subject.shown
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::Parts;

    fn piece(plural: &str, namespace: Option<&str>, object: &Value) -> Arc<Piece> {
        let parts = Parts {
            group: crate::rbac::GROUP,
            plural,
            namespace,
            name: object["metadata"]["name"].as_str().unwrap(),
        };
        Arc::new(Piece::read(&parts, object).unwrap())
    }

    fn role(name: &str, resource: &str) -> Value {
        json!({
            "metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}],
        })
    }

    fn binding(name: &str, kind: &str, role: &str, subject: &Value) -> Value {
        json!({
            "metadata": {"name": name}, "roleRef": {"kind": kind, "name": role},
            "subjects": [subject],
        })
    }

    fn rules() -> Rules {
        let user = |name: &str| json!({"kind": "User", "name": name});
        Rules::of(&[
            piece("clusterroles", None, &role("c", "nodes")),
            piece("roles", Some("a"), &role("r", "secrets")),
            piece("roles", Some("b"), &role("r", "pods")),
            piece(
                "clusterrolebindings",
                None,
                &binding("all", "ClusterRole", "c", &user("u")),
            ),
            piece(
                "rolebindings",
                Some("a"),
                &binding("here", "Role", "r", &json!({"kind": "Group", "name": "g"})),
            ),
            piece(
                "rolebindings",
                Some("a"),
                &binding(
                    "robots",
                    "ClusterRole",
                    "c",
                    &json!({"kind": "ServiceAccount", "name": "s"}),
                ),
            ),
            piece(
                "rolebindings",
                Some("a"),
                &binding("lost", "Role", "nowhere", &user("u")),
            ),
        ])
    }

    #[test]
    fn decisions() {
        let rules = rules();
        for (user, group, namespace, resource, by) in [
            (
                "u",
                "",
                "",
                "nodes",
                "ClusterRoleBinding \"all\" of ClusterRole \"c\" to User \"u\"",
            ),
            (
                "u",
                "",
                "a",
                "nodes",
                "ClusterRoleBinding \"all\" of ClusterRole \"c\" to User \"u\"",
            ),
            ("u", "", "a", "secrets", ""),
            (
                "v",
                "g",
                "a",
                "secrets",
                "RoleBinding \"here/a\" of Role \"r\" to Group \"g\"",
            ),
            ("v", "g", "b", "secrets", ""),
            ("v", "g", "", "secrets", ""),
            ("v", "g", "a", "pods", ""),
            ("g", "", "a", "secrets", ""),
            (
                "system:serviceaccount:a:s",
                "",
                "a",
                "nodes",
                "RoleBinding \"robots/a\" of ClusterRole \"c\" to ServiceAccount \"s/a\"",
            ),
            ("system:serviceaccount:b:s", "", "a", "nodes", ""),
        ] {
            let asked = Attributes {
                verb: "get".into(),
                resource: resource.into(),
                namespace: namespace.into(),
                ..Attributes::default()
            };
            let found = rules.allow(&User::new(user, group), &asked);
            let found = found.map(|by| &**by).unwrap_or_default();
            assert_eq!(found, by, "{user} {namespace} {resource}");
        }
        let lost = rules.lost(&User::new("u", ""), "a");
        let lost: Vec<&str> = lost.iter().map(|text| &**text).collect();
        let text = "role.rbac.authorization.k8s.io \"nowhere\" not found";
        assert_eq!(lost, [text]);
        assert!(rules.lost(&User::new("v", "g"), "a").is_empty());
    }
}
