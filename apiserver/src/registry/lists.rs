//! How lists and maps of the built-in kinds are merged. Their schemas (k8s-openapi) do not say it;
//! upstream says it in the comments of its Go types (`+listType`, `+mapType`, `patchMergeKey`).
//!
//! A path names fields only, joined by dots: `secrets` of a ServiceAccount is also the path of each
//! entry. What stands nowhere here is the default: lists are atomic, maps granular.

/// How the parts of a list or map belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// One value, replaced as a whole.
    Atomic,
    /// A list of plain values, each at most once.
    Set,
    /// A list of maps, told apart by these fields.
    Keyed(&'static [&'static str]),
}

/// What is known of one place in a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    kind: &'static str,
    path: &'static str,
    /// The list at this place; none: it is atomic, or there is no list.
    pub list: Option<Treatment>,
    /// The map at this place, or each map of the list there, is one value.
    pub is_atomic_map: bool,
    /// The key by which a strategic merge patch finds entries; empty: plain words, merged as a set.
    /// None: a patch replaces the list.
    pub merge_key: Option<&'static str>,
}

const fn fact(kind: &'static str, path: &'static str) -> Fact {
    Fact {
        kind,
        path,
        list: None,
        is_atomic_map: false,
        merge_key: None,
    }
}

/// A list of maps merged by one key, by apply and by strategic patches alike.
const fn keyed(kind: &'static str, path: &'static str, key: &'static [&'static str]) -> Fact {
    Fact {
        list: Some(Treatment::Keyed(key)),
        merge_key: Some(key[0]),
        ..fact(kind, path)
    }
}

/// A list of maps merged by key when applied, but replaced by strategic patches.
const fn applied(kind: &'static str, path: &'static str, key: &'static [&'static str]) -> Fact {
    Fact {
        list: Some(Treatment::Keyed(key)),
        ..fact(kind, path)
    }
}

const fn atomic(kind: &'static str, path: &'static str) -> Fact {
    Fact {
        is_atomic_map: true,
        ..fact(kind, path)
    }
}

const NAME: &[&str] = &["name"];
const TYPE: &[&str] = &["type"];

/// Of every kind.
const METADATA: [Fact; 2] = [
    Fact {
        list: Some(Treatment::Set),
        merge_key: Some(""),
        ..fact("", "metadata.finalizers")
    },
    Fact {
        is_atomic_map: true,
        ..keyed("", "metadata.ownerReferences", &["uid"])
    },
];

const FACTS: [Fact; 28] = [
    keyed("Namespace", "status.conditions", TYPE),
    Fact {
        is_atomic_map: true,
        ..keyed("ServiceAccount", "secrets", NAME)
    },
    Fact {
        is_atomic_map: true,
        merge_key: Some("name"),
        ..fact("ServiceAccount", "imagePullSecrets")
    },
    atomic("Event", "involvedObject"),
    atomic("Event", "related"),
    atomic("Event", "regarding"),
    applied("CustomResourceDefinition", "status.conditions", TYPE),
    applied("CertificateSigningRequest", "status.conditions", TYPE),
    atomic("RoleBinding", "roleRef"),
    atomic("ClusterRoleBinding", "roleRef"),
    keyed("ValidatingWebhookConfiguration", "webhooks", NAME),
    keyed(
        "ValidatingWebhookConfiguration",
        "webhooks.matchConditions",
        NAME,
    ),
    atomic(
        "ValidatingWebhookConfiguration",
        "webhooks.namespaceSelector",
    ),
    atomic("ValidatingWebhookConfiguration", "webhooks.objectSelector"),
    keyed("MutatingWebhookConfiguration", "webhooks", NAME),
    keyed(
        "MutatingWebhookConfiguration",
        "webhooks.matchConditions",
        NAME,
    ),
    atomic("MutatingWebhookConfiguration", "webhooks.namespaceSelector"),
    atomic("MutatingWebhookConfiguration", "webhooks.objectSelector"),
    keyed("ValidatingAdmissionPolicy", "spec.matchConditions", NAME),
    keyed("ValidatingAdmissionPolicy", "spec.variables", NAME),
    atomic("ValidatingAdmissionPolicy", "spec.paramKind"),
    atomic("ValidatingAdmissionPolicy", "spec.matchConstraints"),
    atomic("ValidatingAdmissionPolicy", "spec.variables"),
    applied("ValidatingAdmissionPolicy", "status.conditions", TYPE),
    atomic("ValidatingAdmissionPolicyBinding", "spec.paramRef"),
    atomic("ValidatingAdmissionPolicyBinding", "spec.matchResources"),
    keyed("PersistentVolumeClaim", "status.conditions", TYPE),
    keyed("Service", "status.conditions", TYPE),
];

/// What is known of a place in a kind; none: nothing beyond the defaults.
#[must_use]
pub fn at(kind: &str, path: &str) -> Option<Fact> {
    let common = METADATA.iter().find(|fact| fact.path == path);
    let mut own = FACTS
        .iter()
        .filter(|fact| fact.kind == kind && fact.path == path);
    let first = common.or_else(|| own.next()).copied()?;
    // The list and the maps in it may stand apart.
    Some(own.fold(first, |known, fact| Fact {
        list: known.list.or(fact.list),
        is_atomic_map: known.is_atomic_map || fact.is_atomic_map,
        merge_key: known.merge_key.or(fact.merge_key),
        ..known
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        for (kind, path, list, is_atomic_map, merge_key) in [
            (
                "ConfigMap",
                "metadata.finalizers",
                Some(Treatment::Set),
                false,
                Some(""),
            ),
            (
                "Namespace",
                "status.conditions",
                Some(Treatment::Keyed(TYPE)),
                false,
                Some("type"),
            ),
            (
                "ValidatingAdmissionPolicy",
                "spec.variables",
                Some(Treatment::Keyed(NAME)),
                true,
                Some("name"),
            ),
            (
                "ServiceAccount",
                "imagePullSecrets",
                None,
                true,
                Some("name"),
            ),
        ] {
            let found = at(kind, path).unwrap();
            assert_eq!(
                (found.list, found.is_atomic_map, found.merge_key),
                (list, is_atomic_map, merge_key),
                "{kind} {path}"
            );
        }
        assert_eq!(at("ConfigMap", "data"), None);
        assert_eq!(at("Task", "status.conditions"), None);
    }
}
