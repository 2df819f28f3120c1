//! OpenAPI v3, from the same schemas that validate: what `kubectl explain` prints, and how
//! kubectl learns that the server validates fields itself. Pure; `edge` serves and caches it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use crate::discovery;
use crate::registry::{Descriptor, Registry};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// `/openapi/v3`: where each group version's document is. The hash changes with its content.
#[must_use]
pub fn index(documents: &[Document]) -> Value {
    let paths = documents.iter().map(|document| {
        let url = format!("/openapi/v3/{}?hash={}", document.path, document.hash);
        (document.path.clone(), json!({ "serverRelativeURL": url }))
    });
    json!({ "paths": paths.collect::<Map<String, Value>>() })
}

/// One group version's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `api/v1` or `apis/GROUP/VERSION`.
    pub path: String,
    /// Hexadecimal digest of the text.
    pub hash: String,
    /// JSON.
    pub text: String,
}

/// All documents.
#[must_use]
pub fn documents(registry: &Registry) -> Vec<Document> {
    let versions = discovery::group_versions(registry);
    versions
        .iter()
        .map(|(group, version)| document(registry, group, version))
        .collect()
}

fn document(registry: &Registry, group: &str, version: &str) -> Document {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert(OBJECT_META.into(), object_meta());
    schemas.insert(LIST_META.into(), list_meta());
    let fits = |d: &&Descriptor| d.group == group && d.version == version;
    for resource in registry.iter().map(AsRef::as_ref).filter(fits) {
        let reference = json!({"$ref": format!("#/components/schemas/{}", schema_name(resource))});
        paths.extend(paths_of(resource, &reference));
        schemas.insert(schema_name(resource), schema(resource));
        if resource.serves("list") {
            schemas.insert(list_name(resource), list_schema(resource, &reference));
        }
    }
    let value = json!({
        "openapi": "3.0.0", "info": {"title": "Stoa", "version": version},
        "paths": paths, "components": {"schemas": schemas},
    });
    let text = value.to_string();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let path = root(group, version).trim_start_matches('/').to_owned();
    Document {
        path,
        hash: format!("{:016X}", hasher.finish()),
        text,
    }
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    }
}

/// `dev.stoa.v1.TaskList`.
fn list_name(resource: &Descriptor) -> String {
    let name = schema_name(resource);
    let words = name.strip_suffix(&resource.kind).unwrap_or(&name);
    format!("{words}{}", resource.list_kind)
}

/// `dev.stoa.v1.Task`: the group's words turned round, as Kubernetes names published schemas.
fn schema_name(resource: &Descriptor) -> String {
    let group = if resource.group.is_empty() {
        "core.api.k8s.io"
    } else {
        &resource.group
    };
    let words: Vec<&str> = group.split('.').rev().collect();
    format!("{}.{}.{}", words.join("."), resource.version, resource.kind)
}

fn paths_of(resource: &Descriptor, reference: &Value) -> Vec<(String, Value)> {
    let root = root(&resource.group, &resource.version);
    let scope = if resource.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    let collection = format!("{root}{scope}/{}", resource.plural);
    let object = format!("{collection}/{{name}}");
    let post = operation(resource, "post", reference);
    if !resource.serves("get") {
        return vec![(collection, json!({ "post": post }))];
    }
    let mut paths = vec![
        (
            collection,
            json!({
                "get": operation(resource, "list", &list_reference(resource)),
                "post": post,
            }),
        ),
        (object.clone(), changeable(resource, reference)),
    ];
    if resource.subresources.status {
        paths.push((format!("{object}/status"), changeable(resource, reference)));
    }
    paths
}

fn changeable(resource: &Descriptor, reference: &Value) -> Value {
    json!({
        "get": operation(resource, "get", reference),
        "put": operation(resource, "put", reference),
        "patch": operation(resource, "patch", reference),
        "delete": operation(resource, "delete", reference),
    })
}

fn operation(resource: &Descriptor, action: &str, reference: &Value) -> Value {
    let answer =
        json!({"description": "OK", "content": {"application/json": {"schema": reference}}});
    let mut operation = json!({
        "responses": {"200": answer},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(resource),
    });
    let body = match action {
        "post" | "put" => vec!["application/json", "application/yaml"],
        "patch" => resource.patch_types().to_vec(),
        _ => return operation,
    };
    // kubectl leaves validation to a server whose PATCH lists `fieldValidation`.
    let parameters = ["dryRun", "fieldManager", "fieldValidation"]
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
    let body = body
        .into_iter()
        .map(|media| (media.to_owned(), json!({ "schema": reference })));
    operation["parameters"] = parameters.into_iter().collect();
    operation["requestBody"] = json!({ "content": body.collect::<Map<String, Value>>() });
    operation
}

fn gvk(resource: &Descriptor) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// The structural schema with what every object has.
fn schema(resource: &Descriptor) -> Value {
    let described = resource
        .schema
        .as_deref()
        .and_then(Value::as_object)
        .cloned();
    let mut schema = described.unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    schema.insert(
        "x-kubernetes-group-version-kind".into(),
        json!([gvk(resource)]),
    );
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    properties["apiVersion"] = text("The version of the kind's schema this object is written in.");
    properties["kind"] = text("What kind of object this is.");
    properties["metadata"] = json!({
        "description": "What every object has: its name, labels and the like.",
        "default": {}, "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}],
    });
    schema.into()
}

