//! Transactions: all or nothing, once, and fenced.

use serde_json::{Value, json};

use super::rig::{Rig, config_map, task};
use crate::user::{AGENTS, User};

fn operation(verb: &str, resource: &str, name: &str, body: Value) -> Value {
    let api_version = if resource == "configmaps" {
        "v1"
    } else {
        "stoa.dev/v1"
    };
    json!({"apiVersion": api_version, "resource": resource, "namespace": "default", "name": name,
           "verb": verb, "body": body})
}

#[tokio::test]
async fn all_or_nothing() {
    let rig = Rig::start().await;
    rig.create("configmaps", config_map("there", "1"))
        .await
        .unwrap();
    let failure = rig
        .transaction(json!({"operations": [
            operation("create", "configmaps", "new", config_map("new", "1")),
            operation("create", "configmaps", "there", config_map("there", "1")),
        ]}))
        .await
        .unwrap_err();
    assert_eq!((failure.code(), failure.reason()), (409, "AlreadyExists"));
    assert_eq!(
        failure.to_status()["details"]["causes"][0]["field"],
        "operations[1]"
    );
    assert_eq!(rig.get("configmaps", "new").await.unwrap_err().code(), 404);
    let mut bad = task("t");
    bad["spec"]["priority"] = json!("high");
    let failure = rig
        .transaction(json!({"operations": [operation("create", "tasks", "", bad)]}))
        .await
        .unwrap_err();
    assert_eq!(
        failure.to_status()["details"]["causes"][0]["field"],
        "operations[0].spec.priority"
    );
}

