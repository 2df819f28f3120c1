//! What kinds the server knows, and how the words people type lead to them.

use std::collections::BTreeSet;

use manifests::kinds::definitions;
use serde_json::Value;

use crate::cluster::{Ask, Cluster};
use crate::exit::{Failure, Outcome};

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// One resource of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub(crate) group: String,
    /// E.g. `v1`.
    pub(crate) version: String,
    /// E.g. `Task`.
    pub(crate) kind: String,
    /// E.g. `tasks`.
    pub(crate) plural: String,
    /// E.g. `task`.
    pub(crate) singular: String,
    /// E.g. `tk`.
    pub(crate) short_names: Vec<String>,
    /// E.g. `all`.
    pub(crate) categories: Vec<String>,
    /// False for cluster-scoped kinds.
    pub(crate) namespaced: bool,
    /// What can be done with it.
    pub(crate) verbs: Vec<String>,
}

impl Kind {
    /// `group/version`, or `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Path of the collection; no namespace means all of them.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            "/api"
        } else {
            "/apis"
        };
        let base = format!("{root}/{}", self.api_version());
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", self.plural),
            None => format!("{base}/{}", self.plural),
        }
    }

    /// Path of one object.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.path(Some(namespace)))
    }

    /// As in `task.stoa.dev/x`.
    pub(crate) fn label(&self) -> String {
        if self.group.is_empty() {
            self.singular.clone()
        } else {
            format!("{}.{}", self.singular, self.group)
        }
    }

    /// True when `word` names this kind: plural, singular, short name or kind, with the group or not.
    fn is_called(&self, word: &str) -> bool {
        let (name, group) = word
            .split_once('.')
            .map_or((word, None), |(n, g)| (n, Some(g)));
        let of_group = group.is_none_or(|group| {
            let versioned = group
                .strip_prefix(&self.version)
                .and_then(|g| g.strip_prefix('.'));
            group == self.group || versioned == Some(&self.group)
        });
        let name = name.to_lowercase();
        of_group
            && (name == self.plural
                || name == self.singular
                || name == self.kind.to_lowercase()
                || self.short_names.contains(&name))
    }
}

/// Every kind the server knows, core group first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kinds(pub(crate) Vec<Kind>);

impl Kinds {
    /// Asks the server.
    pub(crate) async fn of(cluster: &Cluster) -> Outcome<Self> {
        let core = cluster.fetch(Ask::get("/api").accept(AGGREGATED)).await?;
        let groups = cluster.fetch(Ask::get("/apis").accept(AGGREGATED)).await?;
        let mut kinds = read(&core);
        kinds.extend(read(&groups));
        Ok(Self(kinds))
    }

    /// What is known without a server: our own kinds and the core ones the server always has.
    pub(crate) fn offline() -> Self {
        let ours = definitions().into_iter().map(|definition| {
            let (spec, names) = (definition.spec.clone(), definition.spec.names);
            Kind {
                group: spec.group,
                version: manifests::kinds::VERSION.to_owned(),
                kind: names.kind,
                plural: names.plural,
                singular: names.singular.unwrap_or_default(),
                short_names: names.short_names.unwrap_or_default(),
                categories: names.categories.unwrap_or_default(),
                namespaced: spec.scope == "Namespaced",
                verbs: Vec::new(),
            }
        });
        Self(core().into_iter().chain(ours).collect())
    }

    /// The kind that `word` names.
    pub(crate) fn resolve(&self, word: &str) -> Outcome<&Kind> {
        self.0
            .iter()
            .find(|kind| kind.is_called(word))
            .ok_or_else(|| {
                Failure::new(format!("the server has no kind {word:?}"))
                    .hint("`stoa api-resources` lists them")
            })
    }

