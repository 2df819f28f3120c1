//! kube-rs and raw requests: verbs, forms, identities, members, restart.

use apiserver::pki::Subject;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use manifests::kinds::{Agent, Framework, Task};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, framework, raw, task};

const JSON: (&str, &str) = ("content-type", "application/json");

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_client_writes_and_reads_and_a_restart_keeps_it() {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let tasks: Api<Task> = Api::namespaced(client.clone(), "default");
    let frameworks: Api<Framework> = Api::namespaced(client.clone(), "default");
    frameworks
        .create(&PostParams::default(), &parse(framework()))
        .await
        .unwrap();
    for name in ["a", "b"] {
        tasks
            .create(&PostParams::default(), &parse(task(name)))
            .await
            .unwrap();
    }
    let patch = Patch::Merge(json!({"spec": {"priority": 7}}));
    let patched = tasks
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(
        (patched.spec.priority, patched.metadata.generation),
        (7, Some(2))
    );
    let page = tasks.list(&ListParams::default().limit(1)).await.unwrap();
    assert_eq!(
        (page.items.len(), page.metadata.remaining_item_count),
        (1, Some(1))
    );
    let taken = tasks
        .create(&PostParams::default(), &parse(task("a")))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = taken else {
        panic!("{taken}")
    };
    assert_eq!(
        (status.code, status.reason.as_str()),
        (409, "AlreadyExists")
    );
    tasks.delete("b", &DeleteParams::default()).await.unwrap();

    let dir = rig.stop().await;
    let rig = Rig::in_dir(dir).await;
    let tasks: Api<Task> = Api::namespaced(rig.admin().await, "default");
    let names: Vec<_> = tasks.list(&ListParams::default()).await.unwrap().items;
    let names: Vec<_> = names
        .into_iter()
        .filter_map(|task| task.metadata.name)
        .collect();
    assert_eq!(names, ["a"]);
    rig.stop().await;
}

const TASKS: &str = "/apis/stoa.dev/v1/namespaces/default/tasks";
const TABLE: (&str, &str) = (
    "accept",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
);

/// Method, path, header, body, and the code and reason to be answered with.
const FORMS: &str = "
POST    TASKS           json    task     201 -
GET     TASKS           table   -        200 -
GET     GROUP/tasks/    json    -        200 -
HEAD    TASKS/one       json    -        200 -
POST    TASKS           text    task     415 UnsupportedMediaType
POST    TASKS           json    broken   400 BadRequest
POST    TASKS           json    large    413 RequestEntityTooLarge
GET     TASKS           html    -        406 NotAcceptable
OPTIONS TASKS           json    -        405 MethodNotAllowed
PUT     TASKS           json    task     405 MethodNotAllowed
POST    TASKS/one       json    task     405 MethodNotAllowed
GET     GROUP/nothing   json    -        404 NotFound
GET     GROUP/namespaces/default/agents json - 404 NotFound
GET     /nothing        json    -        404 -
GET     TASKS?fieldSelector=spec.x=1 json - 400 BadRequest
PATCH   TASKS/one       strategic empty  415 UnsupportedMediaType
";

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_refusals() {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let frameworks = TASKS.replace("tasks", "frameworks");
    raw(
        &client,
        "POST",
        &frameworks,
        &[JSON],
        framework().to_string(),
    )
    .await;
    for line in FORMS.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [method, path, header, body, code, reason] = words[..] else {
            panic!("{line}")
        };
        let path = path
            .replace("TASKS", TASKS)
            .replace("GROUP", "/apis/stoa.dev/v1");
        let header = match header {
            "table" => TABLE,
            "html" => ("accept", "text/html"),
            "text" => ("content-type", "text/plain"),
            "strategic" => ("content-type", "application/strategic-merge-patch+json"),
            _ => JSON,
        };
        let body = match body {
            "task" => task("one").to_string(),
            "large" => task("x").to_string().replace("true", &"x".repeat(5 << 20)),
            "broken" => "{".to_owned(),
            "empty" => "{}".to_owned(),
            _ => String::new(),
        };
        let (found, answer) = raw(&client, method, &path, &[header], body).await;
        assert_eq!(found.to_string(), code, "{line}: {answer}");
        assert_eq!(
            answer["reason"].as_str().unwrap_or("-"),
            reason,
            "{line}: {answer}"
        );
    }
    let (_, answer) = raw(&client, "GET", TASKS, &[TABLE], "").await;
    assert_eq!(answer["kind"], "Table");
    assert_eq!(answer["rows"][0]["cells"][0], "one");
    rig.stop().await;
}

