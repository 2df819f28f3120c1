//! Task: who may bind it, and which moves of its state an agent may report.

use manifests::lifecycle::TaskState;
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

/// True if an agent may report `after` of a task last known as `before`. Agents may skip states,
/// since they report the latest one; an unreachable task may turn out to be in any.
fn is_reachable(before: TaskState, after: TaskState) -> bool {
    match (rank(before), rank(after)) {
        _ if before == after => true,
        (Some(from), Some(to)) => from < to,
        (None, Some(_)) => matches!(before, TaskState::Unreachable | TaskState::Unknown),
        (Some(_) | None, None) => false,
    }
}

/// Order of the states an agent reports; none for those it never does.
fn rank(state: TaskState) -> Option<u8> {
    match state {
        TaskState::Staging => Some(0),
        TaskState::Starting => Some(1),
        TaskState::Running => Some(2),
        TaskState::Killing => Some(3),
        TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Lost
        | TaskState::Dropped
        | TaskState::Gone => Some(4),
        TaskState::Pending
        | TaskState::Unreachable
        | TaskState::GoneByOperator
        | TaskState::Unknown => None,
    }
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
