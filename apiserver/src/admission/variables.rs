//! The types of `request` and `namespaceObject`, as schemas: upstream's hand-made ones
//! (`apiserver/pkg/admission/plugin/cel/compile.go`).

use std::sync::OnceLock;

use serde_json::{Value as Json, json};

fn text() -> Json {
    json!({"type": "string"})
}

fn texts() -> Json {
    json!({"type": "array", "items": text()})
}

fn fields(names: &[&str]) -> Json {
    let all = names.iter().map(|name| ((*name).to_owned(), text()));
    json!({"type": "object", "properties": all.collect::<serde_json::Map<_, _>>()})
}

/// `request`, as far as expressions see it.
pub(crate) fn request_schema() -> &'static Json {
    static MADE: OnceLock<Json> = OnceLock::new();
    MADE.get_or_init(|| {
        let kind = fields(&["group", "version", "kind"]);
        let resource = fields(&["group", "version", "resource"]);
        let mut user = fields(&["username", "uid"]);
        user["properties"]["groups"] = texts();
        user["properties"]["extra"] = json!({"type": "object", "additionalProperties": texts()});
        let mut request = fields(&[
            "subResource",
            "requestSubResource",
            "name",
            "namespace",
            "operation",
        ]);
        for (name, schema) in [
            ("kind", kind.clone()),
            ("requestKind", kind),
            ("resource", resource.clone()),
            ("requestResource", resource),
            ("userInfo", user),
            ("dryRun", json!({"type": "boolean"})),
            // This is how a schema says that it does not know.
            ("options", json!({"x-kubernetes-int-or-string": true})),
        ] {
            request["properties"][name] = schema;
        }
        request
    })
}

/// `namespaceObject`, as far as expressions see it.
pub(crate) fn namespace_schema() -> &'static Json {
    static MADE: OnceLock<Json> = OnceLock::new();
    MADE.get_or_init(|| {
        let time = || json!({"type": "string", "format": "date-time"});
        let labels = || json!({"type": "object", "additionalProperties": text()});
        let number = || json!({"type": "integer"});
        let mut metadata = fields(&["name", "generateName", "namespace", "uid", "resourceVersion"]);
        for (name, schema) in [
            ("labels", labels()),
            ("annotations", labels()),
            ("creationTimestamp", time()),
            ("deletionTimestamp", time()),
            ("deletionGracePeriodSeconds", number()),
            ("generation", number()),
            ("finalizers", texts()),
        ] {
            metadata["properties"][name] = schema;
        }
        let mut condition = fields(&["status", "type", "message", "reason"]);
        condition["properties"]["lastTransitionTime"] = time();
        let mut status = fields(&["phase"]);
        status["properties"]["conditions"] = json!({"type": "array", "items": condition});
        let spec = json!({"type": "object", "properties": {"finalizers": texts()}});
        json!({"type": "object", "properties": {"metadata": metadata, "spec": spec, "status": status}})
    })
}
