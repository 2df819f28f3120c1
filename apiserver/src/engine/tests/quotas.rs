//! Quotas and limit ranges: exactly as much as is allowed, however many ask at once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{Rig, config_map, now, task};
use crate::engine::tally::Ambient;

fn quota(hard: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}})
}

async fn used(rig: &Rig) -> Value {
    rig.get("resourcequotas", "q").await.unwrap()["status"]["used"].clone()
}

#[tokio::test]
async fn a_quota_counts_what_is_there_and_refuses_what_is_more() {
    let rig = Rig::start().await;
    rig.create("configmaps", config_map("a", "1"))
        .await
        .unwrap();
    let made = rig
        .create(
            "resourcequotas",
            quota(&json!({"configmaps": 2, "count/tasks.stoa.dev": "1"})),
        )
        .await
        .unwrap();
    assert_eq!(made["spec"]["hard"]["configmaps"], "2");
    assert_eq!(
        made["status"]["used"],
        json!({"configmaps": "1", "count/tasks.stoa.dev": "0"})
    );
    rig.create("configmaps", config_map("b", "1"))
        .await
        .unwrap();
    assert_eq!(used(&rig).await["configmaps"], "2");
    let failure = rig
        .create("configmaps", config_map("c", "1"))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (
            403,
            "configmaps \"c\" is forbidden: exceeded quota: q, requested: configmaps=1, used: \
             configmaps=2, limited: configmaps=2"
        )
    );
    // Nothing of a bundle is made when one part is too much.
    let op = |name: &str| {
        json!({"apiVersion": "stoa.dev/v1", "resource": "tasks", "namespace": "default", "verb": "create",
               "body": task(name)})
    };
    let bundle = json!({"operations": [op("x"), op("y")]});
    let failure = rig.transaction(bundle).await.unwrap_err();
    assert!(
        failure
            .message()
            .contains("exceeded quota: q, requested: count/tasks.stoa.dev=1")
    );
    rig.create("tasks", task("x")).await.unwrap();
    assert_eq!(used(&rig).await["count/tasks.stoa.dev"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_creators_exactly_as_many_as_allowed_succeed() {
    let rig = Arc::new(Rig::start().await);
    let hard = json!({"configmaps": "37"});
    rig.create("resourcequotas", quota(&hard)).await.unwrap();
    let creators = (0..100).map(|n| {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move {
            rig.create("configmaps", config_map(&format!("c{n}"), "1"))
                .await
        })
    });
    let (mut made, mut refused) = (0, 0);
    for creator in creators.collect::<Vec<_>>() {
        match creator.await.unwrap() {
            Ok(_) => made += 1,
            Err(failure) => {
                assert!(failure.message().contains("exceeded quota"), "{failure}");
                refused += 1;
            }
        }
    }
    assert_eq!((made, refused), (37, 63));
    assert_eq!(used(&rig).await["configmaps"], "37");
    assert_eq!(rig.list("configmaps", "").await.unwrap().names().len(), 37);
}

/// Waits for the level, with a bound.
async fn until(rig: &Rig, expected: &Value) {
    let store = rig.engine.store();
    let mut changes = store.changes(store.view().revision()).unwrap();
    let reached = async {
        while used(rig).await != *expected {
            changes.next().await.unwrap();
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(waited.is_ok(), "{} is not {expected}", used(rig).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_released_and_what_is_wrong_is_mended() {
    let rig = Rig::start().await;
    let hard = json!({"count/tasks.stoa.dev": "5", "tasks": "5", "cpus": "1"});
    rig.create("resourcequotas", quota(&hard)).await.unwrap();
    let engine = rig.engine.clone();
    let ambient = Ambient {
        now,
        seed: rand::random,
    };
    let counting = tokio::spawn(async move { engine.keep_tally(ambient).await });
    let sized = |name: &str| {
        let mut task = task(name);
        task["spec"]["resources"] = json!({"cpus": "500m", "mem": "1Mi"});
        task
    };
    rig.create("tasks", sized("a")).await.unwrap();
    rig.create("tasks", sized("b")).await.unwrap();
    rig.create("tasks", sized("c")).await.unwrap_err();
    // An end is reported, and never refused.
    rig.merge(
        "tasks",
        "a",
        "status",
        json!({"status": {"state": "Finished"}}),
    )
    .await
    .unwrap();
    until(
        &rig,
        &json!({"count/tasks.stoa.dev": "2", "tasks": "1", "cpus": "0.5"}),
    )
    .await;
    rig.create("tasks", sized("c")).await.unwrap();
    rig.delete("tasks", "b", json!({})).await.unwrap();
    until(
        &rig,
        &json!({"count/tasks.stoa.dev": "2", "tasks": "1", "cpus": "0.5"}),
    )
    .await;
    // Somebody writes nonsense into the status.
    let nonsense = json!({"status": {"used": {"cpus": "77"}}});
    rig.merge("resourcequotas", "q", "status", nonsense)
        .await
        .unwrap();
    until(
        &rig,
        &json!({"count/tasks.stoa.dev": "2", "tasks": "1", "cpus": "0.5"}),
    )
    .await;
    counting.abort();
}

#[tokio::test]
async fn limit_ranges_fill_and_bound() {
    let rig = Rig::start().await;
    let limits =
        json!([{"type": "Task", "max": {"mem": "1Gi"}, "defaultRequest": {"cpus": "100m"}}]);
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"},
                       "spec": {"limits": limits}});
    let made = rig.create("limitranges", range.clone()).await.unwrap();
    assert_eq!(made["spec"]["limits"][0]["default"], json!({"mem": "1Gi"}));
    let mut bare = task("x");
    bare["spec"].as_object_mut().unwrap().remove("resources");
    let made = rig.create("tasks", bare).await.unwrap();
    assert_eq!(
        made["spec"]["resources"],
        json!({"cpus": "100m", "mem": "1Gi"})
    );
    assert_eq!(made["spec"]["limits"], json!({"mem": "1Gi"}));
    let mut large = task("y");
    large["spec"]["resources"] = json!({"mem": "2Gi"});
    large["spec"]["limits"] = json!({"mem": "2Gi"});
    assert_eq!(
        rig.create("tasks", large).await.unwrap_err().message(),
        "tasks.stoa.dev \"y\" is forbidden: maximum mem usage per Task is 1Gi, but limit is 2Gi"
    );
    let mut wrong = range;
    wrong["metadata"]["name"] = json!("s");
    wrong["spec"]["limits"][0]["min"] = json!({"mem": "2Gi"});
    let failure = rig.create("limitranges", wrong).await.unwrap_err();
    assert!(
        failure.message().contains("spec.limits[0].min[mem]: Invalid value: \"2Gi\": min value 2Gi is greater than max value 1Gi"),
        "{failure}"
    );
}

#[tokio::test]
async fn wrong_quotas_are_refused() {
    let rig = Rig::start().await;
    let failure = rig
        .create(
            "resourcequotas",
            quota(&json!({"fridges": "1", "configmaps": "-1"})),
        )
        .await
        .unwrap_err();
    assert_eq!(
        failure.message(),
        "ResourceQuota \"q\" is invalid: [spec.hard[configmaps]: Invalid value: \"-1\": must be greater \
         than or equal to 0, spec.hard[fridges]: Invalid value: \"fridges\": must be a standard resource \
         for quota]"
    );
}
