//! Task groups: makes the members, and says how the group fares.

use std::collections::BTreeMap;
use std::sync::Arc;

use manifests::kinds::{API_VERSION, TaskGroupStatus};
use manifests::lifecycle::TaskState;
use serde_json::json;

use crate::effect::{Token, Write};
use crate::model::{Group, Key, Task};
use crate::ops;
use crate::world::World;

/// What the group needs: members that are not there, and its status where it is not true.
#[must_use]
pub fn reconcile(world: &World, key: &Key) -> Vec<Write> {
    let Some(group) = world.groups.get(key).filter(|group| !group.meta.deleting) else {
        return Vec::new();
    };
    let members: BTreeMap<&str, &Arc<Task>> = world
        .members_of(key)
        .map(|task| (&*task.key.name, task))
        .collect();
    let mut writes = Vec::new();
    // Once any member has run, a missing one was deleted on purpose, and be it all of them.
    if !has_begun(group)
        && members
            .values()
            .all(|task| task.state == TaskState::Pending && task.attempt == 0)
    {
        writes.extend(make(world, group, &members));
    }
    let status = status(group, &members);
    if status != group.status {
        let body = json!({ "metadata": { "uid": group.meta.uid }, "status": status });
        let operation = ops::patch_status("taskgroups", key, body);
        writes.push(Write::cold(Token::Group(key.clone()), vec![operation]));
    }
    writes
}

/// All missing members in one write: a gang is whole or not there.
fn make(world: &World, group: &Group, members: &BTreeMap<&str, &Arc<Task>>) -> Option<Write> {
    let mut operations = Vec::new();
    for member in &group.spec.tasks {
        let key = group
            .key
            .sibling(&format!("{}-{}", group.key.name, member.name));
        // A foreign task of this name is in the way: it is not ours to touch.
        if members.contains_key(&*key.name) || world.tasks.get(&key).is_some() {
            continue;
        }
        let mut spec = member.spec.clone();
        spec.framework.clone_from(&group.spec.framework);
        spec.group = Some(group.key.name.to_string());
        (spec.agent, spec.reservation) = (None, None);
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": "Task",
            "metadata": {
                "namespace": &*key.namespace,
                "name": &*key.name,
                "labels": { "stoa.dev/group": &*group.key.name },
                "ownerReferences": [{
                    "apiVersion": API_VERSION,
                    "kind": "TaskGroup",
                    "name": &*group.key.name,
                    "uid": group.meta.uid,
                    "controller": true,
                    "blockOwnerDeletion": true,
                }],
            },
            "spec": spec,
        });
        operations.push(ops::create("tasks", &key, body));
    }
    let write = Write::cold(Token::Group(group.key.clone()), operations);
    (!write.operations.is_empty()).then_some(write)
}

/// True once any member was seen to run; `Pending` is then never said again.
fn has_begun(group: &Group) -> bool {
    let phase = group.status.phase.as_deref();
    phase.is_some_and(|phase| phase != "Pending")
}

fn status(group: &Group, members: &BTreeMap<&str, &Arc<Task>>) -> TaskGroupStatus {
    let count = |which: &dyn Fn(&Task) -> bool| {
        i64::try_from(members.values().filter(|task| which(task)).count()).unwrap_or(i64::MAX)
    };
    let ended = |task: &Task| task.state.is_terminal() && task.retry_at_ms.is_none();
    let running = count(&|task| task.is_active());
    let finished = count(&|task| ended(task) && task.state == TaskState::Finished);
    let failed = count(&|task| ended(task) && task.state != TaskState::Finished);
    let size = i64::try_from(group.spec.tasks.len()).unwrap_or(i64::MAX);
    let phase = if failed > 0 && finished + failed >= size {
        "Failed"
    } else if finished >= size {
        "Finished"
    } else if running + finished + failed > 0 {
        "Running"
    } else {
        let before = group.status.phase.as_deref();
        before.filter(|_| has_begun(group)).unwrap_or("Pending")
    };
    TaskGroupStatus {
        phase: Some(phase.to_owned()),
        running,
        finished,
        failed,
    }
}
