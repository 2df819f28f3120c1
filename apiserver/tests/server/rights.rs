//! Who may do what, through the whole server: a stranger to every right is refused everywhere, and
//! a tenant keeps to his namespace.

use apiserver::pki::Subject;
use serde_json::{Value, json};

use crate::rig::{Rig, framework, raw, task};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const TRANSACTIONS: &str = "/apis/stoa.dev/v1/transactions";

/// What everybody may ask: it answers about himself, or each part of it is judged again.
const OWN: [&str; 4] = [
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "selfsubjectreviews",
    "transactions",
];

/// Verbs of our own that discovery does not show.
const EXTRAS: [(&str, &str); 18] = [
    ("GET", "/apis/stoa.dev/v1/namespaces/b/tasks/x/log"),
    (
        "GET",
        "/apis/stoa.dev/v1/namespaces/b/tasks/x/log?follow=true",
    ),
    ("POST", "/apis/stoa.dev/v1/datakeys"),
    ("GET", "/apis/stoa.dev/v1/agents/a1/log"),
    ("POST", "/apis/stoa.dev/v1/join"),
    ("POST", "/apis/stoa.dev/v1/agents/a1/heartbeat"),
    ("GET", "/apis/stoa.dev/v1/heartbeats"),
    ("GET", "/apis/stoa.dev/v1/members"),
    ("POST", "/apis/stoa.dev/v1/members/a/promote"),
    ("DELETE", "/apis/stoa.dev/v1/members/a"),
    // A namespace in front of what lives in none.
    ("GET", "/apis/stoa.dev/v1/namespaces/a/members"),
    ("DELETE", "/apis/stoa.dev/v1/namespaces/a/members/a"),
    ("POST", "/apis/stoa.dev/v1/namespaces/a/join"),
    ("GET", "/apis/stoa.dev/v1/namespaces/a/heartbeats"),
    ("GET", "/apis/stoa.dev/v1/namespaces/a/agents"),
    ("GET", "/stoa/v1/snapshot"),
    ("GET", "/metrics"),
    ("GET", "/"),
];

/// Asks as somebody else, which an administrator may.
async fn ask(
    admin: &kube::Client,
    user: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let headers = [
        ("impersonate-user", user),
        ("content-type", content_type(method)),
    ];
    let body = match body.is_null() {
        true => String::new(),
        false => body.to_string(),
    };
    raw(admin, method, path, &headers, body).await
}

fn content_type(method: &str) -> &'static str {
    match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    }
}

async fn make(admin: &kube::Client, path: &str, object: &Value) {
    let (code, answer) = raw(admin, "POST", path, &[], object.to_string()).await;
    assert_eq!(code, 201, "{path} {answer}");
}

/// A user's kinds: one in namespaces with all subresources, one of the cluster.
async fn define(admin: &kube::Client) {
    for (plural, kind, scope) in [
        ("things", "Thing", "Namespaced"),
        ("worlds", "World", "Cluster"),
    ] {
        let scale =
            json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
        let definition = json!({
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {
                "group": "example.com", "scope": scope, "names": {"plural": plural, "kind": kind},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}, "scale": scale},
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                }],
            },
        });
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        make(admin, path, &definition).await;
    }
}

/// Method and path of every verb of every resource and subresource, in this namespace and, where
/// that is a request, in all.
async fn requests(admin: &kube::Client, namespace: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let (_, groups) = raw(admin, "GET", "/apis", &[], "").await;
    let versions = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| {
            let versions = group["versions"].as_array().unwrap().iter();
            versions.map(|one| format!("/apis/{}", one["groupVersion"].as_str().unwrap()))
        });
    let roots: Vec<String> = std::iter::once("/api/v1".to_owned())
        .chain(versions)
        .collect();
    for root in roots {
        let (_, list) = raw(admin, "GET", &root, &[], "").await;
        for one in list["resources"].as_array().unwrap() {
            found.extend(of_resource(&root, one, namespace));
        }
    }
    found
}

