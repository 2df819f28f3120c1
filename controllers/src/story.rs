//! A task's life as people read it: one event for each turn it takes.

use manifests::explain::{Cause, Explanation};
use manifests::lifecycle::TaskState;

use crate::effect::Record;
use crate::model::Task;
use crate::ops;
use crate::world::Delta;

/// What a change of a task is worth telling. Steps that went by unseen, because the agent reported
/// several at once, are told too where the end proves them.
#[must_use]
pub fn tell(delta: &Delta<Task>) -> Vec<Record> {
    let Some(new) = &delta.new else {
        return Vec::new();
    };
    let before = delta
        .old
        .as_ref()
        .filter(|old| old.meta.uid == new.meta.uid);
    let (state, attempt) = before.map_or((TaskState::Pending, 0), |old| (old.state, old.attempt));
    if (state, attempt) == (new.state, new.attempt) {
        return Vec::new();
    }
    let mut records = Vec::new();
    let ran = new.state.is_terminal() && new.exit_code.is_some();
    if ran && matches!(state, TaskState::Staging | TaskState::Starting) {
        records.push(started(new));
    }
    records.extend(turn(state, new));
    records
}

/// The turn a task took from `before` to where it is.
fn turn(before: TaskState, task: &Task) -> Option<Record> {
    let (agent, run) = (agent(task), task.attempt + 1);
    let said = task.said.as_deref();
    let said = said.map_or(String::new(), |said| format!(": {said}"));
    let (warning, reason, message) = match task.state {
        TaskState::Pending if run > 1 => {
            let (last, at) = (run - 1, ops::time(task.not_before_ms));
            let text = format!("run {last} ended as {before}; run {run} begins not before {at}");
            (true, "Retried", text)
        }
        TaskState::Pending | TaskState::Starting => return None,
        TaskState::Staging => {
            let text = format!("run {run} bound to agent {agent}");
            (false, "Scheduled", text)
        }
        TaskState::Running if before == TaskState::Unreachable => {
            let text = format!("agent {agent} is heard again; run {run} still runs");
            (false, "Reachable", text)
        }
        TaskState::Running => return Some(started(task)),
        TaskState::Killing => {
            let text = format!("run {run} on agent {agent} was asked to stop");
            (false, "Killing", text)
        }
        TaskState::Finished => {
            let text = format!("run {run} ended well on agent {agent}");
            (false, "Finished", text)
        }
        TaskState::Failed => {
            let text = format!("run {run} failed on agent {agent}{}", end(task));
            (true, "Failed", text)
        }
        TaskState::Killed => (false, "Killed", format!("run {run} ended{said}")),
        TaskState::Unreachable => (true, "Unreachable", format!("run {run}{said}")),
        TaskState::Error => (true, "Error", format!("it cannot be run{said}")),
        TaskState::Lost => (true, "Lost", format!("run {run} was lost{said}")),
        TaskState::Dropped => (true, "Dropped", format!("run {run} did not start{said}")),
        TaskState::Gone | TaskState::GoneByOperator => {
            (true, "Gone", format!("run {run} went with its agent{said}"))
        }
        TaskState::Unknown => (true, "Unknown", format!("nobody knows of run {run}{said}")),
    };
    Some(record(task, warning, reason, message))
}

fn started(task: &Task) -> Record {
    let text = format!("run {} runs on agent {}", task.attempt + 1, agent(task));
    record(task, false, "Started", text)
}

/// What is said of a failure; the exit code, unless it was said already.
fn end(task: &Task) -> String {
    let said = task.said.clone().unwrap_or_default();
    let code = task.exit_code.map(|code| format!("code {code}"));
    let code = code.filter(|code| !said.contains(code.as_str()));
    let parts = [Some(said), code.map(|code| format!("exit {code}"))];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|p| !p.is_empty())
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(": {}", parts.join(", "))
}

fn agent(task: &Task) -> &str {
    task.agent.as_deref().unwrap_or("?")
}

/// That a task has waited for long, and why. A pause before the next run was told with the last.
#[must_use]
pub fn waits(task: &Task, why: &Explanation) -> Option<Record> {
    if why
        .refusals
        .iter()
        .any(|refused| refused.cause == Cause::Backoff)
    {
        return None;
    }
    let end = why.waits_for.iter().map(|end| format!("; waits for {end}"));
    let text = format!("{}{}", why.summary, end.collect::<String>());
    Some(record(task, false, "Waiting", text))
}

fn record(task: &Task, warning: bool, reason: &'static str, message: String) -> Record {
    Record {
        kind: "Task",
        namespace: task.key.namespace.to_string(),
        name: task.key.name.to_string(),
        uid: task.meta.uid.clone(),
        framework: Some(task.framework.clone()),
        warning,
        reason,
        message,
    }
}
