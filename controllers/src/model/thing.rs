//! Objects of any kind, by what they have in common: for owner references.

use std::sync::{Arc, LazyLock};

use kube::core::PartialObjectMeta;
use manifests::kinds::{API_VERSION, GROUP};

use super::{Key, Meta, Parse, from};
use crate::world::Dated;

/// A resource of the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sort {
    /// `group/version`, or `v1`.
    pub api_version: String,
    /// E.g. `ConfigMap`.
    pub kind: String,
    /// E.g. `configmaps`.
    pub plural: String,
    /// False for cluster-scoped kinds.
    pub namespaced: bool,
}

impl Sort {
    /// The group; empty for the core one.
    #[must_use]
    pub fn group(&self) -> &str {
        group(&self.api_version)
    }

    /// True for the kinds of this project: their objects are known in full.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.group() == GROUP
    }
}

/// The group of an `apiVersion`.
#[must_use]
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// One object. The namespace of a cluster-scoped one is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    /// What it is.
    pub sort: Arc<Sort>,
    /// Which.
    pub key: Key,
}

impl Thing {
    /// An object of a kind of ours.
    #[must_use]
    pub fn ours(plural: &'static str, key: Key) -> Self {
        let known = OURS.iter().find(|sort| sort.plural == plural);
        let sort = known.expect("the table of our kinds names every kind of ours");
        Self {
            sort: Arc::clone(sort),
            key,
        }
    }
}

/// Somebody named as an owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Who: a successor of the same name is another.
    pub uid: String,
    /// Where to look.
    pub thing: Thing,
}

/// The kinds of ours that own or are owned.
pub static OURS: LazyLock<Vec<Arc<Sort>>> = LazyLock::new(|| {
    let table = [
        ("Framework", "frameworks", true),
        ("Task", "tasks", true),
        ("TaskGroup", "taskgroups", true),
        ("Reservation", "reservations", true),
        ("ResourcePool", "resourcepools", false),
        ("Agent", "agents", false),
    ];
    let sort = |(kind, plural, namespaced): (&str, &str, bool)| Sort {
        api_version: API_VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
    };
    table.into_iter().map(sort).map(Arc::new).collect()
});

/// All that is known of an object of a kind that is not ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Its name.
    pub key: Key,
    /// Its metadata.
    pub meta: Meta,
}

impl Head {
    /// False for most: nothing depends on knowing them.
    #[must_use]
    pub fn matters(&self) -> bool {
        !self.meta.owners.is_empty() || self.meta.deleting && !self.meta.finalizers.is_empty()
    }
}

impl Dated for Head {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Parse<PartialObjectMeta> for Head {
    fn parse(kind: PartialObjectMeta, _now_ms: u64) -> Self {
        Self {
            key: from::key(&kind.metadata),
            meta: from::meta(&kind.metadata),
        }
    }
}
