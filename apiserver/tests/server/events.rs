//! core/v1 and events.k8s.io/v1: two views of the same events.

use apiserver::pki::Subject;
use k8s_openapi::api::core::v1::{ConfigMap, Event as CoreEvent};
use k8s_openapi::api::events::v1::Event as NewEvent;
use kube::Resource;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::{Value, json};

use crate::rig::{Rig, framework, raw, task};
use crate::watches::Lines;

const CORE: &str = "/api/v1/namespaces/default/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

#[tokio::test(flavor = "multi_thread")]
async fn events_have_two_views() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    recorded(&admin).await;
    written_in_core(&admin).await;
    refused(&admin).await;
    rig.stop().await;
}

/// What an agent may change of an event of its own, and of another's.
async fn changes(admin: &kube::Client, agent: &kube::Client, mut own: Value) {
    let put = async |client: &kube::Client, object: Value| {
        let (code, answer) = raw(client, "POST", CORE, &[], object.to_string()).await;
        assert_eq!(code, 201, "{answer}");
    };
    let merge = [("content-type", "application/merge-patch+json")];
    own["metadata"] = json!({"name": "own"});
    put(agent, own.clone()).await;
    own["metadata"] = json!({"name": "controllers"});
    own["source"] = json!({"component": "scheduler"});
    put(admin, own).await;
    for (name, patch, code) in [
        ("own", json!({"count": 2}), 200),
        ("own", json!({"involvedObject": {"name": "theirs"}}), 403),
        ("own", json!({"source": {"host": "a2"}}), 403),
        ("controllers", json!({"count": 2}), 403),
        ("controllers", json!({"source": {"host": "a1"}}), 403),
    ] {
        let path = format!("{CORE}/{name}");
        let (found, answer) = raw(agent, "PATCH", &path, &merge, patch.to_string()).await;
        assert_eq!(found, code, "{name} {patch}: {answer}");
    }
}

/// An agent reports what befalls it and its tasks, in its own name.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_writes_of_its_own() {
    let rig = Rig::start().await;
    let (admin, ours) = (rig.admin().await, rig.handle.client());
    let agent = rig.as_subject(&Subject::Agent("a1".into())).await;
    let put = async |client: &kube::Client, path: &str, object: Value| {
        let (code, answer) = raw(client, "POST", path, &[], object.to_string()).await;
        assert_eq!(code, 201, "{answer}");
        answer["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let namespaced = "/apis/stoa.dev/v1/namespaces/default";
    put(&admin, &format!("{namespaced}/frameworks"), framework()).await;
    let mut uids = Vec::new();
    for (name, bound) in [("mine", "a1"), ("theirs", "a2")] {
        uids.push(put(&admin, &format!("{namespaced}/tasks"), task(name)).await);
        let bind = json!({"spec": {"agent": bound}}).to_string();
        let merge = [("content-type", "application/merge-patch+json")];
        let path = format!("{namespaced}/tasks/{name}");
        assert_eq!(raw(&ours, "PATCH", &path, &merge, bind).await.0, 200);
    }
    let about = |kind: &str, name: &str| {
        let mut about = json!({"apiVersion": "stoa.dev/v1", "kind": kind, "name": name});
        if kind == "Task" {
            about["namespace"] = "default".into();
        }
        about
    };
    let event = |about: &Value, host: &str| {
        json!({
            "metadata": {"generateName": "e-"}, "involvedObject": about, "reason": "R", "type": "Normal",
            "source": {"component": "agent", "host": host},
        })
    };
    let with_uid = |uid: &str| {
        let mut about = about("Task", "mine");
        about["uid"] = uid.into();
        about
    };
    let mut foreign = about("Task", "mine");
    foreign["apiVersion"] = "example.com/v1".into();
    for (about, host, code) in [
        (about("Task", "mine"), "a1", 201),
        (with_uid(&uids[0]), "a1", 201),
        (about("Agent", "a1"), "a1", 201),
        (about("Task", "mine"), "a2", 403),
        (about("Task", "theirs"), "a1", 403),
        (about("Task", "none"), "a1", 403),
        (with_uid(&uids[1]), "a1", 403),
        (foreign, "a1", 403),
        (about("Agent", "a2"), "a1", 403),
        (about("ConfigMap", "mine"), "a1", 403),
        (json!({}), "a1", 403),
    ] {
        let body = event(&about, host).to_string();
        let (found, answer) = raw(&agent, "POST", CORE, &[], body).await;
        assert_eq!(found, code, "{about} {host}: {answer}");
    }
    changes(&admin, &agent, event(&about("Task", "mine"), "a1")).await;
    rig.stop().await;
}

/// What kube-rs's recorder writes is what `kubectl describe` asks for.
async fn recorded(admin: &kube::Client) {
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    let map = serde_json::from_value(json!({"metadata": {"name": "about"}})).unwrap();
    let map = maps.create(&PostParams::default(), &map).await.unwrap();
    let recorder = Recorder::new(admin.clone(), Reporter::from("x.dev/tester"));
    let event = Event {
        type_: EventType::Normal,
        reason: "Seen".into(),
        note: Some("it was seen".into()),
        action: "Look".into(),
        secondary: None,
    };
    let watch = format!("{CORE}?watch=true&fieldSelector=involvedObject.name%3Dabout");
    let mut core = Lines::open(admin, &watch).await;
    let watch = format!("{NEW}?watch=true&fieldSelector=regarding.name%3Dabout");
    let mut new = Lines::open(admin, &watch).await;
    for _ in 0..2 {
        recorder
            .publish(&event, &map.object_ref(&()))
            .await
            .unwrap();
    }
    for (kind, count) in [("ADDED", Value::Null), ("MODIFIED", json!(2))] {
        let line = core.next().await.unwrap();
        assert_eq!(
            (&line["type"], &line["object"]["series"]["count"]),
            (&json!(kind), &count)
        );
        assert_eq!(line["object"]["apiVersion"], "v1");
        assert_eq!(line["object"]["message"], "it was seen");
        assert_eq!(line["object"]["reportingComponent"], "x.dev/tester");
        let line = new.next().await.unwrap();
        assert_eq!(
            (&line["type"], &line["object"]["series"]["count"]),
            (&json!(kind), &count)
        );
        assert_eq!(line["object"]["apiVersion"], "events.k8s.io/v1");
        assert_eq!(line["object"]["note"], "it was seen");
        assert_eq!(line["object"]["involvedObject"], Value::Null);
    }
    let uid = map.metadata.uid.unwrap();
    let about = format!("involvedObject.kind=ConfigMap,involvedObject.uid={uid}");
    let events: Api<CoreEvent> = Api::namespaced(admin.clone(), "default");
    let found = events
        .list(&ListParams::default().fields(&about))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].reason.as_deref(), Some("Seen"));
}