/// What agent a1 may: method, path, body, code.
const OWN: &str = "
POST GROUP/agents                                   agent-a2 403
POST GROUP/agents                                   agent-a1 201
GET  GROUP/agents/a1                                -        200
POST GROUP/agents/a1/heartbeat                      beat     200
POST GROUP/agents/a2/heartbeat                      beat     403
GET  GROUP/tasks                                    -        403
GET  GROUP/tasks?fieldSelector=spec.agent%3Da1      -        200
GET  GROUP/tasks?watch=1&fieldSelector=spec.agent%3Da2 -     403
GET  GROUP/namespaces/default/tasks/mine            -        403
GET  /api/v1/namespaces/default/secrets             -        403
GET  GROUP/members                                  -        403
GET  /api                                           -        200
";

#[tokio::test(flavor = "multi_thread")]
async fn agents_reach_their_own_and_nothing_else() {
    let rig = Rig::start().await;
    let (admin, a1) = (
        rig.admin().await,
        rig.as_subject(&Subject::Agent("a1".into())).await,
    );
    let frameworks: Api<Framework> = Api::namespaced(admin.clone(), "default");
    frameworks
        .create(&PostParams::default(), &parse(framework()))
        .await
        .unwrap();
    let tasks: Api<Task> = Api::namespaced(admin.clone(), "default");
    tasks
        .create(&PostParams::default(), &parse(task("mine")))
        .await
        .unwrap();
    for line in OWN.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [method, path, body, code] = words[..] else {
            panic!("{line}")
        };
        let body = match body.strip_prefix("agent-") {
            Some(name) => json!({"apiVersion": "stoa.dev/v1", "kind": "Agent", "metadata": {"name": name}, "spec": {}}).to_string(),
            None if body == "beat" => json!({"bootId": "b1"}).to_string(),
            None => String::new(),
        };
        let path = path.replace("GROUP", "/apis/stoa.dev/v1");
        let (found, answer) = raw(&a1, method, &path, &[JSON], body).await;
        assert_eq!(found.to_string(), code, "{line}: {answer}");
    }
    let (_, ages) = raw(&admin, "GET", "/apis/stoa.dev/v1/heartbeats", &[], "").await;
    let age = &ages["items"][0];
    assert_eq!(
        (&age["agent"], &age["bootId"]),
        (&json!("a1"), &json!("b1"))
    );
    let (_, members) = raw(&admin, "GET", "/apis/stoa.dev/v1/members", &[], "").await;
    let member = &members["items"][0];
    assert_eq!(
        (&member["role"], &member["name"]),
        (&json!("Leader"), &json!("s1"))
    );
    let agents: Api<Agent> = Api::all(rig.handle.client());
    assert_eq!(
        agents
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    rig.stop().await;
}

