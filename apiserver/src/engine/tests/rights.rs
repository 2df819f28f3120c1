//! Roles, as the engine checks them: nobody hands on what he does not hold, whatever the verb.

use serde_json::{Value, json};

use super::rig::Rig;
use crate::authorize::policy;
use crate::engine::Engine;
use crate::status::Failure;
use crate::user::{MASTERS, User};

fn reading(resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": ["stoa.dev"], "resources": [resource], "verbs": verbs})
}

fn role(name: &str, rules: &[Value]) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name}, "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": user}],
    })
}

fn code(answer: &Result<Value, Failure>) -> u16 {
    answer.as_ref().map_or_else(Failure::code, |_| 200)
}

/// Jane administers roles in `default` and reads tasks there; nothing else.
async fn rig() -> Rig {
    let mut rig = Rig::start().await;
    let roles = json!({
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"],
        "resourceNames": [],
    });
    let mut verbs = roles.clone();
    verbs["verbs"] = json!(["create", "delete", "get", "patch", "update"]);
    let own = role("own", &[verbs, reading("tasks", &["get", "list"])]);
    rig.create("roles", own).await.unwrap();
    rig.create("roles", role("plain", &[reading("tasks", &["get"])]))
        .await
        .unwrap();
    rig.create("roles", role("strong", &[reading("tasks", &["delete"])]))
        .await
        .unwrap();
    rig.create("rolebindings", binding("jane", "Role", "own", "jane"))
        .await
        .unwrap();
    rig.engine = Engine::new(rig.engine.store().clone(), policy());
    rig.user = User::new("jane", "people");
    rig
}

#[tokio::test]
async fn roles_are_written_within_ones_own_rights() {
    let rig = rig().await;
    let read = reading("tasks", &["get", "list"]);
    let write = reading("tasks", &["get", "delete"]);
    rig.create("roles", role("a", std::slice::from_ref(&read)))
        .await
        .unwrap();
    let failure = rig
        .create("roles", role("b", std::slice::from_ref(&write)))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (
            403,
            "roles.rbac.authorization.k8s.io \"b\" is forbidden: user \"jane\" (groups=[\"people\"]) is \
             attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"stoa.dev\"], Resources:[\"tasks\"], Verbs:[\"delete\"]}"
        )
    );
    let stronger = json!({ "rules": [write] });
    let step = json!([{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]);
    for answer in [
        rig.update("roles", role("a", std::slice::from_ref(&write)))
            .await,
        // PUT of a role that is not there makes it.
        rig.update("roles", role("new", std::slice::from_ref(&write)))
            .await,
        rig.merge("roles", "a", "", stronger.clone()).await,
        rig.patch("roles", "a", "strategic", &stronger).await,
        rig.patch("roles", "a", "json-patch", &step).await,
        // What is too strong already may not be touched, but its labels' values aside.
        rig.merge(
            "roles",
            "strong",
            "",
            json!({"metadata": {"labels": {"a": "b"}}}),
        )
        .await,
        in_a_transaction(
            &rig,
            "create",
            "roles",
            &role("c", std::slice::from_ref(&write)),
        )
        .await,
        in_a_transaction(
            &rig,
            "apply",
            "roles",
            &role("a", std::slice::from_ref(&write)),
        )
        .await,
        in_a_transaction(
            &rig,
            "patch",
            "roles",
            &role("a", std::slice::from_ref(&write)),
        )
        .await,
        in_a_transaction(&rig, "update", "roles", &role("a", &[write])).await,
    ] {
        assert_eq!(code(&answer), 403, "{answer:?}");
    }
    let weaker = json!([{"op": "remove", "path": "/rules/0/verbs/1"}]);
    rig.patch("roles", "a", "json-patch", &weaker)
        .await
        .unwrap();
    let note = json!({"metadata": {"annotations": {"a": "b"}}});
    rig.merge("roles", "strong", "", note).await.unwrap();
    rig.delete("roles", "strong", json!({})).await.unwrap();
}

async fn in_a_transaction(
    rig: &Rig,
    verb: &str,
    resource: &str,
    object: &Value,
) -> Result<Value, Failure> {
    rig.transaction(json!({"operations": [operation(verb, resource, object)]}))
        .await
}

fn operation(verb: &str, resource: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "resource": resource, "namespace": "default",
        "name": object["metadata"]["name"], "verb": verb, "body": object,
    })
}

#[tokio::test]
async fn bindings_hand_on_what_their_maker_holds() {
    let rig = rig().await;
    rig.create("rolebindings", binding("a", "Role", "plain", "joe"))
        .await
        .unwrap();
    for (object, expected) in [
        (binding("b", "Role", "strong", "joe"), 403),
        (binding("b", "ClusterRole", "edit", "jane"), 403),
        (binding("b", "ClusterRole", "cluster-admin", "jane"), 403),
        (binding("b", "Role", "nowhere", "jane"), 404),
        (binding("b", "Robot", "plain", "jane"), 422),
    ] {
        let answer = rig.create("rolebindings", object.clone()).await;
        assert_eq!(code(&answer), expected, "{answer:?}");
        let answer = in_a_transaction(&rig, "apply", "rolebindings", &object).await;
        assert_eq!(code(&answer), expected, "{answer:?}");
    }
    let other = binding("a", "Role", "strong", "joe");
    let failure = rig.update("rolebindings", other).await.unwrap_err();
    let text = failure.message();
    assert!(
        text.ends_with("roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":\"strong\"}: cannot change roleRef"),
        "{text}"
    );
    assert!(
        rig.create(
            "clusterrolebindings",
            binding("c", "ClusterRole", "view", "jane")
        )
        .await
        .is_err()
    );
}

