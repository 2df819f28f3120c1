//! Lets go of tasks that are over: the finalizer that waits for the agent, and kills of tasks that
//! never ran.

use manifests::lifecycle::TaskState;
use serde_json::{Value, json};

use crate::effect::{Token, Write};
use crate::model::{AGENT_FINALIZER, Task};
use crate::ops;

/// The write this task needs, if any.
#[must_use]
pub fn finalize(task: &Task, now_ms: u64) -> Option<Write> {
    let over = task.state.is_terminal() || task.state == TaskState::Pending;
    if task.meta.deleting && over && task.meta.finalizers.iter().any(|f| f == AGENT_FINALIZER) {
        return Some(let_go(task));
    }
    if task.killed && task.state == TaskState::Pending && !task.meta.deleting {
        return Some(kill(task, now_ms));
    }
    None
}

fn let_go(task: &Task) -> Write {
    let kept: Vec<&String> = task
        .meta
        .finalizers
        .iter()
        .filter(|f| *f != AGENT_FINALIZER)
        .collect();
    let mut metadata = ops::guarded(task);
    metadata["finalizers"] = json!(kept);
    let operation = ops::patch("tasks", &task.key, json!({ "metadata": metadata }));
    Write::cold(Token::Task(task.key.clone()), vec![operation])
}

/// No agent knows of it, so nobody else can say that it is over.
fn kill(task: &Task, now_ms: u64) -> Write {
    let status = json!({
        "state": TaskState::Killed,
        "source": "Controller",
        "reason": "KilledBeforeStart",
        "message": "killed before it was placed",
        "finishedAt": ops::micro_time(now_ms),
        "waiting": Value::Null,
        "conditions": [{
            "type": "Complete",
            "status": "True",
            "reason": "Killed",
            "lastTransitionTime": ops::time(now_ms),
        }],
    });
    let body = json!({ "metadata": ops::guarded(task), "status": status });
    let operation = ops::patch_status("tasks", &task.key, body);
    Write::cold(Token::Task(task.key.clone()), vec![operation])
}
