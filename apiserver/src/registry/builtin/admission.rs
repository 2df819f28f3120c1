//! Kinds that steer admission: webhooks, policies and their bindings, quotas and limit ranges.
//! What they mean is in `admission/`, what is wrong about them in `special/`.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use serde_json::{Value, json};

use super::{age, base, column, count, path, schema_of};
use crate::registry::{Descriptor, Source, Special, Subresources};

/// Group of webhooks and policies.
pub const GROUP: &str = "admissionregistration.k8s.io";

/// Plural of the mutating webhooks' configurations.
pub const MUTATING: &str = "mutatingwebhookconfigurations";

/// Plural of the validating webhooks' configurations.
pub const VALIDATING: &str = "validatingwebhookconfigurations";

/// Plural of the policies.
pub const POLICIES: &str = "validatingadmissionpolicies";

/// Plural of their bindings.
pub const BINDINGS: &str = "validatingadmissionpolicybindings";

/// Plural of the quotas.
pub const QUOTAS: &str = "resourcequotas";

/// Plural of the limit ranges.
pub const RANGES: &str = "limitranges";

/// All of them, in the order of discovery.
pub(super) fn descriptors() -> Vec<Descriptor> {
    vec![
        resource_quota(),
        limit_range(),
        webhooks(
            "MutatingWebhookConfiguration",
            MUTATING,
            schema_of::<MutatingWebhookConfiguration>(),
        ),
        webhooks(
            "ValidatingWebhookConfiguration",
            VALIDATING,
            schema_of::<ValidatingWebhookConfiguration>(),
        ),
        policy(),
        binding(),
    ]
}

fn cluster_wide(kind: &str, plural: &str, schema: Value) -> Descriptor {
    Descriptor {
        categories: vec!["api-extensions".into()],
        namespaced: false,
        unconditional_update: false,
        generation: true,
        special: Special::Admission,
        ..base(GROUP, kind, plural, schema)
    }
}

fn webhooks(kind: &str, plural: &str, schema: Value) -> Descriptor {
    Descriptor {
        columns: vec![count("Webhooks", ".webhooks"), age()],
        ..cluster_wide(kind, plural, schema)
    }
}

fn policy() -> Descriptor {
    Descriptor {
        subresources: Subresources {
            status: true,
            ..Subresources::default()
        },
        columns: vec![
            count("Validations", ".spec.validations"),
            path("ParamKind", "string", ".spec.paramKind.kind"),
            age(),
        ],
        ..cluster_wide(
            "ValidatingAdmissionPolicy",
            POLICIES,
            schema_of::<ValidatingAdmissionPolicy>(),
        )
    }
}

fn binding() -> Descriptor {
    Descriptor {
        columns: vec![
            path("PolicyName", "string", ".spec.policyName"),
            path("ParamRef", "string", ".spec.paramRef.name"),
            age(),
        ],
        ..cluster_wide(
            "ValidatingAdmissionPolicyBinding",
            BINDINGS,
            schema_of::<ValidatingAdmissionPolicyBinding>(),
        )
    }
}

/// Amounts by name, written as strings or plain numbers, as in a task's resources.
fn amounts(description: &str) -> Value {
    json!({
        "type": "object", "description": description,
        "additionalProperties": {"x-kubernetes-int-or-string": true},
    })
}

fn resource_quota() -> Descriptor {
    let words = json!({"type": "array", "items": {"type": "string"}});
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({
        "type": "object",
        "description": "ResourceQuota sets aggregate quota restrictions enforced per namespace",
        "properties": {
            "spec": {
                "type": "object", "description": "Spec defines the desired quota.",
                "properties": {
                    "hard": amounts("hard is the set of desired hard limits for each named resource."),
                    "scopes": words, "scopeSelector": open,
                },
            },
            "status": {
                "type": "object", "description": "Status defines the actual enforced quota and its current usage.",
                "properties": {
                    "hard": amounts("Hard is the set of enforced hard limits for each named resource."),
                    "used": amounts("Used is the current observed total usage of the resource in the namespace."),
                },
            },
        },
    });
    let usage = |name: &str, limits| column(name, "string", Source::Usage { limits });
    Descriptor {
        short_names: vec!["quota".into()],
        subresources: Subresources {
            status: true,
            ..Subresources::default()
        },
        columns: vec![usage("Request", false), usage("Limit", true), age()],
        returns_deleted: true,
        special: Special::Admission,
        ..base("", "ResourceQuota", QUOTAS, schema)
    }
}

fn limit_range() -> Descriptor {
    let item = json!({
        "type": "object", "required": ["type"],
        "properties": {
            "type": {"type": "string", "description": "Type of resource that this limit applies to."},
            "default": amounts("Limit of a resource that has none."),
            "defaultRequest": amounts("Request of a resource that has none."),
            "max": amounts("Most of a resource."),
            "min": amounts("Least of a resource."),
            "maxLimitRequestRatio": amounts("Most that a limit may exceed its request by, as a factor."),
        },
    });
    let schema = json!({
        "type": "object",
        "description": "LimitRange sets resource usage limits for each kind of resource in a Namespace.",
        "properties": {
            "spec": {
                "type": "object", "required": ["limits"],
                "description": "Spec defines the limits enforced.",
                "properties": {"limits": {"type": "array", "items": item}},
            },
        },
    });
    Descriptor {
        short_names: vec!["limits".into()],
        columns: vec![path("Created At", "string", ".metadata.creationTimestamp")],
        special: Special::Admission,
        ..base("", "LimitRange", RANGES, schema)
    }
}
