//! The roles and bindings every cluster has: who may do what from the start.

use serde_json::{Value, json};

use crate::rbac::GROUP;
use crate::user::{AUTHENTICATED, MASTERS, SERVICE_ACCOUNTS, UNAUTHENTICATED};

const READ: &[&str] = &["get", "list", "watch"];

const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// What anybody may read in a namespace he views: no secrets, no roles.
const VIEWED_CORE: &[&str] = &[
    "configmaps",
    "events",
    "limitranges",
    "namespaces",
    "namespaces/status",
    "resourcequotas",
    "resourcequotas/status",
    "serviceaccounts",
    "services",
];

const VIEWED: &[&str] = &[
    "frameworks",
    "frameworks/status",
    "offers",
    "offers/status",
    "reservations",
    "reservations/status",
    "taskgroups",
    "taskgroups/status",
    "tasks",
    "tasks/log",
    "tasks/status",
];

const EDITED_CORE: &[&str] = &[
    "configmaps",
    "events",
    "secrets",
    "serviceaccounts",
    "services",
];

const EDITED: &[&str] = &["frameworks", "reservations", "taskgroups", "tasks"];

/// What even a stranger is told.
const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// What tells a client which kinds there are.
pub const DISCOVERY: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// Plural, name and object of each, in the order in which they are made.
#[must_use]
pub fn objects() -> Vec<(&'static str, String, Value)> {
    let roles = roles().into_iter().map(|role| ("clusterroles", role));
    let bindings = bindings()
        .into_iter()
        .map(|binding| ("clusterrolebindings", binding));
    let named = roles.chain(bindings).map(|(plural, object)| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        (plural, name.to_owned(), object)
    });
    named.collect()
}

/// What is to be written: what is ours, and whatever was added to it. None: somebody has said
/// `autoupdate: "false"`.
#[must_use]
pub fn reconcile(mut ours: Value, present: Option<&Value>) -> Option<Value> {
    const AUTOUPDATE: &str = "/metadata/annotations/rbac.authorization.kubernetes.io~1autoupdate";
    let Some(present) = present else {
        return Some(ours);
    };
    if present.pointer(AUTOUPDATE) == Some(&"false".into()) {
        return None;
    }
    for field in ["rules", "subjects"] {
        let Some(own) = ours.get_mut(field).and_then(Value::as_array_mut) else {
            continue;
        };
        let mut all = present[field].as_array().cloned().unwrap_or_default();
        let missing = own.drain(..).filter(|one| !all.contains(one));
        let missing: Vec<Value> = missing.collect();
        all.extend(missing);
        *own = all;
    }
    Some(ours)
}

fn roles() -> Vec<Value> {
    let everything = on(&["*"], &["*"], &["*"]);
    let everywhere = json!({"nonResourceURLs": ["*"], "verbs": ["*"]});
    let mut roles = vec![
        role("cluster-admin", &[], &[everything, everywhere]),
        gathering("admin", &["admin"], &[]),
        gathering("edit", &["edit"], &["admin"]),
        gathering("view", &["view"], &["edit"]),
        role("system:aggregate-to-admin", &["admin"], &admin()),
        role("system:aggregate-to-edit", &["edit"], &edit()),
        role("system:aggregate-to-view", &["view"], &view()),
    ];
    roles.extend(everybody());
    roles
}

/// What belongs to everybody, and to programs that judge others.
fn everybody() -> [Value; 5] {
    let authentication = "authentication.k8s.io";
    let authorization = "authorization.k8s.io";
    let own = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
    let keys = ["/.well-known/openid-configuration", "/openid/v1/jwks"];
    [
        role("system:discovery", &[], &[paths(DISCOVERY)]),
        role("system:public-info-viewer", &[], &[paths(PUBLIC)]),
        role(
            "system:service-account-issuer-discovery",
            &[],
            &[paths(&keys)],
        ),
        role(
            "system:basic-user",
            &[],
            &[
                on(&[authorization], &own, &["create"]),
                on(&[authentication], &["selfsubjectreviews"], &["create"]),
                // Each operation of a transaction is authorised by itself.
                on(&["stoa.dev"], &["transactions"], &["create"]),
            ],
        ),
        role(
            "system:auth-delegator",
            &[],
            &[
                on(&[authentication], &["tokenreviews"], &["create"]),
                on(&[authorization], &["subjectaccessreviews"], &["create"]),
            ],
        ),
    ]
}

