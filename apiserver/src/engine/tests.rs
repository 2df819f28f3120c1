//! The engine over a real store of one replica.
#![allow(
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "certificates need the present time; json!() makes values to give away"
)]

pub(crate) mod rig;

mod defaults;

mod definitions;

mod apply;

mod owners;

mod naming;

mod offers;

mod policies;

mod quotas;

mod rights;

mod shelves;

mod transactions;

mod typing;

mod webhooks;

use serde_json::{Value, json};

use crate::call::{Body, Media};
use crate::table::Include;
use rig::{Rig, config_map, task};

#[tokio::test]
async fn an_object_lives_and_dies() {
    let rig = Rig::start().await;
    let created = rig.create("tasks", task("x")).await.unwrap();
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(created["status"]["state"], "Pending");
    assert_eq!(
        created["spec"]["restartPolicy"], "Never",
        "defaults are filled in"
    );
    let failure = rig.create("tasks", task("x")).await.unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (409, r#"tasks.stoa.dev "x" already exists"#)
    );
    let mut changed = created.clone();
    changed["spec"]["priority"] = json!(7);
    let updated = rig.update("tasks", changed.clone()).await.unwrap();
    assert_eq!(updated["metadata"]["generation"], 2);
    assert_ne!(
        updated["metadata"]["resourceVersion"],
        created["metadata"]["resourceVersion"]
    );
    let failure = rig.update("tasks", changed).await.unwrap_err();
    assert_eq!((failure.code(), failure.reason()), (409, "Conflict"));
    let gone = rig
        .delete("tasks", "x", json!({"propagationPolicy": "Background"}))
        .await
        .unwrap();
    assert_eq!(
        (&gone["status"], &gone["details"]["kind"]),
        (&json!("Success"), &json!("tasks"))
    );
    assert_eq!(
        rig.get("tasks", "x").await.unwrap_err().message(),
        r#"tasks.stoa.dev "x" not found"#
    );
}

#[tokio::test]
async fn a_write_that_changes_nothing_has_no_revision() {
    let rig = Rig::start().await;
    let created = rig.create("tasks", task("x")).await.unwrap();
    let again = rig.update("tasks", created.clone()).await.unwrap();
    assert_eq!(again, created);
    let patched = rig
        .merge("tasks", "x", "", json!({"spec": {"priority": 0}}))
        .await
        .unwrap();
    assert_eq!(patched, created);
}

#[tokio::test]
async fn what_is_wrong_is_said_all_at_once() {
    let rig = Rig::start().await;
    let mut bad = task("x");
    bad["spec"] = json!({"command": "echo", "priority": "high"});
    let failure = rig.create("tasks", bad).await.unwrap_err();
    assert_eq!(failure.code(), 422);
    for part in [
        "spec.framework: Required value",
        "spec.priority",
        "spec.command",
    ] {
        assert!(failure.message().contains(part), "{failure}");
    }
    let mut unnamed = task("x");
    unnamed["metadata"] = json!({});
    assert!(
        rig.create("tasks", unnamed)
            .await
            .unwrap_err()
            .message()
            .contains("generateName is required")
    );
    let mut elsewhere = task("x");
    elsewhere["metadata"]["namespace"] = json!("other");
    assert_eq!(
        rig.create("tasks", elsewhere).await.unwrap_err().code(),
        400
    );
    let missing = rig
        .call("tasks", Some("nowhere"), |call| {
            call.body = rig::json_body(&task("x"))
        })
        .await;
    assert_eq!(
        missing.unwrap_err().message(),
        r#"namespaces "nowhere" not found"#
    );
}

#[tokio::test]
async fn cel_rules_hold() {
    let rig = Rig::start().await;
    rig.create("tasks", task("x")).await.unwrap();
    let failure = rig
        .merge("tasks", "x", "", json!({"spec": {"framework": "g"}}))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), 422);
    assert!(
        failure.message().contains("framework is immutable"),
        "{failure}"
    );
}

