//! Which requests a webhook or a policy is about: rules and selectors.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::labels;
use crate::authorize::Authorizer;
use crate::metadata;
use crate::registry::{Descriptor, Registry};
use crate::selector::label::Requirement;
use crate::user::User;

/// What is asked of admission.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: &'static str,
    /// The resource, in the version the client speaks.
    pub resource: &'a Arc<Descriptor>,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// None for cluster-scoped resources.
    pub namespace: Option<&'a str>,
    /// The object's name.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a User,
    /// What users may do.
    pub authorizer: &'a Authorizer,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// As it is to be stored; none when it is deleted.
    pub object: Option<&'a Value>,
    /// As it is stored; none when it is created.
    pub old: Option<&'a Value>,
}

impl Asked<'_> {
    fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.plural == "namespaces"
    }
}

/// One rule of a list.
#[derive(Clone, Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<(String, String)>,
    scope: String,
    names: Vec<String>,
}

/// Rules and selectors of one webhook, policy or binding.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    exact: bool,
    namespaces: Vec<Requirement>,
    objects: Vec<Requirement>,
}

impl Matching {
    /// From a webhook (`rules`) or a policy's constraints (`resourceRules`).
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let list = |field: &str| -> Vec<Rule> {
            let all = value.get(field).and_then(Value::as_array);
            all.into_iter().flatten().map(Rule::of).collect()
        };
        let selector = |field: &str| {
            let found = value.get(field).map(labels::requirements);
            found.and_then(Result::ok).unwrap_or_default()
        };
        let mut rules = list("rules");
        rules.extend(list("resourceRules"));
        Self {
            rules,
            excluded: list("excludeResourceRules"),
            exact: value
                .get("matchPolicy")
                .is_some_and(|policy| policy == "Exact"),
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// True if there is no rule: a binding that narrows nothing.
    #[must_use]
    pub fn has_no_rule(&self) -> bool {
        self.rules.is_empty()
    }

    /// Group and plural of each resource that is named; none: some rule takes several.
    pub(super) fn named(&self) -> Option<Vec<(String, String)>> {
        let mut named = Vec::new();
        for rule in &self.rules {
            for group in &rule.groups {
                for (resource, _) in &rule.resources {
                    if group == "*" || resource == "*" {
                        return None;
                    }
                    named.push((group.clone(), resource.clone()));
                }
            }
        }
        Some(named)
    }

    /// The resource as the rules name it: the one that is asked for, or another version of it.
    #[must_use]
    pub fn resource(&self, asked: &Asked<'_>, registry: &Registry) -> Option<Arc<Descriptor>> {
        let hit = |rules: &[Rule]| -> Option<Arc<Descriptor>> {
            if rules.iter().any(|rule| rule.matches(asked, asked.resource)) {
                return Some(Arc::clone(asked.resource));
            }
            let same = |other: &&Arc<Descriptor>| {
                (&other.group, &other.plural) == (&asked.resource.group, &asked.resource.plural)
            };
            let others = registry.iter().filter(same).filter(|_| !self.exact);
            let mut hits =
                others.filter(|other| rules.iter().any(|rule| rule.matches(asked, other)));
            hits.next().cloned()
        };
        if !self.excluded.is_empty() && hit(&self.excluded).is_some() {
            return None;
        }
        hit(&self.rules)
    }

    /// True if the object, before or after, is selected.
    #[must_use]
    pub fn selects_object(&self, asked: &Asked<'_>) -> bool {
        let selected =
            |object: Option<&Value>| object.is_some_and(|object| holds(&self.objects, object));
        self.objects.is_empty() || selected(asked.object) || selected(asked.old)
    }

    /// True if the namespace is selected. Only namespaces tell what is not in one apart.
    #[must_use]
    pub fn selects_namespace(
        &self,
        asked: &Asked<'_>,
        namespace: impl FnOnce(&str) -> Option<Arc<Value>>,
    ) -> bool {
        if self.namespaces.is_empty() {
            return true;
        }
        match asked.namespace {
            Some(name) => {
                let found = namespace(name);
                found.is_some_and(|found| holds(&self.namespaces, &found))
            }
            None if asked.is_namespace() => {
                let itself = asked.object.or(asked.old);
                itself.is_some_and(|itself| holds(&self.namespaces, itself))
            }
            None => true,
        }
    }
}

fn holds(requirements: &[Requirement], object: &Value) -> bool {
    let labels: Option<&Map<String, Value>> = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    requirements
        .iter()
        .all(|requirement| requirement.holds(labels))
}

impl Rule {
    fn of(value: &Value) -> Self {
        let words = |field: &str| -> Vec<String> {
            let all = value.get(field).and_then(Value::as_array);
            let all = all.into_iter().flatten();
            all.filter_map(|word| word.as_str().map(str::to_owned))
                .collect()
        };
        let split = |word: String| match word.split_once('/') {
            Some((resource, sub)) => (resource.to_owned(), sub.to_owned()),
            None => (word, String::new()),
        };
        Self {
            operations: words("operations"),
            groups: words("apiGroups"),
            versions: words("apiVersions"),
            resources: words("resources").into_iter().map(split).collect(),
            scope: value["scope"].as_str().unwrap_or("*").to_owned(),
            names: words("resourceNames"),
        }
    }