fn view() -> Vec<Value> {
    vec![
        on(&[""], VIEWED_CORE, READ),
        on(&["events.k8s.io"], &["events"], READ),
        on(&["stoa.dev"], VIEWED, READ),
    ]
}

fn edit() -> Vec<Value> {
    vec![
        on(&[""], EDITED_CORE, WRITE),
        on(&[""], &["secrets"], READ),
        on(&[""], &["serviceaccounts"], &["impersonate"]),
        on(&[""], &["serviceaccounts/token"], &["create"]),
        on(&["events.k8s.io"], &["events"], WRITE),
        on(&["coordination.k8s.io"], &["leases"], READ),
        on(&["coordination.k8s.io"], &["leases"], WRITE),
        on(&["stoa.dev"], EDITED, WRITE),
        on(
            &["stoa.dev"],
            &["offers/accept", "offers/decline"],
            &["create"],
        ),
    ]
}

fn admin() -> Vec<Value> {
    let roles = ["rolebindings", "roles"];
    let local = ["localsubjectaccessreviews"];
    vec![
        on(&["authorization.k8s.io"], &local, &["create"]),
        on(&[GROUP], &roles, READ),
        on(&[GROUP], &roles, WRITE),
    ]
}

fn bindings() -> Vec<Value> {
    vec![
        binding("cluster-admin", "cluster-admin", &[MASTERS]),
        binding("system:basic-user", "system:basic-user", &[AUTHENTICATED]),
        binding("system:discovery", "system:discovery", &[AUTHENTICATED]),
        binding(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            &[SERVICE_ACCOUNTS],
        ),
        binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            &[AUTHENTICATED, UNAUTHENTICATED],
        ),
    ]
}

fn on(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn paths(paths: &[&str]) -> Value {
    json!({"nonResourceURLs": paths, "verbs": ["get"]})
}

/// A role that the roles of these names gather.
fn role(name: &str, gathered_by: &[&str], rules: &[Value]) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole",
        "metadata": metadata(name, gathered_by), "rules": rules,
    })
}

fn gathering(name: &str, gathers: &[&str], gathered_by: &[&str]) -> Value {
    let selectors: Vec<Value> = gathers
        .iter()
        .map(|word| json!({"matchLabels": {label(word): "true"}}))
        .collect();
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole",
        "metadata": metadata(name, gathered_by),
        "aggregationRule": {"clusterRoleSelectors": selectors},
    })
}

fn binding(name: &str, role: &str, groups: &[&str]) -> Value {
    let subjects: Vec<Value> = groups
        .iter()
        .map(|group| json!({"apiGroup": GROUP, "kind": "Group", "name": group}))
        .collect();
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRoleBinding",
        "metadata": metadata(name, &[]), "subjects": subjects,
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
    })
}

fn metadata(name: &str, gathered_by: &[&str]) -> Value {
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    for word in gathered_by {
        labels[label(word)] = "true".into();
    }
    let annotations = json!({"rbac.authorization.kubernetes.io/autoupdate": "true"});
    json!({"name": name, "labels": labels, "annotations": annotations})
}

fn label(word: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_stays() {
        let ours = binding("b", "cluster-admin", &[MASTERS]);
        let mut present = ours.clone();
        present["subjects"] = json!([{"apiGroup": GROUP, "kind": "User", "name": "jane"}]);
        let merged = reconcile(ours.clone(), Some(&present)).unwrap();
        let names: Vec<_> = merged["subjects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["jane", MASTERS]);
        assert_eq!(reconcile(merged.clone(), Some(&merged)), Some(merged));
        present["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] =
            "false".into();
        assert_eq!(reconcile(ours, Some(&present)), None);
    }
}