#[tokio::test]
async fn unknown_fields_are_refused_or_warned_of() {
    let rig = Rig::start().await;
    let mut object = task("x");
    object["spec"]["comand"] = json!(["x"]);
    let strict = rig
        .create_with("tasks", object.clone(), "fieldValidation=Strict")
        .await
        .unwrap_err();
    assert_eq!(strict.code(), 400);
    assert!(
        strict
            .message()
            .ends_with(r#"strict decoding error: unknown field "spec.comand""#),
        "{strict}"
    );
    let (created, warnings) = rig.create_warned("tasks", object).await;
    assert_eq!(warnings, [r#"unknown field "spec.comand""#]);
    assert!(created["spec"].get("comand").is_none());
    let twice =
        br#"{"metadata":{"name":"y"},"spec":{"framework":"f","framework":"f","command":["x"]}}"#;
    let failure = rig
        .create_bytes("tasks", twice, "fieldValidation=Strict")
        .await
        .unwrap_err();
    assert!(
        failure
            .message()
            .contains(r#"duplicate field "spec.framework""#),
        "{failure}"
    );
}

#[tokio::test]
async fn status_is_written_apart() {
    let rig = Rig::start().await;
    rig.create("tasks", task("x")).await.unwrap();
    let ignored = rig
        .merge("tasks", "x", "", json!({"status": {"state": "Running"}}))
        .await
        .unwrap();
    assert_eq!(ignored["status"]["state"], "Pending");
    let patch = json!({"status": {"state": "Staging"}, "spec": {"priority": 9}});
    let status = rig.merge("tasks", "x", "status", patch).await.unwrap();
    assert_eq!(
        (&status["status"]["state"], &status["spec"]["priority"]),
        (&json!("Staging"), &json!(0))
    );
    assert_eq!(status["metadata"]["generation"], 1);
    let wrong = json!({"metadata": {"uid": "other"}, "status": {"state": "Running"}});
    assert_eq!(
        rig.merge("tasks", "x", "status", wrong)
            .await
            .unwrap_err()
            .code(),
        409
    );
}

#[tokio::test]
async fn patches() {
    let rig = Rig::start().await;
    rig.create("configmaps", config_map("c", "1"))
        .await
        .unwrap();
    let added = json!([{"op": "test", "path": "/data/v", "value": "1"}, {"op": "add", "path": "/data/w", "value": "2"}]);
    let patched = rig
        .patch("configmaps", "c", "json-patch", &added)
        .await
        .unwrap();
    assert_eq!(patched["data"], json!({"v": "1", "w": "2"}));
    let failing = json!([{"op": "test", "path": "/data/v", "value": "9"}]);
    assert_eq!(
        rig.patch("configmaps", "c", "json-patch", &failing)
            .await
            .unwrap_err()
            .code(),
        422
    );
    let merged = rig
        .patch(
            "configmaps",
            "c",
            "strategic",
            &json!({"data": {"w": null}}),
        )
        .await
        .unwrap();
    assert_eq!(merged["data"], json!({"v": "1"}));
    let failure = rig
        .patch("tasks", "x", "strategic", &json!({}))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), 415);
    assert!(
        failure
            .message()
            .ends_with("application/merge-patch+json, application/apply-patch+yaml")
    );
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"v": "3"}});
    assert_eq!(
        rig.merge("configmaps", "c", "", stale)
            .await
            .unwrap_err()
            .code(),
        409
    );
    assert_eq!(
        rig.patch("configmaps", "c", "merge", &json!([1]))
            .await
            .unwrap_err()
            .code(),
        400
    );
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let rig = Rig::start().await;
    let mut object = config_map("c", "1");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let created = rig.create("configmaps", object).await.unwrap();
    let uid = created["metadata"]["uid"].as_str().unwrap();
    let wrong = json!({"preconditions": {"uid": "other"}});
    assert_eq!(
        rig.delete("configmaps", "c", wrong)
            .await
            .unwrap_err()
            .code(),
        409
    );
    let right = json!({"preconditions": {"uid": uid}, "propagationPolicy": "Foreground"});
    let marked = rig.delete("configmaps", "c", right).await.unwrap();
    assert_eq!(
        marked["metadata"]["finalizers"],
        json!(["example.com/hold", "foregroundDeletion"])
    );
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let again = rig.delete("configmaps", "c", json!(null)).await.unwrap();
    assert_eq!(again, marked);
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    assert_eq!(
        rig.merge("configmaps", "c", "", more)
            .await
            .unwrap_err()
            .code(),
        422
    );
    let freed = rig
        .merge(
            "configmaps",
            "c",
            "",
            json!({"metadata": {"finalizers": null}}),
        )
        .await
        .unwrap();
    assert_ne!(
        freed["metadata"]["resourceVersion"],
        marked["metadata"]["resourceVersion"]
    );
    assert_eq!(rig.get("configmaps", "c").await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let rig = Rig::start().await;
    for n in 0..5 {
        rig.create("configmaps", config_map(&format!("c{n}"), "1"))
            .await
            .unwrap();
    }
    let first = rig.list("configmaps", "limit=2").await.unwrap();
    assert_eq!(
        (first.names(), first.remaining),
        (vec!["c0".to_owned(), "c1".into()], Some(3))
    );
    rig.create("configmaps", config_map("c2a", "1"))
        .await
        .unwrap();
    rig.delete("configmaps", "c3", json!(null)).await.unwrap();
    let query = format!("limit=2&continue={}", first.continue_.as_deref().unwrap());
    let second = rig.list("configmaps", &query).await.unwrap();
    assert_eq!(
        (second.names(), second.revision),
        (vec!["c2".to_owned(), "c3".into()], first.revision)
    );
    let query = format!("limit=2&continue={}", second.continue_.as_deref().unwrap());
    let third = rig.list("configmaps", &query).await.unwrap();
    assert_eq!(
        (third.names(), third.continue_.clone()),
        (vec!["c4".to_owned()], None)
    );
    let now = rig.list("configmaps", "").await.unwrap();
    assert_eq!(now.names().len(), 5);
    let failure = rig
        .list("configmaps", "resourceVersion=99999999")
        .await
        .unwrap_err();
    assert_eq!((failure.code(), failure.reason()), (504, "Timeout"));
}

