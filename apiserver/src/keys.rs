//! Where an object lies in the store: `/<group or core>/<plural>/<namespace or ->/<name>`.
//!
//! The order of keys is the order in which kubectl lists: by namespace, then by name. `-` is no
//! valid namespace, and no part may contain a slash, so keys never collide.

use bytes::Bytes;

use crate::registry::Descriptor;
use crate::registry::builtin::{DEFINITIONS, DEFINITIONS_GROUP};

const CORE: &str = "core";
const NO_NAMESPACE: &str = "-";

/// A key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Plural.
    pub plural: &'a str,
    /// None for cluster-scoped kinds.
    pub namespace: Option<&'a str>,
    /// `metadata.name`.
    pub name: &'a str,
}

/// The key of one object.
#[must_use]
pub fn object(group: &str, plural: &str, namespace: Option<&str>, name: &str) -> Bytes {
    format!("{}{name}", namespace_text(group, plural, namespace)).into()
}

/// The key of one object of a described resource.
#[must_use]
pub fn of(resource: &Descriptor, namespace: Option<&str>, name: &str) -> Bytes {
    let namespace = namespace.filter(|_| resource.namespaced);
    let stored = resource.stored();
    object(&stored.group, &stored.plural, namespace, name)
}

/// What all keys begin with under which it is noted whose an agent's name is.
pub const AGENT_IDENTITIES: &[u8] = b"/agent-identities/";

/// Where the key an agent joined with is noted. No resource's key: those have four parts.
#[must_use]
pub fn agent_identity(name: &str) -> Bytes {
    format!("/agent-identities/{name}").into()
}

/// Where the data keys of the vault lie, wrapped. No resource's key either.
#[must_use]
pub fn data_keys() -> Bytes {
    Bytes::from_static(b"/vault/data-keys")
}

/// Where definitions of a group claim their names.
#[must_use]
pub fn names(group: &str) -> Bytes {
    Bytes::from(format!("/names/{group}"))
}

/// The key of the definition of a resource that is not compiled in.
#[must_use]
pub fn definition(group: &str, plural: &str) -> Bytes {
    object(
        DEFINITIONS_GROUP,
        DEFINITIONS,
        None,
        &format!("{plural}.{group}"),
    )
}

/// What all keys of a resource begin with.
#[must_use]
pub fn resource(group: &str, plural: &str) -> Bytes {
    format!("/{}/{plural}/", group_word(group)).into()
}

/// What all keys of a list begin with: the resource, or its part in one namespace.
#[must_use]
pub fn list(resource_: &Descriptor, namespace: Option<&str>) -> Bytes {
    let stored = resource_.stored();
    let (group, plural) = (&stored.group, &stored.plural);
    match namespace.filter(|_| resource_.namespaced) {
        Some(namespace) => namespace_text(group, plural, Some(namespace)).into(),
        None => resource(group, plural),
    }
}

/// Takes a key apart; none if it is not one of ours.
#[must_use]
pub fn parse(key: &[u8]) -> Option<Parts<'_>> {
    let text = std::str::from_utf8(key).ok()?.strip_prefix('/')?;
    let mut words = text.splitn(4, '/');
    let (group, plural) = (words.next()?, words.next()?);
    let (namespace, name) = (words.next()?, words.next()?);
    Some(Parts {
        group: if group == CORE { "" } else { group },
        plural,
        namespace: (namespace != NO_NAMESPACE).then_some(namespace),
        name,
    })
}

fn group_word(group: &str) -> &str {
    if group.is_empty() { CORE } else { group }
}

fn namespace_text(group: &str, plural: &str, namespace: Option<&str>) -> String {
    format!(
        "/{}/{plural}/{}/",
        group_word(group),
        namespace.unwrap_or(NO_NAMESPACE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (group, plural, namespace, name, text) in [
            (
                "",
                "namespaces",
                None,
                "default",
                "/core/namespaces/-/default",
            ),
            ("stoa.dev", "tasks", Some("a"), "x", "/stoa.dev/tasks/a/x"),
            (
                "rbac.x",
                "roles",
                Some("a"),
                "system:x",
                "/rbac.x/roles/a/system:x",
            ),
        ] {
            let key = object(group, plural, namespace, name);
            assert_eq!(key, text);
            assert_eq!(
                parse(&key),
                Some(Parts {
                    group,
                    plural,
                    namespace,
                    name
                })
            );
        }
        assert_eq!(parse(&agent_identity("a1")), None);
        assert_eq!(parse(&data_keys()), None);
        assert_eq!(parse(&names("a.example.com")), None);
        for foreign in [&b""[..], b"/a/b/c", b"x/a/b/c/d", b"/\xff/b/c/d"] {
            assert_eq!(parse(foreign), None);
        }
    }
}