    fn matches(&self, asked: &Asked<'_>, resource: &Descriptor) -> bool {
        let any = |words: &[String], word: &str| words.iter().any(|own| own == "*" || own == word);
        let scope = match self.scope.as_str() {
            "Namespaced" => asked.namespace.is_some(),
            "Cluster" => asked.namespace.is_none(),
            _ => true,
        };
        let is = |own: &str, word: &str| own == "*" || own == word;
        scope
            && any(&self.operations, asked.operation)
            && any(&self.groups, &resource.group)
            && any(&self.versions, &resource.version)
            && self
                .resources
                .iter()
                .any(|(name, sub)| is(name, &resource.plural) && is(sub, asked.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }
}

/// An object as a version of its kind shows it.
#[must_use]
pub fn shown(object: Option<&Value>, resource: &Descriptor) -> Value {
    let Some(object) = object else {
        return Value::Null;
    };
    let mut shown = object.clone();
    shown["apiVersion"] = resource.api_version().into();
    shown["kind"] = resource.kind.as_str().into();
    shown
}

/// The name an object has, or will have.
#[must_use]
pub fn name_of<'a>(object: Option<&'a Value>, old: Option<&'a Value>) -> &'a str {
    object
        .or(old)
        .map_or("", |object| metadata::text(object, "name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn descriptor(group: &str, version: &str, plural: &str) -> Arc<Descriptor> {
        Arc::new(Descriptor {
            group: group.into(),
            version: version.into(),
            plural: plural.into(),
            ..Descriptor::default()
        })
    }

    fn rule(operations: &[&str], groups: &[&str], versions: &[&str], resources: &[&str]) -> Value {
        json!({"operations": operations, "apiGroups": groups, "apiVersions": versions, "resources": resources})
    }

    #[test]
    fn rules() {
        let user = User::default();
        let tasks = descriptor("stoa.dev", "v1", "tasks");
        let registry = Registry::new(
            vec![descriptor("stoa.dev", "v2", "tasks"), Arc::clone(&tasks)],
            0,
        );
        let own = rule(&["CREATE"], &["stoa.dev"], &["v1"], &["tasks"]);
        for (rule, policy, sub, version) in [
            (own.clone(), "Exact", "", Some("v1")),
            (own.clone(), "Exact", "status", None),
            (
                rule(&["*"], &["*"], &["*"], &["*"]),
                "Exact",
                "",
                Some("v1"),
            ),
            (
                rule(&["*"], &["*"], &["*"], &["*"]),
                "Exact",
                "status",
                None,
            ),
            (
                rule(&["*"], &["*"], &["*"], &["*/*"]),
                "Exact",
                "status",
                Some("v1"),
            ),
            (
                rule(&["*"], &["*"], &["*"], &["tasks/*"]),
                "Exact",
                "status",
                Some("v1"),
            ),
            (
                rule(&["UPDATE"], &["*"], &["*"], &["tasks"]),
                "Exact",
                "",
                None,
            ),
            (rule(&["*"], &["*"], &["v2"], &["tasks"]), "Exact", "", None),
            (
                rule(&["*"], &["*"], &["v2"], &["tasks"]),
                "Equivalent",
                "",
                Some("v2"),
            ),
        ] {
            let asked = Asked {
                operation: "CREATE",
                resource: &tasks,
                subresource: sub,
                namespace: Some("a"),
                name: "x",
                user: &user,
                authorizer: &Authorizer::default(),
                dry_run: false,
                object: None,
                old: None,
            };
            let matching = Matching::of(&json!({"rules": [rule], "matchPolicy": policy}));
            let found = matching.resource(&asked, &registry);
            assert_eq!(
                found.as_ref().map(|d| d.version.as_str()),
                version,
                "{rule} {policy} {sub}"
            );
            let excluding = json!({"resourceRules": [own], "excludeResourceRules": [rule], "matchPolicy": policy});
            let found = Matching::of(&excluding).resource(&asked, &registry);
            assert_eq!(
                found.is_some(),
                version.is_none() && sub.is_empty(),
                "{rule} {policy} {sub}"
            );
        }
    }

    #[test]
    fn selectors() {
        let user = User::default();
        let authorizer = Authorizer::default();
        let resource = descriptor("", "v1", "configmaps");
        let labelled = json!({"metadata": {"labels": {"a": "b"}}});
        let other = json!({"metadata": {}});
        let matching = Matching::of(&json!({
            "objectSelector": {"matchLabels": {"a": "b"}}, "namespaceSelector": {"matchLabels": {"a": "b"}},
        }));
        let asked = |namespace, object, old| Asked {
            operation: "UPDATE",
            resource: &resource,
            subresource: "",
            namespace,
            name: "x",
            user: &user,
            authorizer: &authorizer,
            dry_run: false,
            object,
            old,
        };
        assert!(matching.selects_object(&asked(None, Some(&other), Some(&labelled))));
        assert!(!matching.selects_object(&asked(None, Some(&other), Some(&other))));
        let inside = asked(Some("n"), Some(&other), None);
        assert!(matching.selects_namespace(&inside, |_| Some(Arc::new(labelled.clone()))));
        assert!(!matching.selects_namespace(&inside, |_| Some(Arc::new(other.clone()))));
        assert!(matching.selects_namespace(&asked(None, Some(&other), None), |_| None));
    }
}