fn of_resource(root: &str, resource: &Value, namespace: &str) -> Vec<(&'static str, String)> {
    let name = resource["name"].as_str().unwrap();
    let (plural, sub) = name.split_once('/').unwrap_or((name, ""));
    let namespaced = resource["namespaced"] == true;
    let scope = match namespaced {
        true => format!("/namespaces/{namespace}"),
        false => String::new(),
    };
    let collection = format!("{root}{scope}/{plural}");
    let everywhere = format!("{root}/{plural}");
    let object = match sub {
        "" => format!("{collection}/x"),
        sub => format!("{collection}/x/{sub}"),
    };
    let verbs = resource["verbs"].as_array().unwrap().iter();
    let requests = verbs.flat_map(|verb| match (verb.as_str().unwrap(), sub) {
        ("create", "") => vec![("POST", collection.clone())],
        ("create", _) => vec![("POST", object.clone())],
        ("get", _) => vec![("GET", object.clone())],
        ("update", _) => vec![("PUT", object.clone())],
        ("patch", _) => vec![("PATCH", object.clone())],
        ("delete", _) => vec![("DELETE", object.clone())],
        ("list", _) => vec![("GET", collection.clone()), ("GET", everywhere.clone())],
        ("watch", _) => vec![
            ("GET", format!("{collection}?watch=1&timeoutSeconds=1")),
            ("GET", format!("{everywhere}?watch=1&timeoutSeconds=1")),
        ],
        ("deletecollection", _) => vec![
            ("DELETE", collection.clone()),
            ("DELETE", everywhere.clone()),
        ],
        (other, _) => panic!("{other} of {name} has no request here"),
    });
    requests.collect()
}

fn is_own(path: &str) -> bool {
    OWN.iter().any(|own| path.ends_with(own))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_everywhere() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    define(&admin).await;
    let mut all = requests(&admin, "default").await;
    assert!(all.len() > 150, "{} requests", all.len());
    for custom in ["/things/x/scale", "/things/x/status", "/worlds/x"] {
        let found = all.iter().any(|(_, path)| path.ends_with(custom));
        assert!(found, "{custom} is among them");
    }
    all.extend(EXTRAS.map(|(method, path)| (method, path.to_owned())));
    for (method, path) in &all {
        let (code, answer) = ask(&admin, "nobody", method, path, &Value::Null).await;
        let expected = match is_own(path) {
            true => matches!(code, 201 | 400 | 422),
            false => code == 403,
        };
        assert!(expected, "{method} {path}: {code} {answer}");
    }
    for path in [
        "/api",
        "/apis",
        "/api/v1",
        "/apis/stoa.dev/v1",
        "/openapi/v3",
        "/version",
        "/readyz",
    ] {
        let (code, _) = ask(&admin, "nobody", "GET", path, &Value::Null).await;
        assert_eq!(code, 200, "{path}");
    }
    rig.stop().await;
}

fn binding(name: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    })
}