#[tokio::test]
async fn selectors_select() {
    let rig = Rig::start().await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let mut object = task(name);
        object["metadata"]["labels"] = json!({"app": label});
        rig.create("tasks", object).await.unwrap();
    }
    for (query, names) in [
        ("labelSelector=app%3Dx", vec!["a", "c"]),
        ("labelSelector=app+notin+(x)", vec!["b"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("fieldSelector=spec.framework%3Df", vec!["a", "b", "c"]),
        ("fieldSelector=spec.agent%3Da1", vec![]),
        (
            "fieldSelector=status.state%3DPending&labelSelector=app%3Dy",
            vec!["b"],
        ),
    ] {
        assert_eq!(
            rig.list("tasks", query).await.unwrap().names(),
            names,
            "{query}"
        );
    }
    let failure = rig
        .list("tasks", "fieldSelector=spec.priority%3D1")
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.message()),
        (400, "field label not supported: spec.priority")
    );
    let deleted = rig
        .delete_collection("tasks", "labelSelector=app%3Dx")
        .await
        .unwrap();
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    assert_eq!(rig.list("tasks", "").await.unwrap().names(), ["b"]);
}

#[tokio::test]
async fn dry_runs_write_nothing() {
    let rig = Rig::start().await;
    let (created, _) = rig
        .create_with("tasks", task("x"), "dryRun=All")
        .await
        .unwrap();
    assert!(created["metadata"]["uid"].is_string());
    assert!(created["metadata"].get("resourceVersion").is_none());
    assert_eq!(rig.get("tasks", "x").await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn too_large_is_refused() {
    let rig = Rig::start().await;
    let failure = rig
        .create("configmaps", config_map("c", &"v".repeat(4 << 20)))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code(), failure.reason()),
        (413, "RequestEntityTooLarge")
    );
    let failure = rig
        .create("configmaps", config_map("c", &"v".repeat(2 << 20)))
        .await
        .unwrap_err();
    assert_eq!(failure.code(), 422, "a ConfigMap holds a mebibyte");
    let mut large = task("c");
    large["spec"]["command"] = json!(["v".repeat(2 << 20)]);
    let failure = rig.create("tasks", large).await.unwrap_err();
    assert_eq!(failure.code(), 413);
    assert_eq!(rig.get("configmaps", "c").await.unwrap_err().code(), 404);
}

