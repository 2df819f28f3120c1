//! The hard-wired rules, and that roles add to them but never for our own programs.

use super::*;
use serde_json::json;

fn authorize(user: &User, attributes: &Attributes) -> Result<(), Failure> {
    Authorizer::default().authorize(user, attributes)
}

fn asked(verb: &str, resource: &str, name: &str, field_selector: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let core = matches!(resource, "events" | "secrets" | "configmaps");
    Attributes {
        verb: verb.into(),
        group: if core { "" } else { GROUP }.into(),
        version: "v1".into(),
        resource: resource.into(),
        subresource: subresource.into(),
        name: name.into(),
        field_selector: field_selector.into(),
        ..Attributes::default()
    }
}

#[test]
fn agents() {
    let a1 = User::new("stoa:agent:a1", AGENTS);
    for (verb, resource, name, fields, allowed) in [
        ("get", "agents", "a1", "", true),
        ("get", "agents", "a2", "", false),
        ("patch", "agents/status", "a1", "", true),
        ("patch", "agents/status", "a2", "", false),
        ("create", "agents", "", "", true),
        ("create", "agents", "a2", "", false),
        ("delete", "agents", "a1", "", false),
        ("watch", "agents", "", "metadata.name=a1", true),
        ("watch", "agents", "", "", false),
        ("create", "agents/heartbeat", "a1", "", true),
        ("create", "agents/heartbeat", "a2", "", false),
        ("list", "tasks", "", "spec.agent=a1", true),
        (
            "watch",
            "tasks",
            "",
            "status.state!=Lost,spec.agent==a1",
            true,
        ),
        ("list", "tasks", "", "spec.agent=a2", false),
        ("list", "tasks", "", "spec.agent!=a1", false),
        ("list", "tasks", "", "spec.agent=a11", false),
        (
            "list",
            "tasks",
            "",
            "metadata.name!=x\\,spec.agent=a1",
            false,
        ),
        ("list", "tasks", "", "", false),
        ("get", "tasks", "t", "", true),
        ("create", "tasks", "", "", false),
        ("patch", "tasks", "t", "", false),
        ("patch", "tasks/status", "t", "", true),
        ("delete", "tasks", "t", "", false),
        ("create", "events", "", "", true),
        ("get", "secrets", "s", "", false),
        ("create", "transactions", "", "", true),
        ("list", "members", "", "", false),
        ("create", "join", "", "", false),
        ("create", "offers/accept", "o", "", false),
    ] {
        let answer = authorize(&a1, &asked(verb, resource, name, fields));
        assert_eq!(answer.is_ok(), allowed, "{verb} {resource} {name} {fields}");
    }
}

#[test]
fn others() {
    let everything = asked("delete", "members", "s1", "");
    for (user, allowed) in [
        (User::new("admin", MASTERS), true),
        (User::new("stoa:server:s1", SERVERS), true),
        (User::controllers(), true),
        (User::new("stoa:agent:a1", AGENTS), false),
        (User::new("stoa:joiner:server", JOINERS), false),
        (User::new("system:masters", "people"), false),
    ] {
        assert_eq!(
            authorize(&user, &everything).is_ok(),
            allowed,
            "{}",
            user.name
        );
    }
    let joiner = User::new("stoa:joiner:agent", JOINERS);
    assert!(authorize(&joiner, &asked("create", "join", "", "")).is_ok());
    assert!(authorize(&joiner, &asked("list", "tasks", "", "")).is_err());
    let mallory = User::new("mallory", "people");
    let mut list = asked("list", "tasks", "", "");
    list.namespace = "ns".into();
    assert_eq!(
        authorize(&mallory, &list).unwrap_err().message(),
        "tasks.stoa.dev is forbidden: User \"mallory\" cannot list resource \"tasks\" in API group \
         \"stoa.dev\" in the namespace \"ns\""
    );
}