    /// The kinds a comma list of words names; a category stands for its members.
    pub(crate) fn resolve_all(&self, words: &str) -> Outcome<Vec<&Kind>> {
        let mut found: Vec<&Kind> = Vec::new();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let of_category = |kind: &&Kind| kind.categories.iter().any(|c| c == word);
            let members: Vec<_> = self.0.iter().filter(of_category).collect();
            let named = if members.is_empty() {
                vec![self.resolve(word)?]
            } else {
                members
            };
            found.extend(named);
        }
        let mut seen = BTreeSet::new();
        found.retain(|kind| seen.insert((kind.group.clone(), kind.plural.clone())));
        Ok(found)
    }

    /// The kind of an object with this `apiVersion` and `kind`.
    pub(crate) fn of_object(&self, object: &Value) -> Option<&Kind> {
        let (version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
        self.0
            .iter()
            .find(|k| k.kind == kind && k.api_version() == version)
    }
}

/// The core kinds every Stoa server has.
fn core() -> Vec<Kind> {
    let row = |group: &str, kind: &str, plural: &str, short: &str, namespaced: bool| Kind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: vec![short.to_owned()],
        namespaced,
        ..Kind::default()
    };
    let definitions = "customresourcedefinitions";
    vec![
        row("", "Namespace", "namespaces", "ns", false),
        row("", "ConfigMap", "configmaps", "cm", true),
        row("", "Secret", "secrets", "secret", true),
        row("", "ServiceAccount", "serviceaccounts", "sa", true),
        row("", "Event", "events", "ev", true),
        row("coordination.k8s.io", "Lease", "leases", "lease", true),
        row(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            definitions,
            "crd",
            false,
        ),
    ]
}

/// Reads an `APIGroupDiscoveryList`; the first version of a group is the preferred one.
fn read(list: &Value) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for group in array(&list["items"]) {
        let name = text(&group["metadata"]["name"]);
        for version in array(&group["versions"]) {
            let resources = array(&version["resources"]);
            kinds.extend(
                resources
                    .iter()
                    .map(|r| read_resource(&name, &text(&version["version"]), r)),
            );
        }
    }
    kinds
}

fn read_resource(group: &str, version: &str, resource: &Value) -> Kind {
    let words = |key: &str| array(&resource[key]).iter().map(text).collect();
    let kind = text(&resource["responseKind"]["kind"]);
    let singular = text(&resource["singularResource"]);
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: text(&resource["resource"]),
        singular: if singular.is_empty() {
            kind.to_lowercase()
        } else {
            singular
        },
        kind,
        short_names: words("shortNames"),
        categories: words("categories"),
        namespaced: resource["scope"] == "Namespaced",
        verbs: words("verbs"),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_word_leads_to_the_kind() {
        let kinds = Kinds::offline();
        for word in [
            "task",
            "tasks",
            "Task",
            "tk",
            "tasks.stoa.dev",
            "task.v1.stoa.dev",
        ] {
            assert_eq!(kinds.resolve(word).unwrap().kind, "Task", "{word}");
        }
        assert!(kinds.resolve("tasks.example.com").is_err());
        assert!(kinds.resolve("taks").is_err());
    }

    #[test]
    fn a_category_stands_for_its_members_once() {
        let kinds = Kinds::offline();
        let found = kinds.resolve_all("stoa,tk,cm,").unwrap();
        assert_eq!(found.len(), definitions().len() + 1);
    }

    #[test]
    fn paths_follow_scope_and_group() {
        let kinds = Kinds::offline();
        let path = |word: &str| kinds.resolve(word).unwrap().object("n", "x");
        assert_eq!(path("task"), "/apis/stoa.dev/v1/namespaces/n/tasks/x");
        assert_eq!(path("agent"), "/apis/stoa.dev/v1/agents/x");
        assert_eq!(path("configmap"), "/api/v1/namespaces/n/configmaps/x");
        assert_eq!(path("namespace"), "/api/v1/namespaces/x");
    }

    #[test]
    fn discovery_is_read() {
        let list = serde_json::json!({"items": [{"metadata": {"name": "stoa.dev"}, "versions": [
            {"version": "v1", "resources": [{"resource": "tasks", "scope": "Namespaced",
             "responseKind": {"group": "stoa.dev", "version": "v1", "kind": "Task"},
             "singularResource": "task", "verbs": ["get"], "shortNames": ["tk"]}]}]}]});
        let kinds = read(&list);
        assert_eq!(kinds[0].label(), "task.stoa.dev");
        assert!(kinds[0].namespaced);
    }
}
