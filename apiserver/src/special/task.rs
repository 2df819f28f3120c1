//! Task: who may bind it, and which moves of its state an agent may report.

use manifests::lifecycle::{TaskEvent, TaskState, next};
use serde_json::{Value, json};

use crate::metadata;
use crate::registry::Descriptor;
use crate::status::{Cause, Failure};
use crate::user::{MASTERS, User};

/// Fields of the spec that only accept and the controllers write.
const BOUND: [&str; 2] = ["agent", "reservation"];

/// A new task waits. A status it came with was the client's idea and is dropped.
///
/// # Errors
/// 422 when somebody binds a task by hand.
pub fn on_create(resource: &Descriptor, object: &mut Value, user: &User) -> Result<(), Failure> {
    object["status"] = json!({"state": TaskState::Pending, "attempt": 0});
    guard_binding(resource, object, &Value::Null, user)
}

/// The binding is kept when the body leaves it out.
///
/// # Errors
/// 422 when somebody changes it by hand.
pub fn on_update(
    resource: &Descriptor,
    object: &mut Value,
    old: &Value,
    user: &User,
) -> Result<(), Failure> {
    guard_binding(resource, object, old, user)
}

fn guard_binding(
    resource: &Descriptor,
    object: &mut Value,
    old: &Value,
    user: &User,
) -> Result<(), Failure> {
    if user.is_system() {
        return Ok(());
    }
    let mut causes = Vec::new();
    for field in BOUND {
        let before = old
            .get("spec")
            .and_then(|spec| spec.get(field))
            .unwrap_or(&Value::Null);
        let now = object["spec"].get(field).unwrap_or(&Value::Null);
        if now.is_null() && !before.is_null() && object["spec"].is_object() {
            object["spec"][field] = before.clone();
        } else if now != before {
            const TEXT: &str = "may not be set by hand: tasks are bound by accepting an offer";
            causes.push(Cause::forbidden(format!("spec.{field}"), TEXT));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = metadata::text(object, "name");
    Err(Failure::invalid(
        &resource.group,
        &resource.kind,
        name,
        causes,
    ))
}

/// Judges a new status. Controllers and administrators may write any.
///
/// # Errors
/// 422 when the state moves against the task lifecycle.
pub fn on_status(
    resource: &Descriptor,
    object: &Value,
    old: &Value,
    user: &User,
) -> Result<(), Failure> {
    if user.is_system() || user.is_in(MASTERS) {
        return Ok(());
    }
    let (before, after) = (state(old), state(object));
    if is_reachable(before, after) {
        return Ok(());
    }
    let message =
        format!("Invalid value: \"{after}\": a task that is {before} cannot become {after}");
    let causes = vec![Cause::of("status.state", message)];
    Err(Failure::invalid(
        &resource.group,
        &resource.kind,
        metadata::text(object, "name"),
        causes,
    ))
}

fn state(object: &Value) -> TaskState {
    object
        .pointer("/status/state")
        .and_then(|s| serde_json::from_value(s.clone()).ok())
        .unwrap_or_default()
}

/// What an agent may report of a task.
const REPORTS: [TaskEvent; 9] = [
    TaskEvent::AgentStarting,
    TaskEvent::AgentRunning,
    TaskEvent::KillRequested,
    TaskEvent::Exited {
        code: Some(0),
        signal: None,
        on_request: false,
    },
    TaskEvent::Exited {
        code: Some(1),
        signal: None,
        on_request: false,
    },
    TaskEvent::LaunchFailed,
    TaskEvent::Refused,
    TaskEvent::Forgotten,
    TaskEvent::Invalid,
];

/// True if an agent's reports lead from one state to the other. Agents tell the latest state and
/// may have passed through others since. A task that waits has no agent.
fn is_reachable(before: TaskState, after: TaskState) -> bool {
    let mut reached = vec![before];
    let mut looked_at = 0;
    while let Some(state) = reached.get(looked_at).copied() {
        looked_at += 1;
        if state == after {
            return true;
        }
        if state == TaskState::Pending {
            continue;
        }
        for to in REPORTS.iter().filter_map(|event| next(state, event).ok()) {
            if !reached.contains(&to) {
                reached.push(to);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState::{Failed, Finished, Killing, Pending, Running, Staging, Starting, Unreachable};

    #[test]
    fn moves() {
        for (before, after, legal) in [
            (Staging, Running, true),
            (Staging, Finished, true),
            (Starting, Starting, true),
            (Running, Starting, false),
            (Finished, Running, false),
            (Finished, Failed, false),
            (Pending, Running, false),
            (Running, Pending, false),
            (Unreachable, Running, true),
            (Unreachable, Finished, true),
            (Killing, Finished, true),
        ] {
            assert_eq!(is_reachable(before, after), legal, "{before} → {after}");
        }
    }

    #[test]
    fn binding_is_kept_and_guarded() {
        let resource = Descriptor::default();
        let person = User::new("ann", "people");
        let old = json!({"spec": {"agent": "a1"}});
        let mut absent = json!({"spec": {}});
        on_update(&resource, &mut absent, &old, &person).unwrap();
        assert_eq!(absent["spec"]["agent"], "a1");
        let mut moved = json!({"spec": {"agent": "a2"}});
        assert_eq!(
            on_update(&resource, &mut moved.clone(), &old, &person)
                .unwrap_err()
                .code(),
            422
        );
        on_update(&resource, &mut moved, &old, &User::controllers()).unwrap();
    }
}
