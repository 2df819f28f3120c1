//! Which resources are served, and how: one immutable snapshot, replaced when definitions change.

pub mod builtin;

pub mod definition;

pub mod family;

pub mod lists;

pub mod structural;

pub mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::cel::Rules;
use crate::jsonpath::Path;
use crate::managed::types::{Type, compile};
use crate::status::Gr;

/// Everything the engine knows of one resource in one version.
#[derive(Clone, Debug, Default)]
pub struct Descriptor {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind, e.g. `Task`.
    pub kind: String,
    /// Kind of a list, e.g. `TaskList`.
    pub list_kind: String,
    /// Plural, as in URLs.
    pub plural: String,
    /// Singular.
    pub singular: String,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories, e.g. `all`.
    pub categories: Vec<String>,
    /// False: one object per name in the whole cluster.
    pub namespaced: bool,
    /// Verbs served, as discovery lists them.
    pub verbs: Vec<String>,
    /// Structural schema (JSONSchemaProps as JSON) of the whole object.
    pub schema: Option<Arc<Value>>,
    /// Compiled CEL rules of the schema.
    pub rules: Option<Arc<Rules>>,
    /// Subresources.
    pub subresources: Subresources,
    /// Columns of a Table after the name.
    pub columns: Vec<Column>,
    /// JSON paths, without a leading dot, that field selectors may name.
    pub selectable: Vec<String>,
    /// Where the description comes from.
    pub origin: Origin,
    /// The version objects are stored in; equals `version` unless a definition has several.
    pub storage_version: String,
    /// Warning sent with every answer of a deprecated version.
    pub deprecation: Option<String>,
    /// An update without resourceVersion overwrites.
    pub unconditional_update: bool,
    /// An update of an absent object creates it.
    pub create_on_update: bool,
    /// Strategic merge patches are accepted.
    pub strategic_merge: bool,
    /// A finished delete answers with the object, not with a Status.
    pub returns_deleted: bool,
    /// `metadata.generation` is kept.
    pub generation: bool,
    /// Rules in code that go with the kind.
    pub special: Special,
    /// The objects are another resource's, seen otherwise.
    pub view: Option<view::View>,
    /// The revision of the stored definition this was made from; none: of no stored one.
    pub defined_at: Option<u64>,
    /// The other versions of the definition; none where stored objects are shown as they are.
    pub family: Option<Arc<family::Family>>,
    /// What `type_` has compiled.
    pub types: OnceLock<Arc<Type>>,
}

/// Subresources of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subresources {
    /// `/status`.
    pub status: bool,
    /// `/scale`.
    pub scale: Option<Scale>,
    /// Others, e.g. `accept`, `decline`, `log`, `finalize`.
    pub extra: Vec<&'static str>,
}

/// Paths of the scale subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// `.spec.replicas`.
    pub spec: String,
    /// `.status.replicas`.
    pub status: String,
    /// `.status.labelSelector`.
    pub selector: Option<String>,
}

/// A column of a Table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub type_: String,
    /// OpenAPI format; may be empty.
    pub format: String,
    /// For `kubectl explain`-like help.
    pub description: String,
    /// Above 0: shown with `-o wide` only.
    pub priority: i64,
    /// Where the cell comes from.
    pub source: Source,
}

/// Where a cell comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The first of these paths that is there.
    First(Vec<Path>),
    /// The number of entries of a map or list.
    Count(Path),
    /// An object reference, as `kind/name`.
    Reference(Path),
    /// A number of seconds, as a duration; `<none>` where there is none.
    Span(Path),
    /// How far a request for a certificate is.
    Signing,
    /// The role of a binding.
    Role,
    /// The subjects of a binding that are of this kind.
    Subjects(&'static str),
    /// A quota: each of its entries as `name: used/hard`.
    Usage {
        /// Only entries that bound limits; otherwise only the others.
        limits: bool,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self::First(Vec::new())
    }
}

/// Where a description comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    #[default]
    BuiltIn,
    /// A CustomResourceDefinition, ours or a user's.
    Definition,
}

