//! Requests that are wrong: one line each, with the code and the words of the answer.

use e2e::{Outcome, connect, fault, objects};
use kube::Client;
use serde_json::{Value, json};

const TASKS: &str = "/apis/stoa.dev/v1/namespaces/default/tasks";
const TASK: &str = "/apis/stoa.dev/v1/namespaces/default/tasks/waits";
const JSON: &str = "application/json";

/// Changes to the spec of a good task, and what the answer (always 422) speaks of.
const SPECS: &str = r#"
a negative quantity                  | {"resources": {"cpus": "-1"}}                      | spec.resources + cpus
an overflowing quantity              | {"resources": {"cpus": "99999999999999999999999E"}} | spec.resources + cpus
an exponent beyond reason            | {"resources": {"cpus": "1e999999999"}}             | spec.resources + cpus
a quantity that is a word            | {"resources": {"cpus": "lots"}}                    | spec.resources + cpus
a quantity that is not a number      | {"resources": {"cpus": "NaN"}}                     | spec.resources + cpus
an infinite quantity                 | {"resources": {"cpus": "Inf"}}                     | spec.resources + cpus
a quantity finer than a thousandth   | {"resources": {"cpus": "0.0001"}}                  | spec.resources + cpus
a quantity that is a list            | {"resources": {"cpus": [1]}}                       | spec.resources + cpus
a negative number                    | {"resources": {"cpus": -1}}                        | spec.resources + cpus
an empty quantity                    | {"resources": {"cpus": ""}}                        | spec.resources + cpus
ports that are none                  | {"resources": {"ports": "70000-60000"}}            | spec.resources + ports
a task that names no framework       | {"framework": null}                                | spec.framework + Required
an empty framework                   | {"framework": ""}                                  | spec.framework
a number for a word                  | {"framework": 7}                                   | spec.framework + string
no command                           | {"command": []}                                    | spec.command
an unknown policy                    | {"restartPolicy": "Maybe"}                         | spec.restartPolicy + OnFailure
a duration that is none              | {"killPolicy": {"gracePeriod": "soon"}}            | spec.killPolicy.gracePeriod
no run at all                        | {"retry": {"maxAttempts": 0}}                      | spec.retry.maxAttempts
binding oneself                      | {"agent": "a1"}                                    | spec.agent
"#;

/// Changes to the whole of a good task, the code of the answer, and what it speaks of.
const TASKS_CHANGED: &str = r#"
another kind           | {"kind": "Widget"}                                            | 400 | Widget
another version        | {"apiVersion": "stoa.dev/v9"}                                 | 400 | stoa.dev/v9
no name                | {"metadata": {}}                                              | 422 | name
a bad name             | {"metadata": {"name": "No Good"}}                             | 422 | metadata.name
another namespace      | {"metadata": {"name": "bad", "namespace": "x"}}               | 400 | namespace
a bad label            | {"metadata": {"name": "bad", "labels": {"a b": "c"}}}         | 422 | metadata.labels
a name that is taken   | {"metadata": {"name": "waits"}}                               | 409 | already exists
"#;