#[tokio::test]
async fn later_operations_see_earlier_ones() {
    let rig = Rig::start().await;
    let result = rig
        .transaction(json!({"operations": [
            operation("create", "configmaps", "c", config_map("c", "1")),
            operation("patch", "configmaps", "c", json!({"data": {"w": "2"}})),
            operation("apply", "configmaps", "d", config_map("d", "1")),
            operation("create", "configmaps", "e", config_map("e", "1")),
            operation("delete", "configmaps", "e", json!(null)),
        ]}))
        .await
        .unwrap();
    assert_eq!(result["results"][1]["data"], json!({"v": "1", "w": "2"}));
    assert_eq!(result["results"][4]["status"], "Success");
    let stored = rig.get("configmaps", "c").await.unwrap();
    assert_eq!(stored, result["results"][1]);
    assert_eq!(
        result["revision"],
        rig.engine.store().view().revision().to_string()
    );
    assert_eq!(rig.get("configmaps", "e").await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn a_request_id_applies_once() {
    let rig = Rig::start().await;
    let mut generated = config_map("", "1");
    generated["metadata"] = json!({"generateName": "g-"});
    let bundle = json!({
        "requestId": "6f1c2b1e-0000-4000-8000-000000000001",
        "operations": [operation("create", "configmaps", "", generated),
                       operation("create", "configmaps", "c", config_map("c", "1"))],
    });
    let first = rig.transaction(bundle.clone()).await.unwrap();
    let second = rig.transaction(bundle).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(rig.list("configmaps", "").await.unwrap().names().len(), 2);
}

#[tokio::test]
async fn a_request_that_failed_may_succeed_under_its_id() {
    let rig = Rig::start().await;
    let patch = operation("patch", "configmaps", "c", json!({"data": {"w": "2"}}));
    let bundle = json!({"requestId": "again", "operations": [patch]});
    let failure = rig.transaction(bundle.clone()).await.unwrap_err();
    assert_eq!(failure.code(), 404);
    rig.create("configmaps", config_map("c", "1"))
        .await
        .unwrap();
    rig.transaction(bundle).await.unwrap();
    assert_eq!(rig.get("configmaps", "c").await.unwrap()["data"]["w"], "2");
}

#[tokio::test]
async fn users_share_no_request_ids() {
    let rig = Rig::start().await;
    for (user, name) in [("ann", "c"), ("bob", "d")] {
        let create = operation("create", "configmaps", name, config_map(name, "1"));
        let bundle = json!({"requestId": "same", "operations": [create]});
        let user = User::new(user, "people");
        rig.transaction_as(user, bundle).await.unwrap();
        rig.get("configmaps", name).await.unwrap();
    }
}

#[tokio::test]
async fn agents_learn_nothing_of_others_from_guards() {
    let mut rig = Rig::start().await;
    rig.engine = crate::engine::Engine::new(rig.engine.store().clone(), crate::authorize::policy());
    rig.create("tasks", task("x")).await.unwrap();
    let target = json!({"apiVersion": "stoa.dev/v1", "resource": "tasks", "namespace": "default", "name": "x"});
    let bundle = json!({"guards": [{"exists": [target, null]}], "operations": []});
    let user = User::new("stoa:agent:a1", AGENTS);
    let failure = rig.transaction_as(user, bundle).await.unwrap_err();
    assert_eq!(failure.code(), 403);
}

#[tokio::test]
async fn guards_hold() {
    let rig = Rig::start().await;
    let stored = rig
        .create("configmaps", config_map("c", "1"))
        .await
        .unwrap();
    let target =
        json!({"apiVersion": "v1", "resource": "configmaps", "namespace": "default", "name": "c"});
    let version = &stored["metadata"]["resourceVersion"];
    let epoch = rig.engine.store().leadership().borrow().epoch;
    for (guard, holds) in [
        (json!({"exists": [target, version]}), true),
        (json!({"exists": [target, "1"]}), false),
        (json!({"exists": [target, null]}), true),
        (json!({"absent": target}), false),
        (json!({"epoch": epoch}), true),
        (json!({"epoch": epoch + 1}), false),
    ] {
        let bundle = json!({
            "guards": [guard],
            "operations": [operation("apply", "configmaps", "d", config_map("d", "1"))],
        });
        let result = rig.transaction(bundle).await;
        assert_eq!(
            result.as_ref().map_or_else(|f| f.code(), |_| 200),
            if holds { 200 } else { 409 },
            "{guard}"
        );
        if let Err(failure) = result {
            assert_eq!(
                failure.to_status()["details"]["causes"][0]["field"],
                "guards[0]"
            );
        }
    }
}

#[tokio::test]
async fn what_does_not_decode_changes_nothing() {
    let rig = Rig::start().await;
    for (bundle, code) in [
        (json!({"operations": "x"}), 400),
        (json!({}), 400),
        (
            json!({"operations": [operation("create", "nonsense", "x", json!({}))]}),
            400,
        ),
        (
            json!({"operations": [operation("update", "configmaps", "", json!({}))]}),
            400,
        ),
        (
            json!({"operations": [operation("create", "configmaps", "", json!(5))]}),
            400,
        ),
        (
            json!({"operations": vec![operation("delete", "configmaps", "x", json!(null)); 10_001]}),
            413,
        ),
    ] {
        assert_eq!(rig.transaction(bundle).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn ten_thousand_operations_are_one_commit() {
    let rig = Rig::start().await;
    let operations: Vec<Value> = (0..10_000)
        .map(|n| {
            operation(
                "create",
                "configmaps",
                "",
                config_map(&format!("c{n}"), "1"),
            )
        })
        .collect();
    let before = rig.engine.store().view().revision();
    let result = rig
        .transaction(json!({ "operations": operations }))
        .await
        .unwrap();
    assert_eq!(result["revision"], (before + 10_000).to_string());
    assert_eq!(result["results"].as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn agents_move_only_their_own_tasks_and_only_forward() {
    let mut rig = Rig::start().await;
    rig.engine = crate::engine::Engine::new(rig.engine.store().clone(), crate::authorize::policy());
    rig.create("tasks", task("x")).await.unwrap();
    let controllers = User::controllers();
    let bind = json!({"operations": [
        operation("patch", "tasks", "x", json!({"spec": {"agent": "a1"}})),
        {"apiVersion": "stoa.dev/v1", "resource": "tasks", "namespace": "default", "name": "x",
         "subresource": "status", "verb": "patch", "body": {"status": {"state": "Running"}}},
    ]});
    rig.transaction_as(controllers, bind).await.unwrap();
    for (agent, state, code) in [
        ("a2", "Finished", 403),
        ("a1", "Staging", 422),
        ("a1", "Finished", 200),
        ("a1", "Running", 422),
    ] {
        let user = User::new(&format!("stoa:agent:{agent}"), AGENTS);
        let report = json!({"operations": [{
            "apiVersion": "stoa.dev/v1", "resource": "tasks", "namespace": "default", "name": "x",
            "subresource": "status", "verb": "patch", "body": {"status": {"state": state}},
        }]});
        let result = rig.transaction_as(user, report).await;
        assert_eq!(
            result.map_or_else(|f| f.code(), |_| 200),
            code,
            "{agent} {state}"
        );
    }
}