/// Two namespaces; in `a` the tenant edits, the lead administers, and the boss may do all.
async fn town(rig: &Rig) -> kube::Client {
    let admin = rig.admin().await;
    for name in ["a", "b"] {
        let object = json!({"metadata": {"name": name}});
        make(&admin, "/api/v1/namespaces", &object).await;
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
        make(
            &admin,
            &format!("/api/v1/namespaces/{name}/secrets"),
            &secret,
        )
        .await;
    }
    let bindings = format!("{RBAC}/namespaces/a/rolebindings");
    for (role, user) in [
        ("edit", "tenant"),
        ("admin", "lead"),
        ("cluster-admin", "boss"),
    ] {
        make(&admin, &bindings, &binding(user, role, user)).await;
    }
    admin
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_keep_to_their_namespace() {
    let rig = Rig::start().await;
    let admin = town(&rig).await;
    let tasks = "/apis/stoa.dev/v1/namespaces/a/tasks";
    let frameworks = "/apis/stoa.dev/v1/namespaces/a/frameworks";
    for (method, path, body, code) in [
        ("GET", "/api/v1/namespaces/a/secrets/s", Value::Null, 200),
        ("GET", "/api/v1/namespaces/a", Value::Null, 200),
        ("GET", "/api/v1/namespaces/a/secrets", Value::Null, 200),
        ("POST", frameworks, framework(), 201),
        ("POST", tasks, task("t"), 201),
        (
            "DELETE",
            "/apis/stoa.dev/v1/namespaces/a/tasks/t",
            Value::Null,
            200,
        ),
        ("GET", "/api/v1/secrets", Value::Null, 403),
        (
            "GET",
            "/api/v1/secrets?fieldSelector=metadata.namespace=a",
            Value::Null,
            403,
        ),
        ("GET", "/api/v1/namespaces/b/secrets/s", Value::Null, 403),
        (
            "GET",
            "/api/v1/namespaces/a%2F..%2Fb/secrets/s",
            Value::Null,
            404,
        ),
        ("GET", "/api/v1/namespaces//b/secrets/s", Value::Null, 403),
        (
            "GET",
            "/api/v1/namespaces/a/../b/secrets/s",
            Value::Null,
            403,
        ),
        (
            "GET",
            "/api/v1/watch/namespaces/b/secrets",
            Value::Null,
            403,
        ),
        (
            "PATCH",
            "/apis/stoa.dev/v1/namespaces/a/tasks/t/status",
            json!({}),
            403,
        ),
        ("DELETE", "/api/v1/namespaces/a", Value::Null, 403),
    ] {
        let (found, answer) = ask(&admin, "tenant", method, path, &body).await;
        assert_eq!(found, code, "{method} {path}: {answer}");
    }
    define(&admin).await;
    for user in ["tenant", "lead", "boss"] {
        fenced_in(&admin, user).await;
    }
    rig.stop().await;
}

/// Nothing in `b`, nothing of the cluster, whatever the verb and the kind.
async fn fenced_in(admin: &kube::Client, user: &str) {
    let mut all = requests(admin, "b").await;
    all.extend(EXTRAS.map(|(method, path)| (method, path.to_owned())));
    for (method, path) in &all {
        let (code, answer) = ask(admin, user, method, path, &Value::Null).await;
        // The boss may do all in `a`, where these do not live.
        let elsewhere = path.contains("/namespaces/a/") && code == 404;
        let expected = is_own(path) || code == 403 || elsewhere;
        assert!(expected, "{user}: {method} {path}: {code} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_no_way_around() {
    let rig = Rig::start().await;
    let admin = town(&rig).await;
    let operation = |version: &str, resource: &str, namespace: &str, body: Value| {
        json!({
            "apiVersion": version, "resource": resource, "namespace": namespace,
            "name": body["metadata"]["name"], "verb": "apply", "body": body,
        })
    };
    let map = || json!({"metadata": {"name": "m"}, "data": {}});
    let roles = "rbac.authorization.k8s.io/v1";
    for (user, operation, code) in [
        ("tenant", operation("v1", "configmaps", "a", map()), 200),
        ("tenant", operation("v1", "configmaps", "b", map()), 403),
        ("nobody", operation("v1", "configmaps", "a", map()), 403),
        (
            "tenant",
            operation(roles, "rolebindings", "a", binding("x", "edit", "tenant")),
            403,
        ),
        (
            "lead",
            operation(roles, "rolebindings", "a", binding("x", "edit", "joe")),
            200,
        ),
        (
            "lead",
            operation(
                roles,
                "rolebindings",
                "a",
                binding("y", "cluster-admin", "lead"),
            ),
            403,
        ),
        // The namespace beside a thing of the cluster gives no right to it.
        (
            "boss",
            operation(
                roles,
                "clusterrolebindings",
                "a",
                binding("z", "cluster-admin", "boss"),
            ),
            403,
        ),
        (
            "boss",
            operation("v1", "namespaces", "a", json!({"metadata": {"name": "c"}})),
            403,
        ),
        (
            "boss",
            operation(
                "stoa.dev/v1",
                "agents",
                "a",
                json!({"metadata": {"name": "a1"}, "spec": {}}),
            ),
            403,
        ),
    ] {
        let bundle = json!({
            "apiVersion": "stoa.dev/v1", "kind": "Transaction", "operations": [operation],
        });
        let (found, answer) = ask(&admin, user, "POST", TRANSACTIONS, &bundle).await;
        assert_eq!(found, code, "{user} {bundle}: {answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_come_and_go_at_once() {
    let rig = Rig::start().await;
    let admin = town(&rig).await;
    let secret = "/api/v1/namespaces/b/secrets/s";
    let bindings = format!("{RBAC}/namespaces/b/rolebindings");
    for _ in 0..5 {
        make(&admin, &bindings, &binding("new", "edit", "tenant")).await;
        assert_eq!(
            ask(&admin, "tenant", "GET", secret, &Value::Null).await.0,
            200
        );
        let one = format!("{bindings}/new");
        assert_eq!(raw(&admin, "DELETE", &one, &[], "").await.0, 200);
        assert_eq!(
            ask(&admin, "tenant", "GET", secret, &Value::Null).await.0,
            403
        );
    }
    make(&admin, &bindings, &binding("lost", "gone", "tenant")).await;
    let (_, answer) = ask(&admin, "tenant", "GET", secret, &Value::Null).await;
    let text = answer["message"].as_str().unwrap();
    let end = ": RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found";
    assert!(text.ends_with(end), "{text}");
    let named = json!({
        "metadata": {"name": "one"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["m"], "verbs": ["*"]}],
    });
    make(&admin, &format!("{RBAC}/clusterroles"), &named).await;
    make(&admin, &bindings, &binding("one", "one", "reader")).await;
    let maps = "/api/v1/namespaces/b/configmaps";
    for (query, code) in [
        ("", 403),
        ("?fieldSelector=metadata.name=m", 200),
        ("?fieldSelector=metadata.name%3Dm", 200),
        ("?fieldSelector=metadata.name=other", 403),
        ("?fieldSelector=metadata.name!=m", 403),
        (
            "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=m",
            200,
        ),
        ("/m", 404),
        ("/other", 403),
    ] {
        let (found, answer) = ask(
            &admin,
            "reader",
            "GET",
            &format!("{maps}{query}"),
            &Value::Null,
        )
        .await;
        assert_eq!(found, code, "{query}: {answer}");
    }
    rig.stop().await;
}

/// A service account may act as the one user it is allowed to, and as nobody else.
async fn a_robot_acts_as_jane(admin: &kube::Client) {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    make(admin, accounts, &json!({"metadata": {"name": "robot"}})).await;
    let path = format!("{accounts}/robot/token");
    let (_, answer) = raw(admin, "POST", &path, &[], "{\"spec\":{}}").await;
    let bearer = format!("Bearer {}", answer["status"]["token"].as_str().unwrap());
    let role = json!({
        "metadata": {"name": "actor"},
        "rules": [{"apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"], "verbs": ["impersonate"]}],
    });
    make(admin, &format!("{RBAC}/clusterroles"), &role).await;
    let mut bound = binding("actor", "actor", "robot");
    bound["subjects"] =
        json!([{"kind": "ServiceAccount", "namespace": "default", "name": "robot"}]);
    make(admin, &format!("{RBAC}/clusterrolebindings"), &bound).await;
    let whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let jane = ("impersonate-user", "jane");
    for (headers, code, name) in [
        (&[][..], 201, "system:serviceaccount:default:robot"),
        (&[jane], 201, "jane"),
        (&[("impersonate-user", "joe")], 403, ""),
        (&[jane, ("impersonate-group", "system:masters")], 403, ""),
        (&[jane, ("impersonate-uid", "1")], 403, ""),
        (&[jane, ("impersonate-extra-a", "b")], 403, ""),
        (
            &[("impersonate-user", "system:serviceaccount:kube-system:x")],
            403,
            "",
        ),
    ] {
        let mut headers = headers.to_vec();
        headers.push(("authorization", &bearer));
        let (found, answer) = raw(admin, "POST", whoami, &headers, "{}").await;
        assert_eq!(found, code, "{headers:?}: {answer}");
        let user = answer["status"]["userInfo"]["username"].as_str();
        assert_eq!(user.unwrap_or_default(), name, "{headers:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonation_is_a_right() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let all = json!({"spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}}});
    for (headers, code, allowed) in [
        (&[][..], 201, true),
        (&[("impersonate-user", "jane")][..], 201, false),
        (
            &[
                ("impersonate-user", "jane"),
                ("impersonate-group", "system:masters"),
            ],
            201,
            true,
        ),
        (&[("impersonate-group", "system:masters")], 500, false),
        (&[("impersonate-foo", "x")], 403, false),
    ] {
        let (found, answer) = raw(&admin, "POST", reviews, headers, all.to_string()).await;
        assert_eq!(found, code, "{headers:?}: {answer}");
        assert_eq!(
            answer["status"]["allowed"] == true,
            allowed,
            "{headers:?}: {answer}"
        );
    }
    a_robot_acts_as_jane(&admin).await;
    let agent = rig.as_subject(&Subject::Agent("a1".into())).await;
    let headers = [
        ("impersonate-user", "admin"),
        ("impersonate-group", "system:masters"),
    ];
    let (code, _) = raw(&agent, "GET", "/api/v1/secrets", &headers, "").await;
    assert!(matches!(code, 401 | 403), "{code}");
    rig.stop().await;
}
