//! core/v1 Service: stored, and acted upon by nobody.

use k8s_openapi::api::core::v1::Service;

use super::{age, base, path, schema_of};
use crate::registry::{Descriptor, Special, Subresources};

pub(super) fn service() -> Descriptor {
    Descriptor {
        short_names: vec!["svc".into()],
        categories: vec!["all".into()],
        subresources: Subresources {
            status: true,
            ..Subresources::default()
        },
        columns: vec![
            path("Type", "string", ".spec.type"),
            path("Cluster-IP", "string", ".spec.clusterIP"),
            age(),
        ],
        selectable: vec!["spec.clusterIP".into(), "spec.type".into()],
        returns_deleted: true,
        special: Special::Service,
        ..base("", "Service", "services", schema_of::<Service>())
    }
}
