//! Stored roles and bindings, read once.

use serde_json::{Map, Value};
use std::sync::Arc;

use super::rule::Rule;
use super::service_account;
use crate::keys::Parts;
use crate::metadata;
use crate::selector::label::{Operator, Requirement};

/// A role or a binding.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A Role or ClusterRole.
    Role(Role),
    /// A RoleBinding or ClusterRoleBinding.
    Binding(Binding),
}

/// A Role or ClusterRole.
#[derive(Clone, Debug)]
pub struct Role {
    /// None: a ClusterRole.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its own rules.
    pub rules: Arc<[Rule]>,
    /// Its labels, by which others gather it.
    pub labels: Option<Map<String, Value>>,
    /// What it gathers; each selector is a list of requirements. None: it only has its own rules.
    pub gathers: Vec<Vec<Requirement>>,
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug)]
pub struct Binding {
    /// None: a ClusterRoleBinding.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// True: of a ClusterRole.
    pub of_cluster_role: bool,
    /// The name of the role.
    pub role: String,
    /// Whom it binds.
    pub subjects: Vec<Subject>,
}

/// Somebody a binding names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// A user, or a group.
    pub is_group: bool,
    /// The name a user or a group goes by.
    pub name: String,
    /// As reasons name it.
    pub shown: String,
}

impl Piece {
    /// Reads an object of the group; none for other kinds.
    #[must_use]
    pub fn read(parts: &Parts<'_>, object: &Value) -> Option<Self> {
        match parts.plural {
            "roles" | "clusterroles" => Some(Self::Role(role(parts, object))),
            "rolebindings" | "clusterrolebindings" => Some(Self::Binding(binding(parts, object))),
            _ => None,
        }
    }
}

fn role(parts: &Parts<'_>, object: &Value) -> Role {
    let labels = object.pointer("/metadata/labels");
    Role {
        namespace: parts.namespace.map(String::from),
        name: parts.name.to_owned(),
        rules: Rule::of(object).into(),
        labels: labels.and_then(Value::as_object).cloned(),
        gathers: gathers(object),
    }
}

/// The selectors of an aggregated role.
#[must_use]
pub fn gathers(object: &Value) -> Vec<Vec<Requirement>> {
    let selectors = object.pointer("/aggregationRule/clusterRoleSelectors");
    let selectors = selectors.and_then(Value::as_array);
    selectors.into_iter().flatten().map(requirements).collect()
}

/// A LabelSelector as requirements. An operator nobody knows selects nothing.
fn requirements(selector: &Value) -> Vec<Requirement> {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let equal = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: value.as_str().map(String::from).into_iter().collect(),
        });
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    let others = expressions.into_iter().flatten().map(|one| {
        let values = one.get("values").and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        let (operator, values) = match one.get("operator").and_then(Value::as_str) {
            Some("NotIn") => (Operator::NotIn, values.map(String::from).collect()),
            Some("Exists") => (Operator::Exists, Vec::new()),
            Some("DoesNotExist") => (Operator::DoesNotExist, Vec::new()),
            Some("In") => (Operator::In, values.map(String::from).collect()),
            Some(_) | None => (Operator::In, Vec::new()),
        };
        Requirement {
            key: text(one, "key").to_owned(),
            operator,
            values,
        }
    });
    equal.chain(others).collect()
}

fn binding(parts: &Parts<'_>, object: &Value) -> Binding {
    let reference = &object["roleRef"];
    let subjects = object.get("subjects").and_then(Value::as_array);
    Binding {
        namespace: parts.namespace.map(String::from),
        name: metadata::text(object, "name").to_owned(),
        of_cluster_role: text(reference, "kind") == "ClusterRole",
        role: text(reference, "name").to_owned(),
        subjects: subjects
            .into_iter()
            .flatten()
            .filter_map(|one| subject(one, parts.namespace))
            .collect(),
    }
}

/// A service account's namespace is the binding's, if it names none.
fn subject(subject: &Value, namespace: Option<&str>) -> Option<Subject> {
    let (kind, name) = (text(subject, "kind"), text(subject, "name"));
    let (is_group, name, shown) = match kind {
        "User" => (false, name.to_owned(), name.to_owned()),
        "Group" => (true, name.to_owned(), name.to_owned()),
        "ServiceAccount" => {
            let own = Some(text(subject, "namespace")).filter(|own| !own.is_empty());
            let namespace = own.or(namespace)?;
            let user = service_account(namespace, name);
            (false, user, format!("{name}/{namespace}"))
        }
        _ => return None,
    };
    Some(Subject {
        is_group,
        name,
        shown: format!("{kind} {shown:?}"),
    })
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