/// Requests: method, path, media type, body, code, words. `T` stands for the collection of tasks.
const REQUESTS: &str = r#"
malformed YAML                       | POST   T                                | application/yaml | kind: Task {name: [ | 400 | line
malformed JSON                       | POST   T                                | application/json | {"kind":            | 400 |
no body                              | POST   T                                | application/json |                     | 400 |
a body that is a list                | POST   T                                | application/json | [1, 2]              | 400 |
a media type nobody knows            | POST   T                                | text/html        | {}                  | 415 | application/json
an unknown kind                      | GET    /apis/stoa.dev/v1/widgets        | application/json |                     | 404 |
an unknown group                     | GET    /apis/nobody.dev/v1/tasks        | application/json |                     | 404 |
a method that is none                | TRACE  T                                | application/json |                     | 405 |
a patch of no known type             | PATCH  T/waits                          | text/plain       | {}                  | 415 | merge-patch+json
a patch that is no object            | PATCH  T/waits                          | application/merge-patch+json | [       | 400 |
a JSON patch whose test fails        | PATCH  T/waits                          | application/json-patch+json  | [{"op": "test", "path": "/spec/priority", "value": 99}] | 422 |
an immutable field                   | PATCH  T/waits                          | application/merge-patch+json | {"spec": {"framework": "other"}} | 422 | immutable
a stale patch                        | PATCH  T/waits                          | application/merge-patch+json | {"metadata": {"resourceVersion": "1"}, "spec": {"priority": 5}} | 409 | the object has been modified
a label selector that is none        | GET    T?labelSelector=a%20b%20c        | application/json |                     | 400 |
a field nobody selects by            | GET    T?fieldSelector=spec.env=x       | application/json |                     | 400 | spec.env
a limit that is none                 | GET    T?limit=many                     | application/json |                     | 400 |
a continue token that is none        | GET    T?limit=1&continue=zzz           | application/json |                     | 400 | continue
a resourceVersion that is none       | GET    T?resourceVersion=soon           | application/json |                     | 400 |
a resourceVersion from the future    | GET    T?resourceVersion=99999999       | application/json |                     | 504 | Too large resource version
a transaction of nonsense            | POST   /apis/stoa.dev/v1/transactions   | application/json | {"operations": 7}   | 400 | transaction + expected a sequence
an accept of no offer                | POST   /apis/stoa.dev/v1/namespaces/default/offers/none/accept | application/json | {"tasks": []} | 404 | none
a delete of another object           | DELETE T/waits                          | application/json | {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}} | 409 |
a namespace that is not              | POST   /apis/stoa.dev/v1/namespaces/nowhere/tasks | application/json | {"apiVersion": "stoa.dev/v1", "kind": "Task", "metadata": {"name": "bad"}, "spec": {"framework": "honest", "command": ["true"]}} | 404 | nowhere
"#;

/// What is sent, and what is answered.
struct Row {
    what: String,
    method: String,
    path: String,
    media: String,
    body: String,
    code: u16,
    words: Vec<String>,
}

fn post(what: &str, media: &str, body: String, code: &str, words: &str) -> Row {
    let words = words
        .split(" + ")
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let (method, path) = ("POST".to_owned(), TASKS.to_owned());
    Row {
        what: what.into(),
        method,
        path,
        media: media.into(),
        body,
        code: code.parse().unwrap(),
        words,
    }
}

/// The cells of each line.
fn table(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split('|').map(str::trim).collect())
}

fn good_task() -> Value {
    let spec = json!({"framework": "honest", "command": ["true"]});
    json!({"apiVersion": "stoa.dev/v1", "kind": "Task", "metadata": {"name": "bad"}, "spec": spec})
}

/// The object with the entries of some JSON text laid over it.
fn changed(mut object: Value, entries: &str) -> Value {
    let entries: Value = serde_json::from_str(entries).unwrap();
    for (key, value) in entries.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

fn rows() -> Vec<Row> {
    let specs = table(SPECS).map(|cells| {
        let mut task = good_task();
        task["spec"] = changed(task["spec"].take(), cells[1]);
        post(cells[0], JSON, task.to_string(), "422", cells[2])
    });
    let tasks = table(TASKS_CHANGED).map(|cells| {
        post(
            cells[0],
            JSON,
            changed(good_task(), cells[1]).to_string(),
            cells[2],
            cells[3],
        )
    });
    let requests = table(REQUESTS).map(|cells| {
        let (method, path) = cells[1].split_once(' ').unwrap();
        let path = path.trim();
        let path = path
            .strip_prefix('T')
            .map_or(path.to_owned(), |rest| format!("{TASKS}{rest}"));
        Row {
            method: method.into(),
            path,
            ..post(cells[0], cells[2], cells[3].into(), cells[4], cells[5])
        }
    });
    let deep = "[".repeat(100_000);
    let bombs = [
        post("JSON too deep", JSON, deep.clone(), "400", ""),
        post("YAML too deep", "application/yaml", deep, "400", ""),
        post(
            "YAML that grows without bound",
            "application/yaml",
            laughs(),
            "400",
            "",
        ),
    ];
    specs.chain(tasks).chain(requests).chain(bombs).collect()
}

/// Anchors of anchors: nine to the power of twelve words, if one were to write them out.
fn laughs() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let refs = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    text
}

/// Sends every row, and what needs more than a row; tells of all that is not as promised.
pub(super) async fn refused(client: &Client) -> Outcome<()> {
    let mut faults = Vec::new();
    for row in rows() {
        let answer = connect::write(client, &row.method, &row.path, &row.media, row.body).await;
        let (code, text) = match answer {
            Ok(answer) => (answer.status.as_u16(), answer.text()),
            Err(fault) => (0, fault.to_string()),
        };
        if code != row.code || !row.words.iter().all(|word| text.contains(word)) {
            let short: String = text.chars().take(300).collect();
            faults.push(format!(
                "{}: wanted {} {:?}, got {code} {short}",
                row.what, row.code, row.words
            ));
        }
    }
    faults.extend(stale_update(client).await.err().map(|f| f.to_string()));
    faults.extend(unknown_field(client).await.err().map(|f| f.to_string()));
    faults.extend(too_large(client).await.err().map(|f| f.to_string()));
    fault::ensure(faults.is_empty(), || {
        format!(
            "{} answers are not as promised:\n{}",
            faults.len(),
            faults.join("\n")
        )
    })
}

/// PUT of what somebody else has changed meanwhile, and of a version that has never been.
async fn stale_update(client: &Client) -> Outcome<()> {
    let mut task = objects::tasks(client).get("waits").await?;
    for version in ["1", "99999999"] {
        task.metadata.resource_version = Some(version.to_owned());
        task.spec.priority = 5;
        let answer = connect::write(client, "PUT", TASK, JSON, serde_json::to_vec(&task)?).await?;
        let text = answer.text();
        fault::ensure(
            answer.status == 409 && text.contains("the object has been modified"),
            || format!("an update at version {version}: {} {text}", answer.status),
        )?;
    }
    Ok(())
}

/// An unknown field is an error if one asks for strictness, otherwise a warning, or nothing.
async fn unknown_field(client: &Client) -> Outcome<()> {
    let mut body = good_task();
    body["spec"]["colour"] = json!("blue");
    let ask = async |mode: &str| {
        let path = format!("{TASKS}?dryRun=All&fieldValidation={mode}");
        connect::write(client, "POST", &path, JSON, body.to_string()).await
    };
    let strict = ask("Strict").await?;
    fault::ensure(
        strict.status == 400 && strict.text().contains(r#"unknown field \"spec.colour\""#),
        || {
            format!(
                "an unknown field, strict: {} {}",
                strict.status,
                strict.text()
            )
        },
    )?;
    let warned = ask("Warn").await?;
    let warning = warned.warnings.iter().any(|w| w.contains("spec.colour"));
    fault::ensure(warned.status == 201 && warning, || {
        format!(
            "an unknown field, warn: {} {:?}",
            warned.status, warned.warnings
        )
    })?;
    let ignored = ask("Ignore").await?;
    fault::ensure(ignored.status == 201 && ignored.warnings.is_empty(), || {
        format!(
            "an unknown field, ignore: {} {:?}",
            ignored.status, ignored.warnings
        )
    })
}

async fn too_large(client: &Client) -> Outcome<()> {
    let mut body = good_task();
    body["spec"]["env"] = json!({"BIG": "x".repeat(5_000_000)});
    let answer = connect::write(client, "POST", TASKS, JSON, body.to_string()).await?;
    let text: String = answer.text().chars().take(200).collect();
    fault::ensure(answer.status == 413, || {
        format!("5 MB: {} {text}", answer.status)
    })
}
