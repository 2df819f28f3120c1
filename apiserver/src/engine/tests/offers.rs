//! Offers: accepted once, within what they offer.

use serde_json::{Value, json};

use super::rig::{Rig, task};

fn offer(name: &str) -> Value {
    json!({
        "apiVersion": "stoa.dev/v1", "kind": "Offer", "metadata": {"name": name},
        "spec": {"framework": "f", "pool": "p", "agent": "a1", "resources": {"cpus": "1", "mem": "1Gi"},
                 "expiresAt": "2026-01-01T00:01:00.000000Z"},
    })
}

#[tokio::test]
async fn accepting_binds_once() {
    let rig = Rig::start().await;
    let made = rig.create("offers", offer("o")).await.unwrap();
    assert_eq!(made["status"]["phase"], "Open");
    let waiting = rig.create("tasks", task("x")).await.unwrap();
    let accepted = rig
        .answer_offer(
            "o",
            "accept",
            json!({"tasks": [
                {"name": "x", "resourceVersion": waiting["metadata"]["resourceVersion"]},
                {"metadata": {"generateName": "y-"}, "spec": {"command": ["true"], "resources": {"cpus": "0.5"}}},
            ]}),
        )
        .await
        .unwrap();
    assert_eq!(accepted["status"]["phase"], "Accepted");
    assert_eq!(
        accepted["status"]["launched"][0]["uid"],
        waiting["metadata"]["uid"]
    );
    let bound = rig
        .list(
            "tasks",
            "fieldSelector=spec.agent%3Da1,status.state%3DStaging",
        )
        .await
        .unwrap();
    assert_eq!(bound.names().len(), 2);
    let again = rig
        .answer_offer("o", "accept", json!({"tasks": []}))
        .await
        .unwrap_err();
    assert_eq!((again.code(), again.reason()), (409, "Conflict"));
    assert_eq!(
        rig.answer_offer("o", "decline", json!({}))
            .await
            .unwrap_err()
            .code(),
        409
    );
}

#[tokio::test]
async fn what_cannot_be_accepted_changes_nothing() {
    let rig = Rig::start().await;
    rig.create("offers", offer("o")).await.unwrap();
    rig.create("tasks", task("x")).await.unwrap();
    let large = json!({"metadata": {"name": "z"}, "spec": {"command": ["true"], "resources": {"cpus": "4"}}});
    for (body, code) in [
        (json!({"tasks": [{"name": "nobody"}]}), 404),
        (
            json!({"tasks": [{"name": "x", "resourceVersion": "1"}]}),
            409,
        ),
        (json!({"tasks": [{"name": "x"}, {"name": "x"}]}), 422),
        (json!({"tasks": [{"name": "x"}, large]}), 422),
        (json!({"tasks": [{}]}), 422),
        (json!({"tasks": 5}), 400),
        (json!([]), 400),
    ] {
        let failure = rig
            .answer_offer("o", "accept", body.clone())
            .await
            .unwrap_err();
        assert_eq!(failure.code(), code, "{body}: {failure}");
    }
    assert_eq!(rig.get("tasks", "z").await.unwrap_err().code(), 404);
    assert_eq!(
        rig.get("tasks", "x").await.unwrap()["status"]["state"],
        "Pending"
    );
    let declined = rig
        .answer_offer("o", "decline", json!({"refuseSeconds": -1}))
        .await
        .unwrap();
    assert_eq!(
        declined["status"],
        json!({"phase": "Declined", "refuseSeconds": 5.0})
    );
}

#[tokio::test]
async fn two_who_accept_at_once() {
    let rig = Rig::start().await;
    for round in 0..5 {
        let name = format!("o{round}");
        rig.create("offers", offer(&name)).await.unwrap();
        let mut object = task(&format!("t{round}"));
        object["spec"]["resources"] = json!({"cpus": "1"});
        rig.create("tasks", object).await.unwrap();
        let body = json!({"tasks": [{"name": format!("t{round}")}]});
        let (one, two) = futures::join!(
            rig.answer_offer(&name, "accept", body.clone()),
            rig.answer_offer(&name, "accept", body.clone())
        );
        assert!(one.is_ok() != two.is_ok(), "exactly one wins");
    }
}

#[tokio::test]
async fn people_do_not_bind_by_hand() {
    let rig = Rig::start().await;
    let mut bound = task("x");
    bound["spec"]["agent"] = json!("a1");
    let failure = rig.create("tasks", bound).await.unwrap_err();
    assert_eq!(failure.code(), 422);
    assert!(
        failure.message().contains("spec.agent: Forbidden"),
        "{failure}"
    );
}
