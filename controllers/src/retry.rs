//! A run that is over and has another to follow: the task goes back to the queue.

use manifests::lifecycle::TaskState;
use serde_json::{Value, json};

use crate::effect::{Token, Write};
use crate::model::{AGENT_FINALIZER, Task};
use crate::ops;

/// The write that puts an ended task back in the queue, when its policy says so.
///
/// `lifecycle::should_retry` has decided when the task was seen to end; the attempt goes up by one
/// here, so that the next run is another one for the agent.
#[must_use]
pub fn retry(task: &Task, now_ms: u64) -> Option<Write> {
    let at = task
        .retry_at_ms
        .filter(|_| task.state.is_terminal() && !task.meta.deleting)?;
    let finalizers: Vec<&String> = task
        .meta
        .finalizers
        .iter()
        .filter(|f| *f != AGENT_FINALIZER)
        .collect();
    let mut metadata = ops::guarded(task);
    metadata["finalizers"] = json!(finalizers);
    let spec = json!({ "agent": Value::Null, "reservation": Value::Null });
    let release = ops::patch(
        "tasks",
        &task.key,
        json!({ "metadata": metadata, "spec": spec }),
    );
    let attempt = task.attempt + 1;
    let status = json!({
        "state": TaskState::Pending,
        "source": "Controller",
        "reason": "Retry",
        "message": format!("run {attempt} ended as {}; another follows", task.state),
        "attempt": attempt,
        "notBefore": ops::time(round_up(at)),
        "startedAt": Value::Null,
        "finishedAt": Value::Null,
        "boundAt": Value::Null,
        "waiting": Value::Null,
        "conditions": [{
            "type": "Scheduled",
            "status": "False",
            "reason": "Retry",
            "lastTransitionTime": ops::time(now_ms),
        }],
    });
    let body = json!({ "metadata": { "uid": task.meta.uid }, "status": status });
    let again = ops::patch_status("tasks", &task.key, body);
    Some(Write::cold(
        Token::Retry(task.key.clone()),
        vec![release, again],
    ))
}

/// `notBefore` is written in whole seconds, and must not be earlier than meant.
fn round_up(ms: u64) -> u64 {
    ms.div_ceil(1_000) * 1_000
}
