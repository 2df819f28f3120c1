//! The kinds Kubernetes itself brings that clients lean on. Schemas come from k8s-openapi.

pub mod admission;

mod certificates;

pub mod event;

pub mod review;

mod rbac;

mod service;

use std::sync::{Arc, OnceLock};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{Column, Descriptor, Origin, Source, Special, Subresources};
use crate::jsonpath::Path;

/// Group of definitions.
pub const DEFINITIONS_GROUP: &str = "apiextensions.k8s.io";

/// Plural of definitions.
pub const DEFINITIONS: &str = "customresourcedefinitions";

/// All built-in kinds, in the order of discovery.
#[must_use]
pub fn descriptors() -> &'static [Arc<Descriptor>] {
    static ALL: OnceLock<Vec<Arc<Descriptor>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let all = [
            namespace(),
            config_map(),
            secret(),
            service_account(),
            service::service(),
            lease(),
            definition(),
        ];
        let all = all.into_iter().chain(event::descriptors());
        let all = all.chain(rbac::descriptors());
        let all = all.chain(admission::descriptors());
        let all = all.chain(certificates::descriptors());
        let all = all.chain(review::descriptors());
        all.map(Arc::new).collect()
    })
}

fn base(group: &str, kind: &str, plural: &str, schema: Value) -> Descriptor {
    const VERBS: [&str; 8] = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    Descriptor {
        group: group.to_owned(),
        version: "v1".to_owned(),
        storage_version: "v1".to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        singular: kind.to_lowercase(),
        plural: plural.to_owned(),
        namespaced: true,
        verbs: VERBS.map(String::from).into(),
        schema: Some(Arc::new(schema)),
        unconditional_update: true,
        strategic_merge: true,
        origin: Origin::BuiltIn,
        ..Descriptor::default()
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

fn namespace() -> Descriptor {
    Descriptor {
        short_names: vec!["ns".into()],
        namespaced: false,
        subresources: Subresources {
            status: true,
            scale: None,
            extra: vec!["finalize"],
        },
        columns: vec![path("Status", "string", ".status.phase"), age()],
        selectable: vec!["status.phase".into()],
        returns_deleted: true,
        special: Special::Namespace,
        ..base("", "Namespace", "namespaces", schema_of::<Namespace>())
    }
}

fn config_map() -> Descriptor {
    Descriptor {
        short_names: vec!["cm".into()],
        columns: vec![count("Data", ".data"), age()],
        special: Special::ConfigMap,
        ..base("", "ConfigMap", "configmaps", schema_of::<ConfigMap>())
    }
}

fn secret() -> Descriptor {
    Descriptor {
        columns: vec![
            path("Type", "string", ".type"),
            count("Data", ".data"),
            age(),
        ],
        selectable: vec!["type".into()],
        special: Special::Secret,
        ..base("", "Secret", "secrets", schema_of::<Secret>())
    }
}

fn service_account() -> Descriptor {
    Descriptor {
        short_names: vec!["sa".into()],
        columns: vec![count("Secrets", ".secrets"), age()],
        returns_deleted: true,
        subresources: Subresources {
            extra: vec!["token"],
            ..Subresources::default()
        },
        ..base(
            "",
            "ServiceAccount",
            "serviceaccounts",
            schema_of::<ServiceAccount>(),
        )
    }
}

fn lease() -> Descriptor {
    Descriptor {
        columns: vec![path("Holder", "string", ".spec.holderIdentity"), age()],
        create_on_update: true,
        unconditional_update: false,
        special: Special::Lease,
        ..base(
            "coordination.k8s.io",
            "Lease",
            "leases",
            schema_of::<Lease>(),
        )
    }
}

/// Definitions are checked by code (`special/definition.rs`): their own schema is recursive, which
/// no structural schema can be.
fn definition() -> Descriptor {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({
        "type": "object", "required": ["spec"],
        "description": "CustomResourceDefinition represents a resource that should be exposed on the \
            API server. Its name MUST be in the format <.spec.name>.<.spec.group>.",
        "properties": {
            "spec": {
                "type": "object", "required": ["group", "names", "scope", "versions"],
                "properties": {
                    "group": {"type": "string"}, "scope": {"type": "string"}, "conversion": open,
                    "names": {
                        "type": "object", "required": ["plural", "kind"],
                        "properties": {
                            "plural": {"type": "string"}, "singular": {"type": "string"},
                            "kind": {"type": "string"}, "listKind": {"type": "string"},
                            "shortNames": {"type": "array", "items": {"type": "string"}},
                            "categories": {"type": "array", "items": {"type": "string"}},
                        },
                    },
                    "versions": {"type": "array", "minItems": 1, "items": open},
                    "preserveUnknownFields": {"type": "boolean"},
                },
            },
            "status": open,
        },
    });
    Descriptor {
        short_names: vec!["crd".into(), "crds".into()],
        categories: vec!["api-extensions".into()],
        namespaced: false,
        subresources: Subresources {
            status: true,
            ..Subresources::default()
        },
        columns: vec![path("Created At", "string", ".metadata.creationTimestamp")],
        returns_deleted: true,
        unconditional_update: false,
        generation: true,
        special: Special::Definition,
        ..base(
            DEFINITIONS_GROUP,
            "CustomResourceDefinition",
            DEFINITIONS,
            schema,
        )
    }
}

fn parse(text: &str) -> Path {
    Path::parse(text).expect("paths of built-in columns are constants")
}

fn column(name: &str, type_: &str, source: Source) -> Column {
    Column {
        name: name.to_owned(),
        type_: type_.to_owned(),
        source,
        ..Column::default()
    }
}

fn path(name: &str, type_: &str, json_path: &str) -> Column {
    column(name, type_, Source::First(vec![parse(json_path)]))
}

fn count(name: &str, json_path: &str) -> Column {
    column(name, "integer", Source::Count(parse(json_path)))
}

fn wide(column: Column) -> Column {
    Column {
        priority: 1,
        ..column
    }
}

/// The column every kind ends with.
#[must_use]
pub fn age() -> Column {
    path("Age", "date", ".metadata.creationTimestamp")
}
