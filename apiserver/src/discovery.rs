//! Discovery: what is served, in the aggregated form (one answer for all groups) and in the
//! legacy form (one answer for each group version). Pure; `edge` adds ETags.

use serde_json::{Map, Value, json};

use crate::registry::{Descriptor, Registry};

/// The media type of the aggregated form; clients know it by its parameters.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A group version with its resources.
#[derive(Debug)]
struct Served<'a> {
    version: &'a str,
    resources: Vec<&'a Descriptor>,
}

/// A group with its versions, the preferred one first.
#[derive(Debug)]
struct Group<'a> {
    name: &'a str,
    versions: Vec<Served<'a>>,
}

/// `/api` (the core group) or `/apis` (all others) at once.
#[must_use]
pub fn aggregated(registry: &Registry, core: bool) -> Value {
    let groups = groups(registry)
        .into_iter()
        .filter(|group| group.name.is_empty() == core);
    let items: Vec<Value> = groups.map(|group| aggregated_group(&group)).collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items,
    })
}

/// `/api` in the legacy form. `address` is the server's `host:port`.
#[must_use]
pub fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis` in the legacy form.
#[must_use]
pub fn group_list(registry: &Registry) -> Value {
    let groups = groups(registry);
    let named = groups.iter().filter(|group| !group.name.is_empty());
    json!({
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": named.map(legacy_group).collect::<Vec<_>>(),
    })
}

/// `/apis/GROUP`.
#[must_use]
pub fn group(registry: &Registry, name: &str) -> Option<Value> {
    let found = groups(registry)
        .into_iter()
        .find(|group| group.name == name)?;
    let mut value = legacy_group(&found);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
#[must_use]
pub fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let fits = |d: &&Descriptor| d.group == group && d.version == version;
    let served: Vec<&Descriptor> = registry.iter().map(AsRef::as_ref).filter(fits).collect();
    let api_version = served.first()?.api_version();
    let resources: Vec<Value> = served.into_iter().flat_map(legacy_resources).collect();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": api_version, "resources": resources,
    }))
}

/// All group versions, in the order of discovery.
#[must_use]
pub fn group_versions(registry: &Registry) -> Vec<(String, String)> {
    let groups = groups(registry);
    let pairs = groups.iter().flat_map(|group| {
        group
            .versions
            .iter()
            .map(|served| (group.name.to_owned(), served.version.to_owned()))
    });
    pairs.collect()
}

fn groups(registry: &Registry) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for resource in registry.iter() {
        let at = groups.iter().position(|group| group.name == resource.group);
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                name: &resource.group,
                versions: Vec::new(),
            });
            groups.len() - 1
        });
        let versions = &mut groups[at].versions;
        match versions
            .iter_mut()
            .find(|served| served.version == resource.version)
        {
            Some(served) => served.resources.push(resource),
            None => versions.push(Served {
                version: &resource.version,
                resources: vec![resource],
            }),
        }
    }
    for group in &mut groups {
        group
            .versions
            .sort_by_key(|served| std::cmp::Reverse(priority(served.version)));
    }
    groups
}

/// Kubernetes' order of versions: v2 > v1 > v1beta2 > v1beta1 > v1alpha1 > anything else.
fn priority(version: &str) -> (u8, u64, u64) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let minor = |word: &str| tail.strip_prefix(word).and_then(|n| n.parse().ok());
        match (tail, minor("beta"), minor("alpha")) {
            ("", ..) => Some((3, major, 0)),
            (_, Some(minor), _) => Some((2, major, minor)),
            (_, _, Some(minor)) => Some((1, major, minor)),
            _ => None,
        }
    };
    parse().unwrap_or_default()
}

fn aggregated_group(group: &Group<'_>) -> Value {
    let versions = group.versions.iter().map(|served| {
        json!({
            "version": served.version, "freshness": "Current",
            "resources": served.resources.iter().map(|r| aggregated_resource(r)).collect::<Vec<_>>(),
        })
    });
    let mut metadata = Map::new();
    if !group.name.is_empty() {
        metadata.insert("name".into(), group.name.into());
    }
    metadata.insert("creationTimestamp".into(), Value::Null);
    json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
}

fn aggregated_resource(resource: &Descriptor) -> Value {
    let mut value = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = subresources(resource)
        .into_iter()
        .map(|sub| {
            json!({
                "subresource": sub.name, "verbs": sub.verbs,
                "responseKind": kind(sub.group, sub.version, sub.kind),
            })
        })
        .collect();
    if !subresources.is_empty() {
        value["subresources"] = subresources.into();
    }
    value
}

fn kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

struct Sub<'a> {
    name: &'a str,
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    verbs: &'static [&'static str],
}

const CHANGE: &[&str] = &["get", "patch", "update"];

fn subresources(resource: &Descriptor) -> Vec<Sub<'_>> {
    let own = |name, verbs| Sub {
        name,
        group: &resource.group,
        version: &resource.version,
        kind: &resource.kind,
        verbs,
    };
    let status = resource.subresources.status.then(|| own("status", CHANGE));
    let scale = resource.subresources.scale.is_some().then_some(Sub {
        name: "scale",
        group: "autoscaling",
        version: "v1",
        kind: "Scale",
        verbs: CHANGE,
    });
    let extra = resource.subresources.extra.iter().map(|&name| match name {
        "token" => Sub {
            name,
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest",
            verbs: extra_verbs(name),
        },
        name => own(name, extra_verbs(name)),
    });
    status.into_iter().chain(scale).chain(extra).collect()
}

/// The verbs of a subresource that is neither status nor scale.
#[must_use]
pub fn extra_verbs(name: &str) -> &'static [&'static str] {
    match name {
        "log" => &["get"],
        "finalize" => &["update"],
        "approval" => CHANGE,
        _ => &["create"],
    }
}

/// The verbs of any subresource.
#[must_use]
pub fn subresource_verbs(name: &str) -> &'static [&'static str] {
    if matches!(name, "status" | "scale") {
        CHANGE
    } else {
        extra_verbs(name)
    }
}

fn legacy_group(group: &Group<'_>) -> Value {
    let version = |served: &Served<'_>| json!({"groupVersion": format!("{}/{}", group.name, served.version), "version": served.version});
    json!({
        "name": group.name,
        "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(version),
    })
}

fn legacy_resources(resource: &Descriptor) -> Vec<Value> {
    let mut main = json!({
        "name": resource.plural, "singularName": resource.singular,
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        main["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        main["categories"] = json!(resource.categories);
    }
    let others = subresources(resource).into_iter().map(|sub| {
        let mut value = json!({
            "name": format!("{}/{}", resource.plural, sub.name), "singularName": "",
            "namespaced": resource.namespaced, "kind": sub.kind, "verbs": sub.verbs,
        });
        if sub.group != resource.group {
            value["group"] = sub.group.into();
            value["version"] = sub.version.into();
        }
        value
    });
    std::iter::once(main).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::registry::Subresources;

    fn registry() -> Registry {
        let resource = |group: &str, version: &str, plural: &str| {
            Arc::new(Descriptor {
                group: group.into(),
                version: version.into(),
                kind: "Thing".into(),
                plural: plural.into(),
                singular: "thing".into(),
                namespaced: true,
                verbs: vec!["get".into(), "list".into()],
                subresources: Subresources {
                    status: true,
                    ..Subresources::default()
                },
                ..Descriptor::default()
            })
        };
        let all = vec![
            resource("", "v1", "things"),
            resource("g.io", "v1beta1", "things"),
            resource("g.io", "v1", "things"),
            resource("g.io", "v1", "others"),
        ];
        Registry::new(all, 1)
    }

    #[test]
    fn both_forms_name_the_same() {
        let registry = registry();
        let core = aggregated(&registry, true);
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        assert_eq!(core["items"][0]["metadata"].get("name"), None);
        let named = aggregated(&registry, false);
        let versions: Vec<_> = named["items"][0]["versions"]
            .as_array()
            .unwrap()
            .iter()
            .collect();
        assert_eq!(
            (&versions[0]["version"], &versions[1]["version"]),
            (&json!("v1"), &json!("v1beta1"))
        );
        assert_eq!(versions[0]["resources"][1]["resource"], "others");
        assert_eq!(
            versions[0]["resources"][0]["subresources"][0]["subresource"],
            "status"
        );
        let legacy = resources(&registry, "g.io", "v1").unwrap();
        let names: Vec<_> = legacy["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["name"].as_str())
            .collect();
        let expected = ["things", "things/status", "others", "others/status"].map(Some);
        assert_eq!(names, expected);
        assert_eq!(
            group(&registry, "g.io").unwrap()["preferredVersion"]["version"],
            "v1"
        );
        assert_eq!(group(&registry, "h.io"), None);
        assert_eq!(resources(&registry, "g.io", "v2"), None);
        assert_eq!(group_list(&registry)["groups"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn version_order() {
        let mut versions = ["foo", "v1alpha1", "v1", "v1beta2", "v2", "v10", "v1beta1"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]
        );
    }
}