#[test]
fn paths() {
    let joiner = User::new("stoa:joiner:agent", JOINERS);
    let admin = User::new("admin", MASTERS);
    let agent = User::new("stoa:agent:a1", AGENTS);
    for (user, path, code) in [
        (None, "/version", 200),
        (None, "/readyz/ping", 200),
        (None, "/apis", 401),
        (None, "/", 401),
        (Some(&joiner), "/healthz", 200),
        (Some(&joiner), "/openapi/v3", 403),
        (Some(&admin), "/openapi/v3", 200),
        (None, "/metrics", 401),
        (Some(&joiner), "/metrics", 403),
        (Some(&agent), "/metrics", 403),
        (Some(&agent), "/stoa/v1/snapshot", 403),
        (Some(&agent), "/openapi/v3", 200),
        (Some(&admin), "/metrics", 200),
        (Some(&admin), "/stoa/v1/snapshot", 200),
    ] {
        let authorizer = Authorizer::default();
        let answer = authorizer
            .authorize_path(user, "get", path)
            .map_or_else(|f| f.code(), |()| 200);
        assert_eq!(answer, code, "{path}");
    }
}

#[test]
fn ownership() {
    let a1 = User::new("stoa:agent:a1", AGENTS);
    for (object, owned) in [
        (json!({"kind": "Task", "spec": {"agent": "a1"}}), true),
        (json!({"kind": "Task", "spec": {"agent": "a2"}}), false),
        (json!({"kind": "Task", "spec": {}}), false),
        (json!({"kind": "Agent", "metadata": {"name": "a1"}}), true),
        (json!({"kind": "Agent", "metadata": {"name": "a2"}}), false),
        (json!({"kind": "Secret"}), false),
    ] {
        assert_eq!(owns(&a1, &object), owned, "{object}");
        assert!(owns(&User::new("admin", MASTERS), &object));
    }
}

/// One role: everything on everything, for everybody who showed credentials and for agents.
fn everything() -> Authorizer {
    let piece = |plural: &str, object: &Value| {
        let parts = crate::keys::Parts {
            group: crate::rbac::GROUP,
            plural,
            namespace: None,
            name: "all",
        };
        Arc::new(crate::rbac::piece::Piece::read(&parts, object).unwrap())
    };
    let rules = [Rule::everything(), Rule::everywhere()];
    let groups =
        [AUTHENTICATED, AGENTS, JOINERS].map(|name| json!({"kind": "Group", "name": name}));
    Authorizer::of(Arc::new(Rules::of(&[
        piece("clusterroles", &json!({ "rules": rules })),
        piece(
            "clusterrolebindings",
            &json!({"metadata": {"name": "all"}, "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": groups}),
        ),
    ])))
}

#[test]
fn roles_do_not_widen_our_own_programs() {
    let authorizer = everything();
    let delete = asked("delete", "members", "s1", "");
    for (user, allowed) in [
        (User::new("jane", "people").authenticated(), true),
        (User::new("jane", "people"), false),
        (User::new("stoa:agent:a1", AGENTS).authenticated(), false),
        (User::new("jane", AGENTS).authenticated(), false),
        (
            User::new("stoa:joiner:agent", JOINERS).authenticated(),
            false,
        ),
    ] {
        let answer = authorizer.authorize(&user, &delete);
        assert_eq!(answer.is_ok(), allowed, "{user:?}");
        let answer = authorizer.authorize_path(Some(&user), "get", "/stoa/v1/snapshot");
        assert_eq!(answer.is_ok(), allowed, "{user:?}");
    }
    let jane = User::new("jane", "people").authenticated();
    assert_eq!(
        authorizer.why(&jane, &delete).unwrap(),
        "RBAC: allowed by ClusterRoleBinding \"all\" of ClusterRole \"all\" to Group \"system:authenticated\""
    );
}

#[test]
fn everybody_may_discover() {
    let authorizer = Authorizer::default();
    let jane = User::new("jane", "people").authenticated();
    for (verb, path, allowed) in [
        ("get", "/api", true),
        ("get", "/apis/stoa.dev/v1", true),
        ("get", "/openapi/v3", true),
        ("post", "/apis", false),
        ("get", "/", false),
        ("get", "/apisx", false),
        ("get", "/metrics", false),
        ("get", "/etc/passwd", false),
    ] {
        let answer = authorizer.authorize_path(Some(&jane), verb, path);
        assert_eq!(answer.is_ok(), allowed, "{verb} {path}");
    }
}