/// A list, as every client that was generated from these documents expects one.
fn list_schema(resource: &Descriptor, item: &Value) -> Value {
    let gvk = json!({
        "group": resource.group, "version": resource.version, "kind": resource.list_kind,
    });
    json!({
        "type": "object",
        "description": format!("{} is a list of {}", resource.list_kind, resource.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": text("The version of the kind's schema this list is written in."),
            "kind": text("What kind of list this is."),
            "metadata": {
                "description": "Where the list stands, and where it goes on.",
                "default": {}, "allOf": [{"$ref": format!("#/components/schemas/{LIST_META}")}],
            },
            "items": {"type": "array", "items": item, "description": "The objects."},
        },
        "x-kubernetes-group-version-kind": [gvk],
    })
}

fn list_reference(resource: &Descriptor) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", list_name(resource))})
}

fn list_meta() -> Value {
    json!({
        "type": "object",
        "description": "What every list has.",
        "properties": {
            "continue": text("Sent back, it asks for the items after these."),
            "remainingItemCount": {
                "type": "integer", "format": "int64",
                "description": "How many items there are after these, if that is known.",
            },
            "resourceVersion": text("The state the list shows."),
        },
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn object_meta() -> Value {
    let map = |description: &str| {
        json!({
            "type": "object", "additionalProperties": {"type": "string"}, "description": description,
        })
    };
    let time = |description: &str| json!({"type": "string", "format": "date-time", "description": description});
    let number = |description: &str| json!({"type": "integer", "format": "int64", "description": description});
    json!({
        "type": "object",
        "description": "What every object has.",
        "properties": {
            "name": text("Unique within the namespace, or in the cluster for cluster-scoped kinds."),
            "generateName": text("Prefix of a name the server makes up, used when name is empty."),
            "namespace": text("The space within which the name is unique."),
            "labels": map("Words to select objects by."),
            "annotations": map("Whatever tools keep with the object."),
            "uid": text("Identity, made by the server; never used twice."),
            "resourceVersion": text("Changes with every change; sent back, it guards an update."),
            "generation": number("Counts changes of the desired state."),
            "creationTimestamp": time("When the object was made."),
            "deletionTimestamp": time("When its deletion was asked for."),
            "deletionGracePeriodSeconds": number("Seconds it may take to end."),
            "finalizers": {
                "type": "array", "items": {"type": "string"},
                "description": "Who has work to do before the object may go.",
            },
            "ownerReferences": owner_references(),
        },
    })
}

fn owner_references() -> Value {
    json!({
        "type": "array",
        "description": "The objects this one depends on; when all are gone, it goes too.",
        "items": {
            "type": "object",
            "required": ["apiVersion", "kind", "name", "uid"],
            "properties": {
                "apiVersion": text("Of the owner."),
                "kind": text("Of the owner."),
                "name": text("Of the owner."),
                "uid": text("Of the owner."),
                "controller": {"type": "boolean", "description": "Whether the owner manages this object."},
                "blockOwnerDeletion": {
                    "type": "boolean",
                    "description": "Whether a foreground deletion of the owner waits for this object.",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_kubectl_looks_for() {
        let task = Descriptor {
            group: "stoa.dev".into(),
            version: "v1".into(),
            kind: "Task".into(),
            plural: "tasks".into(),
            namespaced: true,
            list_kind: "TaskList".into(),
            verbs: vec!["get".into(), "list".into()],
            schema: Some(Arc::new(
                json!({"type": "object", "properties": {"spec": {"type": "object"}}}),
            )),
            ..Descriptor::default()
        };
        let registry = Registry::new(vec![Arc::new(task)], 1);
        let documents = documents(&registry);
        let url = &index(&documents)["paths"]["apis/stoa.dev/v1"]["serverRelativeURL"];
        assert_eq!(
            *url,
            format!("/openapi/v3/apis/stoa.dev/v1?hash={}", documents[0].hash)
        );
        let value: Value = serde_json::from_str(&documents[0].text).unwrap();
        let patch =
            &value["paths"]["/apis/stoa.dev/v1/namespaces/{namespace}/tasks/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Task");
        let names: Vec<_> = patch["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str())
            .collect();
        assert!(names.contains(&Some("fieldValidation")) && names.contains(&Some("dryRun")));
        let bodies = patch["requestBody"]["content"].as_object().unwrap();
        assert!(!bodies.contains_key("application/strategic-merge-patch+json"));
        let schema = &value["components"]["schemas"]["dev.stoa.v1.Task"];
        assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Task");
        assert_eq!(schema["properties"]["spec"]["type"], "object");
        let get = &value["paths"]["/apis/stoa.dev/v1/namespaces/{namespace}/tasks"]["get"];
        let answer = &get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(answer, "#/components/schemas/dev.stoa.v1.TaskList");
        let list = &value["components"]["schemas"]["dev.stoa.v1.TaskList"];
        assert_eq!(
            list["properties"]["items"]["items"]["$ref"],
            "#/components/schemas/dev.stoa.v1.Task"
        );
        assert_eq!(
            list["x-kubernetes-group-version-kind"][0]["kind"],
            "TaskList"
        );
    }
}