/// A transaction makes a role and binds it: the role counts as it is planned, not as it was.
#[tokio::test]
async fn a_transaction_sees_its_own_roles() {
    let rig = rig().await;
    let weak = role("w", &[reading("tasks", &["get"])]);
    let bind = binding("w", "Role", "w", "joe");
    let both = |verb: &str| {
        json!({"operations": [
            operation("apply", "roles", &weak), operation(verb, "rolebindings", &bind),
        ]})
    };
    rig.transaction(both("create")).await.unwrap();
    let strong = role("w", &[reading("tasks", &["get", "patch"])]);
    let refused = json!({"operations": [
        operation("update", "roles", &strong), operation("apply", "rolebindings", &bind),
    ]});
    let failure = rig.transaction(refused).await.unwrap_err();
    assert_eq!(failure.code(), 403, "{failure}");
    assert!(
        failure.message().starts_with("operations[0]: "),
        "{failure}"
    );
}

#[tokio::test]
async fn bind_and_escalate_are_rights_of_their_own() {
    let mut rig = rig().await;
    let jane = std::mem::replace(&mut rig.user, User::new("admin", MASTERS));
    let special = json!({
        "metadata": {"name": "special"},
        "rules": [
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
             "resourceNames": ["edit"], "verbs": ["bind"]},
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"],
             "resourceNames": ["own"], "verbs": ["escalate"]},
        ],
    });
    rig.create("roles", special).await.unwrap();
    rig.create(
        "rolebindings",
        binding("special", "Role", "special", "jane"),
    )
    .await
    .unwrap();
    rig.user = jane;
    for (object, expected) in [
        (binding("b", "ClusterRole", "edit", "joe"), 200),
        (binding("c", "ClusterRole", "admin", "joe"), 403),
    ] {
        let answer = rig.create("rolebindings", object).await;
        assert_eq!(code(&answer), expected, "{answer:?}");
    }
    let more = json!({"rules": [reading("*", &["*"])]});
    assert_eq!(
        code(&rig.merge("roles", "plain", "", more.clone()).await),
        403
    );
    rig.merge("roles", "own", "", more).await.unwrap();
}

#[tokio::test]
async fn aggregated_roles_follow_at_once() {
    let rig = Rig::start().await;
    let shown = async |name: &str| -> String {
        let role = rig.get("clusterroles", name).await.unwrap();
        role["rules"].to_string()
    };
    assert!(shown("edit").await.contains("\"offers/accept\""));
    assert!(shown("view").await.contains("\"tasks\"") && !shown("view").await.contains("secrets"));
    let mut more = role("more", &[reading("widgets", &["get"])]);
    more["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    rig.create("clusterroles", more).await.unwrap();
    for name in ["view", "edit", "admin"] {
        assert!(shown(name).await.contains("widgets"), "{name}");
    }
    // What is gathered is not written by hand.
    let stray = json!({"rules": [reading("strays", &["get"])]});
    rig.merge("clusterroles", "view", "", stray).await.unwrap();
    assert!(!shown("view").await.contains("strays"));
    rig.delete("clusterroles", "more", json!({})).await.unwrap();
    for name in ["view", "edit", "admin"] {
        assert!(!shown(name).await.contains("widgets"), "{name}");
    }
}

/// An aggregated role can come to hold anything, so making one takes everything.
#[tokio::test]
async fn aggregation_takes_full_rights() {
    let mut rig = Rig::start().await;
    let author = json!({
        "metadata": {"name": "author"},
        "rules": [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
                   "verbs": ["create", "update"]}],
    });
    rig.create("clusterroles", author).await.unwrap();
    rig.create(
        "clusterrolebindings",
        binding("author", "ClusterRole", "author", "jane"),
    )
    .await
    .unwrap();
    rig.engine = Engine::new(rig.engine.store().clone(), policy());
    rig.user = User::new("jane", "people");
    rig.create("clusterroles", role("empty", &[]))
        .await
        .unwrap();
    let gathering = json!({
        "metadata": {"name": "g"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
    });
    let failure = rig.create("clusterroles", gathering).await.unwrap_err();
    assert_eq!(
        failure.message(),
        "clusterroles.rbac.authorization.k8s.io \"g\" is forbidden: must have cluster-admin privileges to use \
         the aggregationRule"
    );
}

/// An update that would make the object needs the right to create it.
#[tokio::test]
async fn create_on_update_needs_create() {
    let mut rig = Rig::start().await;
    let update =
        json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]});
    rig.create("roles", role("u", &[update])).await.unwrap();
    rig.create("rolebindings", binding("u", "Role", "u", "jane"))
        .await
        .unwrap();
    let lease = json!({"metadata": {"name": "l"}, "spec": {}});
    rig.create("leases", lease.clone()).await.unwrap();
    rig.engine = Engine::new(rig.engine.store().clone(), policy());
    rig.user = User::new("jane", "people");
    let mut held = rig.get("leases", "l").await.unwrap();
    held["spec"]["holderIdentity"] = json!("jane");
    rig.update("leases", held).await.unwrap();
    let other = json!({"metadata": {"name": "other"}, "spec": {}});
    assert_eq!(code(&rig.update("leases", other).await), 403);
}
