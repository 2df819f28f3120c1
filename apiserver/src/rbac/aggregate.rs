//! Roles that gather the rules of others by label.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::piece::Role;
use super::rule::Rule;

/// The rules each ClusterRole really has: an aggregated one those of all it gathers, also through
/// others that gather; its own do not count.
#[must_use]
pub fn effective<'a>(roles: impl Iterator<Item = &'a Role>) -> BTreeMap<&'a str, Arc<[Rule]>> {
    let roles: BTreeMap<&str, &Role> = roles.map(|role| (role.name.as_str(), role)).collect();
    let resolve = |role: &Role| match role.gathers.is_empty() {
        true => Arc::clone(&role.rules),
        false => gather(role, &roles),
    };
    roles
        .iter()
        .map(|(&name, role)| (name, resolve(role)))
        .collect()
}

/// Roles may gather one another in circles, so each is visited once.
fn gather(role: &Role, roles: &BTreeMap<&str, &Role>) -> Arc<[Rule]> {
    let mut found: BTreeSet<&str> = BTreeSet::from([role.name.as_str()]);
    let mut open = vec![role];
    while let Some(next) = open.pop() {
        for other in roles.values().filter(|other| selects(next, other)) {
            if found.insert(&other.name) && !other.gathers.is_empty() {
                open.push(other);
            }
        }
    }
    let gathered = found.iter().filter_map(|name| roles.get(name));
    let plain = gathered.filter(|role| role.gathers.is_empty());
    let mut seen = BTreeSet::new();
    plain
        .flat_map(|role| role.rules.iter())
        .filter(|rule| seen.insert(*rule))
        .cloned()
        .collect()
}

fn selects(role: &Role, other: &Role) -> bool {
    let holds = |selector: &Vec<crate::selector::label::Requirement>| {
        let mut requirements = selector.iter();
        requirements.all(|requirement| requirement.holds(other.labels.as_ref()))
    };
    role.gathers.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::Parts;
    use crate::rbac::piece::Piece;

    fn role(name: &str, label: &str, gathers: &str, resource: &str) -> Role {
        let selectors: Vec<Value> = match gathers {
            "" => Vec::new(),
            own => vec![json!({"matchLabels": {own: "true"}})],
        };
        let object = json!({
            "metadata": {"labels": {label: "true"}},
            "aggregationRule": {"clusterRoleSelectors": selectors},
            "rules": [{"apiGroups": ["g"], "resources": [resource], "verbs": ["get"]}],
        });
        let parts = Parts {
            group: "",
            plural: "clusterroles",
            namespace: None,
            name,
        };
        match Piece::read(&parts, &object) {
            Some(Piece::Role(role)) => role,
            Some(Piece::Binding(_)) | None => panic!("a role"),
        }
    }

    #[test]
    fn gathering() {
        let roles = [
            role("admin", "x", "to-admin", "stale"),
            role("edit", "to-admin", "to-edit", "stale"),
            role("plain", "to-edit", "", "tasks"),
            role("plain-too", "to-admin", "", "tasks"),
            role("roles", "to-admin", "", "roles"),
            // In a circle.
            role("one", "two", "one", "stale"),
            role("two", "one", "two", "stale"),
        ];
        let found = effective(roles.iter());
        let resources = |name: &str| -> Vec<&str> {
            let rules = found[name].iter();
            rules.map(|rule| rule.resources[0].as_str()).collect()
        };
        assert_eq!(resources("plain"), ["tasks"]);
        assert_eq!(resources("edit"), ["tasks"]);
        assert_eq!(resources("admin"), ["tasks", "roles"]);
        assert!(resources("one").is_empty() && resources("two").is_empty());
    }
}
