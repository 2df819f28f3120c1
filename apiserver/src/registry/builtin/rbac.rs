//! Roles and bindings.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use schemars::JsonSchema;

use super::{age, base, column, path, schema_of, wide};
use crate::rbac::GROUP;
use crate::registry::{Column, Descriptor, Source, Special};

pub(super) fn descriptors() -> Vec<Descriptor> {
    vec![
        of::<ClusterRoleBinding>("ClusterRoleBinding", "clusterrolebindings", binding()),
        of::<ClusterRole>("ClusterRole", "clusterroles", role()),
        of::<RoleBinding>("RoleBinding", "rolebindings", binding()),
        of::<Role>("Role", "roles", role()),
    ]
}

fn of<T: JsonSchema>(kind: &str, plural: &str, columns: Vec<Column>) -> Descriptor {
    Descriptor {
        namespaced: !plural.starts_with("cluster"),
        columns,
        create_on_update: true,
        special: Special::Rbac,
        ..base(GROUP, kind, plural, schema_of::<T>())
    }
}

fn role() -> Vec<Column> {
    vec![path("Created At", "string", ".metadata.creationTimestamp")]
}

fn binding() -> Vec<Column> {
    let subjects = |name: &str, kind| wide(column(name, "string", Source::Subjects(kind)));
    vec![
        column("Role", "string", Source::Role),
        age(),
        subjects("Users", "User"),
        subjects("Groups", "Group"),
        subjects("ServiceAccounts", "ServiceAccount"),
    ]
}