async fn written_in_core(admin: &kube::Client) {
    let json = &[("content-type", "application/json")];
    let event = json!({
        "metadata": {"name": "old"}, "involvedObject": {"kind": "Task", "name": "t", "namespace": "default"},
        "source": {"component": "agent"}, "message": "m", "reason": "R", "type": "Warning", "count": 3,
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:01Z",
    });
    let path = format!("{CORE}/old");
    let (code, made) = raw(admin, "PUT", &path, json, event.to_string()).await;
    assert_eq!(code, 201, "created on update: {made}");
    let events: Api<NewEvent> = Api::namespaced(admin.clone(), "default");
    let query = ListParams::default().fields("type=Warning,regarding.kind=Task");
    let found = events.list(&query).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let one = &found.items[0];
    assert_eq!(
        (one.note.as_deref(), one.deprecated_count),
        (Some("m"), Some(3))
    );
    assert_eq!(
        one.deprecated_source.as_ref().unwrap().component.as_deref(),
        Some("agent")
    );
    let table = &[("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let rows = async |path: &str| raw(admin, "GET", path, table, "").await.1["rows"].clone();
    let by_source = format!("{CORE}?fieldSelector=source%3Dagent");
    assert_eq!(rows(&by_source).await[0]["cells"][4], "task/t");
    assert_eq!(
        rows(&format!("{NEW}?fieldSelector=type%3DWarning")).await[0]["cells"][4],
        "task/t"
    );
    let wrong = raw(
        admin,
        "GET",
        &format!("{NEW}?fieldSelector=source%3Dx"),
        &[],
        "",
    )
    .await;
    assert_eq!(wrong.0, 400, "{}", wrong.1);
    events
        .delete("old", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(raw(admin, "GET", &path, &[], "").await.0, 404);
}

async fn refused(admin: &kube::Client) {
    let json = &[("content-type", "application/json")];
    let event =
        json!({"metadata": {"name": "bad"}, "regarding": {"namespace": "default"}, "message": "m"});
    let (code, status) = raw(admin, "POST", NEW, json, event.to_string()).await;
    let fields: Vec<&str> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| cause["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        (code, &fields[..]),
        (422, &["eventTime", "type"][..]),
        "{status}"
    );
    let path = format!("{NEW}?fieldValidation=Strict");
    let (code, status) = raw(admin, "POST", &path, json, event.to_string()).await;
    assert_eq!(code, 400, "{status}");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("unknown field \"message\""),
        "{status}"
    );
}
