//! The end of `up --exit-when-done`: what became of the tasks, and why some failed.

use std::time::Duration;

use futures::StreamExt;
use manifests::kinds::Task;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::layout::Layout;
use crate::cluster::{Ask, Cluster, query};
use crate::command::wait::{self, Goal};
use crate::exit::{Failure, Outcome};
use crate::kinds::Kinds;
use crate::output;
use crate::progress::{Ended, Progress};
use crate::source::Given;

/// Lines of a failed task's standard error to show.
const TAIL: &str = "5";

/// Longest wait for the end of a failed task's log.
const LOG_LIMIT: Duration = Duration::from_secs(3);

/// Longest wait until an ended task is removed before it is run again.
const ROOM_LIMIT: Duration = Duration::from_secs(30);

/// Says how the tasks ended. An error when any ended badly.
pub(super) async fn print(clusters: &[Cluster], progress: &Progress, layout: &Layout) -> Outcome {
    let failures = progress.failures();
    for ended in &failures {
        output::line(&format!("\n{}: {}", ended.key, ended.why))?;
        if ended.exists
            && let Some(log) = stderr(&clusters[0], ended).await
        {
            output::line("  its standard error ends with:")?;
            log.lines()
                .try_for_each(|line| output::line(&format!("    {line}")))?;
        }
    }
    output::line(&format!("logs are in {}", layout.logs().display()))?;
    output::line(&format!("kubeconfig is {}", layout.kubeconfig().display()))?;
    if failures.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = failures.iter().map(|ended| ended.key.to_string()).collect();
    Err(
        Failure::new(format!("{} did not end well", names.join(", "))).hint(format!(
            "`stoa up --data-dir {}` starts the cluster again to look at them",
            layout.root().display()
        )),
    )
}

async fn stderr(cluster: &Cluster, ended: &Ended) -> Option<String> {
    let path = format!(
        "/apis/stoa.dev/v1/namespaces/{}/tasks/{}/log",
        ended.key.namespace, ended.key.name
    );
    let path = query(&path, &[("stream", "Stderr"), ("tailLines", TAIL)]);
    let read = async {
        let mut chunks = cluster.stream(&path).await.ok()?;
        let mut text = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            text.extend_from_slice(&chunk);
        }
        Some(String::from_utf8_lossy(&text).trim_end().to_owned())
    };
    let text = tokio::time::timeout(LOG_LIMIT, read).await.ok().flatten()?;
    (!text.is_empty()).then_some(text)
}

/// Removes applied tasks that ended in an earlier run on the same data, so that they run again.
pub(super) async fn make_room(cluster: &Cluster, objects: &[Given]) -> Outcome {
    let kinds = Kinds::offline();
    let deadline = Instant::now() + ROOM_LIMIT;
    for given in objects {
        let object = &given.object;
        let Some(kind) = kinds.of_object(object) else {
            continue;
        };
        if !["Task", "TaskGroup"].contains(&kind.kind.as_str()) {
            continue;
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let namespace =
            text(&object["metadata"]["namespace"]).unwrap_or_else(|| cluster.namespace.clone());
        let name = text(&object["metadata"]["name"]).unwrap_or_default();
        let path = kind.object(&namespace, &name);
        let Some(live) = cluster.find(&path).await? else {
            continue;
        };
        if !has_ended(&live) {
            continue;
        }
        output::line(&format!(
            "{}/{name} ended in an earlier run; it is run again",
            kind.label()
        ))?;
        // A group is gone only when its members are: their names are needed again.
        let policy = if kind.kind == "TaskGroup" {
            "Foreground"
        } else {
            "Background"
        };
        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        cluster.fetch(Ask::delete(&path, &options)).await?;
        let goal = Goal::Deleted {
            uid: text(&live["metadata"]["uid"]),
        };
        wait::until(cluster, kind, &namespace, &name, &goal, deadline).await?;
    }
    Ok(())
}

fn has_ended(live: &Value) -> bool {
    let phase = live["status"]["phase"].as_str();
    let group = matches!(phase, Some("Finished" | "Failed"));
    let task = serde_json::from_value::<Task>(live.clone());
    group || task.is_ok_and(|task| task.status.is_some_and(|status| status.state.is_terminal()))
}