/// In a form that whoever reads Prometheus' text understands.
async fn assert_figures(client: &kube::Client) {
    let (code, figures) = raw(client, "GET", "/metrics", &[], "").await;
    let figures = figures.as_str().unwrap();
    assert_eq!(code, 200);
    let value = |name: &str| -> f64 {
        let mut lines = figures.lines();
        let found = lines.find_map(|line| line.strip_prefix(&format!("{name} ")));
        let found = found.unwrap_or_else(|| panic!("no {name} in\n{figures}"));
        found.parse().unwrap()
    };
    for positive in [
        "stoa_store_proposals_total{outcome=\"applied\"}",
        "stoa_store_propose_seconds_count",
        "stoa_store_commit_seconds_count",
        "stoa_store_apply_seconds_count",
        "stoa_store_read_index_seconds_count",
        "stoa_store_watch_behind_revisions_count",
        "stoa_store_items",
        "stoa_store_value_bytes",
        "stoa_store_history_bytes",
        "stoa_store_applied_index",
        "stoa_store_committed_index",
        "stoa_store_log_last_index",
        "stoa_store_revision",
        "stoa_store_term",
        "stoa_store_leader_changes_total",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(value(positive) > 0.0, "{positive}");
    }
    assert_eq!(value("stoa_store_is_leader"), 1.0);
    for none in [
        "stoa_store_stopped",
        "stoa_store_diverged",
        "stoa_store_log_space_level",
    ] {
        assert_eq!(value(none), 0.0, "{none}");
    }
    assert!(figures.ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_discovery_and_documents() {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let (_, version) = raw(&client, "GET", "/version/", &[], "").await;
    assert!(version["minor"].as_str().unwrap().parse::<u32>().is_ok());
    for path in [
        "/healthz",
        "/livez",
        "/readyz",
        "/readyz/store-leader",
        "/livez?verbose",
    ] {
        assert_eq!(raw(&client, "GET", path, &[], "").await.0, 200, "{path}");
    }
    let (_, verbose) = raw(&client, "GET", "/readyz?verbose", &[], "").await;
    let lines = [
        "ping",
        "store-running",
        "store-leader",
        "store-applied",
        "store-agreement",
        "store-log-space",
        "store-caught-up",
        "system-objects",
        "shutdown",
    ];
    let expected = lines.map(|name| format!("[+]{name} ok\n")).concat();
    assert_eq!(verbose, format!("{expected}readyz check passed\n"));
    assert_figures(&client).await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let (_, groups) = raw(&client, "GET", "/apis", &[("accept", accept)], "").await;
    let stoa = groups["items"].as_array().unwrap();
    let stoa = stoa
        .iter()
        .find(|group| group["metadata"]["name"] == "stoa.dev")
        .unwrap();
    assert_eq!(
        stoa["versions"][0]["resources"].as_array().unwrap().len(),
        manifests::kinds::definitions().len()
    );
    let (_, legacy) = raw(&client, "GET", "/apis/stoa.dev/v1", &[], "").await;
    let names: Vec<_> = legacy["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|r| r["name"].as_str())
        .collect();
    assert!(
        names.contains(&"tasks/status") && names.contains(&"offers/accept"),
        "{names:?}"
    );
    let (_, index) = raw(&client, "GET", "/openapi/v3", &[], "").await;
    let url = index["paths"]["apis/stoa.dev/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    let (code, document) = raw(&client, "GET", url, &[], "").await;
    assert_eq!((code, &document["openapi"]), (200, &json!("3.0.0")));
    let gvk = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&gvk));
    assert_eq!(
        crds.list(&ListParams::default()).await.unwrap().items.len(),
        manifests::kinds::definitions().len()
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_joins_by_token() {
    use apiserver::{Bootstrap, Options, Service};
    let rig = Rig::start().await;
    let token = std::fs::read_to_string(rig.dir.path().join("data/tokens/server")).unwrap();
    let loopback = "127.0.0.1:0".parse().unwrap();
    // A member keeps its peer address: the others dial it there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = free.local_addr().unwrap();
    drop(free);
    let options = |token: &str| Options {
        name: "s2".into(),
        data_dir: rig.dir.path().join("second"),
        listen: loopback,
        peer_listen: peer,
        bootstrap: Bootstrap::Join {
            url: rig.handle.url(),
            token: token.into(),
        },
        ..Options::default()
    };
    let wrong = Service::start(options(&rig.handle.agent_token()))
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&wrong).unwrap().to_string();
    assert!(cause.contains("this token is not for role"), "{cause}");
    let first = second_server(&rig, options(token.trim())).await;
    assert_eq!(
        second_server(&rig, options(token.trim())).await,
        first,
        "a restart asks for nothing"
    );
    std::fs::remove_dir_all(rig.dir.path().join("second/store")).unwrap();
    let again = second_server(&rig, options(token.trim())).await;
    assert!(again > first, "a wiped store comes back under a new id");
    rig.stop().await;
}

/// Runs the second server until it knows the leader and has written through it; answers its id.
async fn second_server(rig: &Rig, options: apiserver::Options) -> u64 {
    let (service, handle) = apiserver::Service::start(options).await.unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let run = tokio::spawn(service.run(shutdown.clone()));
    let mut leadership = handle.leadership();
    let known = leadership.wait_for(|now| now.leader.as_deref() == Some("s1"));
    tokio::time::timeout(PATIENCE, known)
        .await
        .unwrap()
        .unwrap();
    let params = PatchParams::default();
    let spaces: Api<DynamicObject> = namespaces(handle.client());
    let note =
        Patch::Merge(json!({"metadata": {"annotations": {"by": handle.address().to_string()}}}));
    let written = spaces.patch("default", &params, &note).await.unwrap();
    let read = namespaces(rig.handle.client())
        .get("default")
        .await
        .unwrap();
    assert_eq!(read.metadata.annotations, written.metadata.annotations);
    let path = "/apis/stoa.dev/v1/members";
    let (_, members) = raw(&rig.handle.client(), "GET", path, &[], "").await;
    let items = members["items"].as_array().unwrap();
    let second = items.iter().find(|member| member["name"] == "s2").unwrap();
    shutdown.cancel();
    run.await.unwrap().unwrap();
    second["id"].as_u64().unwrap()
}

fn namespaces(client: kube::Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("", "v1", "Namespace");
    Api::all_with(client, &ApiResource::from_gvk(&gvk))
}
