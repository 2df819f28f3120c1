//! Watches over the wire: beginnings, resuming, transitions, isolation, tables, the end.

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use kube::api::{Api, PostParams};
use manifests::kinds::Framework;
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, framework, raw, task};

const TASKS: &str = "/apis/stoa.dev/v1/namespaces/default/tasks";
const JSON: (&str, &str) = ("content-type", "application/json");
const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

pub(crate) struct Lines(
    std::pin::Pin<Box<dyn futures::Stream<Item = std::io::Result<String>> + Send>>,
);

impl Lines {
    pub(crate) async fn open(client: &kube::Client, path: &str) -> Self {
        Self::open_with(client, path, &[]).await
    }

    pub(crate) async fn open_with(
        client: &kube::Client,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut request = http::Request::get(path);
        for (key, value) in headers {
            request = request.header(*key, *value);
        }
        let request = request.body(kube::client::Body::empty()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let body = http_body_util::BodyStream::new(response.into_body());
        let chunks = body.map_ok(|frame| frame.into_data().unwrap_or_default());
        let chunks = chunks.map_err(|error| std::io::Error::other(error.to_string()));
        Self(Box::pin(chunks.into_async_read().lines()))
    }

    async fn table(client: &kube::Client, path: &str) -> Self {
        let request = http::Request::get(path)
            .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
            .body(kube::client::Body::empty());
        let response = client.send(request.unwrap()).await.unwrap();
        let body = http_body_util::BodyStream::new(response.into_body());
        let chunks = body.map_ok(|frame| frame.into_data().unwrap_or_default());
        let chunks = chunks.map_err(|error| std::io::Error::other(error.to_string()));
        Self(Box::pin(chunks.into_async_read().lines()))
    }

    pub(crate) async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(PATIENCE, self.0.next())
            .await
            .expect("a line in time");
        line.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    /// `TYPE name`.
    async fn word(&mut self) -> String {
        match self.next().await {
            Some(event) => format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                event["object"]["metadata"]["name"].as_str().unwrap_or("-")
            ),
            None => "end".to_owned(),
        }
    }
}

async fn ready() -> (Rig, kube::Client) {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let frameworks: Api<Framework> = Api::namespaced(client.clone(), "default");
    let framework = serde_json::from_value(framework()).unwrap();
    frameworks
        .create(&PostParams::default(), &framework)
        .await
        .unwrap();
    (rig, client)
}

async fn create(client: &kube::Client, name: &str) -> Value {
    let (code, object) = raw(client, "POST", TASKS, &[JSON], task(name).to_string()).await;
    assert_eq!(code, 201, "{object}");
    object
}

async fn patch(client: &kube::Client, name: &str, patch: Value) -> Value {
    let path = format!("{TASKS}/{name}");
    let (code, object) = raw(client, "PATCH", &path, &[MERGE], patch.to_string()).await;
    assert_eq!(code, 200, "{object}");
    object
}

fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn beginnings_and_resuming() {
    let (rig, client) = ready().await;
    let first = create(&client, "a").await;
    let mut from_state = Lines::open(&client, &format!("{TASKS}?watch=true")).await;
    assert_eq!(from_state.word().await, "ADDED a");
    create(&client, "b").await;
    assert_eq!(from_state.word().await, "ADDED b");
    patch(&client, "a", json!({"spec": {"priority": 3}})).await;
    assert_eq!(from_state.word().await, "MODIFIED a");
    raw(&client, "DELETE", &format!("{TASKS}/b"), &[], "").await;
    let gone = from_state.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");

    let path = format!("{TASKS}?watch=true&resourceVersion={}", revision(&first));
    let mut resumed = Lines::open(&client, &path).await;
    for expected in ["ADDED b", "MODIFIED a"] {
        assert_eq!(resumed.word().await, expected);
    }
    assert_eq!(
        resumed.next().await.unwrap(),
        gone,
        "same event, same revision"
    );
    let mut later = Lines::open(
        &client,
        &format!(
            "{TASKS}?watch=1&resourceVersion={}",
            revision(&gone["object"])
        ),
    )
    .await;
    create(&client, "c").await;
    assert_eq!(later.word().await, "ADDED c");

    let path = format!(
        "{TASKS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut list = Lines::open(&client, &path).await;
    assert_eq!(
        (list.word().await, list.word().await),
        ("ADDED a".into(), "ADDED c".into())
    );
    let mark = list.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(
        mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    assert_eq!(mark["object"]["kind"], "Task");
    rig.stop().await;
    assert_eq!(
        list.word().await,
        "end",
        "watches end with the server, cleanly"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_tables_and_ends() {
    let (rig, client) = ready().await;
    create(&client, "a").await;
    let path = format!("{TASKS}?watch=true&labelSelector=app%3Dother");
    let mut labels = Lines::open(&client, &path).await;
    patch(
        &client,
        "a",
        json!({"metadata": {"labels": {"app": "other"}}}),
    )
    .await;
    assert_eq!(labels.word().await, "ADDED a");
    let changed = patch(
        &client,
        "a",
        json!({"metadata": {"labels": {"app": "demo"}}}),
    )
    .await;
    let left = labels.next().await.unwrap();
    assert_eq!(
        (&left["type"], revision(&left["object"])),
        (&json!("DELETED"), revision(&changed))
    );
    assert_eq!(
        left["object"]["metadata"]["labels"]["app"], "other",
        "the state that matched"
    );

    let mut name = Lines::open(
        &client,
        &format!("{TASKS}?watch=true&fieldSelector=metadata.name%3Db&timeoutSeconds=3"),
    )
    .await;
    create(&client, "c").await;
    create(&client, "b").await;
    assert_eq!(name.word().await, "ADDED b");
    assert_eq!(name.word().await, "end", "at the deadline");

    let mut table = Lines::table(&client, &format!("{TASKS}?watch=true")).await;
    let first = table.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert!(
        !first["object"]["columnDefinitions"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let second = table.next().await.unwrap();
    assert_eq!(second["object"]["columnDefinitions"], json!([]));

    for (query, code) in [
        ("resourceVersion=x", 400),
        ("sendInitialEvents=true", 422),
        ("labelSelector=%3D", 400),
    ] {
        let (found, answer) = raw(
            &client,
            "GET",
            &format!("{TASKS}?watch=true&{query}"),
            &[],
            "",
        )
        .await;
        assert_eq!(found, code, "{query}: {answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_revision_is_an_error_in_the_stream() {
    let (rig, client) = ready().await;
    let path = format!(
        "{TASKS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999"
    );
    let mut lines = Lines::open(&client, &path).await;
    let event = lines.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(504))
    );
    assert_eq!(lines.word().await, "end");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_revision_is_expired_in_the_stream() {
    let (rig, client) = ready().await;
    create(&client, "a").await;
    let rig = Rig::with_history(rig.stop().await, 1).await;
    let client = rig.admin().await;
    let mut lines = Lines::open(&client, &format!("{TASKS}?watch=true&resourceVersion=1")).await;
    let event = lines.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(
        (&event["object"]["code"], &event["object"]["reason"]),
        (&json!(410), &json!("Expired"))
    );
    assert_eq!(lines.word().await, "end");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_watch_waits_for_its_future() {
    let (rig, client) = ready().await;
    let made = create(&client, "a").await;
    let now: u64 = made["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let ahead = now + 5;
    let path = format!("{TASKS}?watch=true&resourceVersion={ahead}");
    let mut lines = Lines::open(&client, &path).await;
    let mut last = now;
    let mut n = 0;
    while last <= ahead {
        let made = create(&client, &format!("b{n}")).await;
        last = made["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        n += 1;
    }
    assert!(n > 1, "some came before its future began");
    let first = lines.next().await.unwrap();
    assert_eq!(
        (&first["type"], &first["object"]["metadata"]["name"]),
        (&json!("ADDED"), &json!(format!("b{}", n - 1)))
    );
    let path = format!("{TASKS}?watch=true&resourceVersion=999999999&timeoutSeconds=1");
    assert_eq!(Lines::open(&client, &path).await.word().await, "end");
    rig.stop().await;
}

/// More objects than one look takes in, of which a watch wants some: the state shows just these, in
/// order and once, and what happens next follows on.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_by_the_value_of_a_field() {
    const EACH: usize = 600;
    let (rig, client) = ready().await;
    let body = |name: &str, framework: &str| {
        let mut body = task(name);
        body["spec"]["framework"] = json!(framework);
        body
    };
    let mut other = framework();
    other["metadata"]["name"] = json!("g");
    let path = "/apis/stoa.dev/v1/namespaces/default/frameworks";
    assert_eq!(
        raw(&client, "POST", path, &[JSON], other.to_string())
            .await
            .0,
        201
    );
    for framework in ["f", "g"] {
        let create = |n: usize| {
            let body = body(&format!("{n:03}-{framework}"), framework);
            json!({"apiVersion": "stoa.dev/v1", "resource": "tasks", "namespace": "default", "verb": "create", "body": body})
        };
        let operations: Vec<Value> = (0..EACH).map(create).collect();
        let bundle =
            json!({"apiVersion": "stoa.dev/v1", "kind": "Transaction", "operations": operations});
        let path = "/apis/stoa.dev/v1/transactions";
        let (code, answer) = raw(&client, "POST", path, &[JSON], bundle.to_string()).await;
        assert_eq!(code, 200, "{answer}");
    }
    let path = format!(
        "{TASKS}?watch=true&fieldSelector=spec.framework%3Dg&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = Lines::open(&client, &path).await;
    for n in 0..EACH {
        assert_eq!(watch.word().await, format!("ADDED {n:03}-g"));
    }
    let mark = watch.next().await.unwrap();
    assert_eq!(mark["type"], "BOOKMARK");
    assert_eq!(
        mark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    for (name, framework) in [("new-f", "f"), ("new-g", "g")] {
        let made = raw(
            &client,
            "POST",
            TASKS,
            &[JSON],
            body(name, framework).to_string(),
        )
        .await;
        assert_eq!(made.0, 201, "{}", made.1);
    }
    assert_eq!(watch.word().await, "ADDED new-g");
    rig.stop().await;
}