/// Rules in code that go with a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Special {
    /// None.
    #[default]
    None,
    /// core/v1 Namespace.
    Namespace,
    /// core/v1 ConfigMap.
    ConfigMap,
    /// core/v1 Secret.
    Secret,
    /// Event, in either version.
    Event,
    /// core/v1 Service.
    Service,
    /// coordination.k8s.io/v1 Lease.
    Lease,
    /// apiextensions.k8s.io/v1 CustomResourceDefinition.
    Definition,
    /// Kinds that steer admission.
    Admission,
    /// stoa.dev/v1 Task.
    Task,
    /// stoa.dev/v1 Offer.
    Offer,
    /// Roles and bindings.
    Rbac,
    /// certificates.k8s.io/v1 CertificateSigningRequest.
    Csr,
    /// A kind that is asked and answered, and never stored.
    Review,
}

impl Descriptor {
    /// `group/version`, or `v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The resource as errors name it.
    #[must_use]
    pub fn gr(&self) -> Gr {
        Gr::new(&self.group, &self.plural)
    }

    /// True if the verb is served on the object itself.
    #[must_use]
    pub fn serves(&self, verb: &str) -> bool {
        self.verbs.iter().any(|own| own == verb)
    }

    /// True if the subresource exists.
    #[must_use]
    pub fn has_subresource(&self, name: &str) -> bool {
        match name {
            "status" => self.subresources.status,
            "scale" => self.subresources.scale.is_some(),
            other => self.subresources.extra.contains(&other),
        }
    }

    /// Which parts of an object can be owned. Compiled when it is first asked for.
    #[must_use]
    pub fn type_(&self) -> &Type {
        self.types.get_or_init(|| {
            // Facts are about the kinds that are compiled in, not about a user's of the same name.
            let kind = if self.origin == Origin::BuiltIn {
                &self.kind
            } else {
                ""
            };
            Arc::new(compile::object(kind, self.schema.as_deref()))
        })
    }

    /// Media types of patches accepted here.
    #[must_use]
    pub fn patch_types(&self) -> &'static [&'static str] {
        const ALL: &[&str] = &[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
            "application/apply-patch+yaml",
        ];
        const CUSTOM: &[&str] = &[ALL[0], ALL[1], ALL[3]];
        if self.strategic_merge { ALL } else { CUSTOM }
    }
}

type Coordinates = (String, String, String);

/// All resources served, in the order of discovery.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    ordered: Vec<Arc<Descriptor>>,
    index: BTreeMap<Coordinates, usize>,
    hash: u64,
}

impl Registry {
    /// A registry of these resources. `hash` changes whenever they do.
    #[must_use]
    pub fn new(ordered: Vec<Arc<Descriptor>>, hash: u64) -> Self {
        let key = |d: &Descriptor| (d.group.clone(), d.version.clone(), d.plural.clone());
        let index = ordered
            .iter()
            .enumerate()
            .map(|(n, d)| (key(d), n))
            .collect();
        Self {
            ordered,
            index,
            hash,
        }
    }

    /// The resource under these coordinates.
    #[must_use]
    pub fn lookup(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Descriptor>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.index.get(&key).map(|&n| Arc::clone(&self.ordered[n]))
    }

    /// The resource with this kind; in any version if none is given.
    #[must_use]
    pub fn by_kind(
        &self,
        group: &str,
        version: Option<&str>,
        kind: &str,
    ) -> Option<Arc<Descriptor>> {
        let fits = |d: &&Arc<Descriptor>| {
            d.group == group && d.kind == kind && version.is_none_or(|v| v == d.version)
        };
        self.ordered.iter().find(fits).cloned()
    }

    /// The resource with this plural in any version, e.g. for a key of the store.
    #[must_use]
    pub fn by_plural(&self, group: &str, plural: &str) -> Option<Arc<Descriptor>> {
        self.ordered
            .iter()
            .find(|d| d.group == group && d.plural == plural)
            .cloned()
    }

    /// All resources, in the order of discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.ordered.iter()
    }

    /// Changes whenever the resources do; for ETags.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