#[tokio::test]
async fn writers_of_one_object_do_not_lose_updates() {
    let rig = Rig::start().await;
    rig.create("configmaps", config_map("c", "0"))
        .await
        .unwrap();
    let writers = (0..8).map(|n| {
        let rig = &rig;
        async move {
            for m in 0..5 {
                let key = format!("k{n}-{m}");
                while rig
                    .merge("configmaps", "c", "", json!({"data": {&key: "1"}}))
                    .await
                    .is_err()
                {}
            }
        }
    });
    futures::future::join_all(writers).await;
    let object = rig.get("configmaps", "c").await.unwrap();
    assert_eq!(object["data"].as_object().unwrap().len(), 41);
}

#[tokio::test]
async fn namespaces_end_empty() {
    let rig = Rig::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    let created = rig.create("namespaces", namespace).await.unwrap();
    assert_eq!(created["status"]["phase"], "Active");
    let marked = rig.delete("namespaces", "n", json!(null)).await.unwrap();
    assert_eq!(marked["status"]["phase"], "Terminating");
    let late = rig
        .call("tasks", Some("n"), |call| {
            call.body = rig::json_body(&task("x"))
        })
        .await
        .unwrap_err();
    assert_eq!(late.code(), 403);
    assert_eq!(
        late.to_status()["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    let mut freed = marked.clone();
    freed["spec"]["finalizers"] = json!([]);
    rig.put("namespaces", "finalize", freed).await.unwrap();
    assert_eq!(rig.get("namespaces", "n").await.unwrap_err().code(), 404);
    assert_eq!(
        rig.delete("namespaces", "default", json!(null))
            .await
            .unwrap_err()
            .code(),
        403
    );
}

#[tokio::test]
async fn the_start_is_the_same_twice() {
    let rig = Rig::start().await;
    let before = rig.engine.store().view().revision();
    crate::bootstrap::ensure_system_objects(&rig.engine, rig::now(), 99)
        .await
        .unwrap();
    assert_eq!(rig.engine.store().view().revision(), before);
    assert_eq!(
        rig.list("customresourcedefinitions", "")
            .await
            .unwrap()
            .names()
            .len(),
        manifests::kinds::definitions().len()
    );
}

#[tokio::test]
async fn a_page_too_old_says_how_to_go_on() {
    let limits = store::Limits {
        history_bytes: 0,
        ..store::Limits::default()
    };
    let rig = Rig::start_with(limits).await;
    for n in 0..4 {
        rig.create("configmaps", config_map(&format!("c{n}"), "1"))
            .await
            .unwrap();
    }
    let first = rig.list("configmaps", "limit=1").await.unwrap();
    for n in 0..4 {
        rig.merge(
            "configmaps",
            &format!("c{n}"),
            "",
            json!({"data": {"v": "2"}}),
        )
        .await
        .unwrap();
    }
    let query = format!("limit=2&continue={}", first.continue_.unwrap());
    let failure = rig.list("configmaps", &query).await.unwrap_err();
    assert_eq!((failure.code(), failure.reason()), (410, "Expired"));
    let status = failure.to_status();
    let query = format!(
        "limit=2&continue={}",
        status["metadata"]["continue"].as_str().unwrap()
    );
    assert_eq!(
        rig.list("configmaps", &query).await.unwrap().names(),
        ["c1", "c2"]
    );
    let exact = format!(
        "resourceVersion={}&resourceVersionMatch=Exact",
        first.revision
    );
    assert_eq!(
        rig.list("configmaps", &exact).await.unwrap_err().code(),
        410
    );
}

#[tokio::test]
async fn names_are_generated() {
    let rig = Rig::start().await;
    let mut object = config_map("", "1");
    object["metadata"] = json!({"generateName": "run-"});
    let (one, two) = (
        rig.create("configmaps", object.clone()).await,
        rig.create("configmaps", object).await,
    );
    let names = [one, two].map(|made| {
        made.unwrap()["metadata"]["name"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    assert!(
        names[0] != names[1]
            && names
                .iter()
                .all(|name| name.starts_with("run-") && name.len() == 9)
    );
}

#[tokio::test]
async fn yaml_is_understood() {
    let rig = Rig::start().await;
    let text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: y}\ndata: {answer: 'yes'}\n";
    let made = rig.call("configmaps", Some("default"), |call| {
        call.body = Body {
            bytes: text.into(),
            media: Media::Yaml,
        };
    });
    made.await.unwrap();
    assert_eq!(
        rig.get("configmaps", "y").await.unwrap()["data"]["answer"],
        "yes"
    );
}

#[tokio::test]
async fn built_in_kinds_have_tables() {
    let rig = Rig::start().await;
    let event = json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Task", "name": "x", "namespace": "default"},
        "reason": "Started", "message": "it runs", "type": "Normal", "lastTimestamp": "2026-01-01T00:00:00Z",
    });
    let made = rig.create("events", event).await.unwrap();
    let resource = rig.engine.registry().lookup("", "v1", "events").unwrap();
    let table = crate::table::single(&resource, made, Include::None, true, rig::now());
    let shown = &table["rows"][0]["cells"].as_array().unwrap()[..8];
    assert_eq!(
        shown,
        ["e", "10s", "Normal", "Started", "task/x", "", "", "it runs"].map(|text| match text {
            "" => json!(null),
            text => json!(text),
        })
    );
    assert_eq!(
        rig.list("events", "fieldSelector=involvedObject.name%3Dx")
            .await
            .unwrap()
            .names(),
        ["e"]
    );
    let owned = json!({"metadata": {"name": "n", "annotations": {"a": "b"}}});
    rig.create("namespaces", owned).await.unwrap();
    let failure = rig
        .create(
            "secrets",
            json!({"metadata": {"name": "s"}, "data": {"k": "?"}}),
        )
        .await;
    assert_eq!(failure.unwrap_err().code(), 422);
}

#[tokio::test]
async fn agents_read_only_what_is_theirs() {
    let mut rig = Rig::start().await;
    rig.create("tasks", task("x")).await.unwrap();
    rig.engine = crate::engine::Engine::new(rig.engine.store().clone(), crate::authorize::policy());
    rig.user = crate::user::User::new("stoa:agent:a1", crate::user::AGENTS);
    assert_eq!(rig.get("tasks", "x").await.unwrap_err().code(), 403);
    let agent = |name: &str| json!({"metadata": {"name": name}, "spec": {}});
    assert_eq!(
        rig.create("agents", agent("a2")).await.unwrap_err().code(),
        403
    );
    rig.create("agents", agent("a1")).await.unwrap();
    let bad = json!({"status": {"capacity": {"cpus": "-1"}}});
    assert_eq!(
        rig.merge("agents", "a1", "status", bad)
            .await
            .unwrap_err()
            .code(),
        422
    );
}

#[tokio::test]
async fn a_small_json_patch_cannot_make_a_huge_object() {
    let rig = Rig::start().await;
    rig.create("configmaps", config_map("c", "1"))
        .await
        .unwrap();
    let copies = |from: &str, count: usize| -> Vec<Value> {
        let copy = |n| json!({"op": "copy", "from": from, "path": format!("{from}/c{n}")});
        (0..count).map(copy).collect()
    };
    let nested = |levels: usize| {
        let deep = (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let path = format!("/data/deep{}", "/0".repeat(30));
        json!([{"op": "add", "path": "/data/deep", "value": deep},
               {"op": "copy", "from": "/data/deep", "path": path}])
    };
    for (patch, code) in [
        (json!(copies("/data", 60)), 413),
        (nested(100), 400),
        (
            json!([{"op": "test", "path": "/kind", "value": "ConfigMap"}, {"op": "remove", "path": "/nowhere"}]),
            422,
        ),
        (
            json!([{"op": "copy", "from": "/data", "path": "/metadata/annotations"}]),
            200,
        ),
    ] {
        let answer = rig.patch("configmaps", "c", "json-patch", &patch).await;
        let found = answer.as_ref().map_or_else(|f| f.code(), |_| 200);
        assert_eq!(found, code, "{answer:?}");
        if let (Err(failure), 422) = (answer, code) {
            assert!(failure.message().contains("'/1'"), "{}", failure.message());
        }
    }
}
