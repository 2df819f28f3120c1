//! Where a write meets admission: first what may change the object, then what may refuse it.
//!
//! Order and texts are upstream's: defaults from limit ranges, and later, over the object as it
//! will be stored, limit ranges and last of all quotas.

use serde_json::Value;

use super::{limits, quota};
use crate::metadata;
use crate::registry::builtin::admission::QUOTAS;
use crate::status::Failure;
use crate::user::AGENTS;
use crate::verbs::{Context, Write};
use crate::world::World;

/// Completes an object that is to be created, or to replace `old`.
///
/// # Errors
/// Whatever admission refuses.
pub fn mutate(
    world: &World,
    write: &Write,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    if is_task(write) && old.is_none() {
        let items = limits::items(world.view(), namespace(write));
        limits::fill(&items, object);
    }
    settle_own(world, write, object);
    Ok(())
}

/// Judges an object that is to be stored as it is here.
///
/// # Errors
/// Whatever admission refuses.
pub fn validate(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    let changed =
        |field: &str| old.is_none_or(|old| old["spec"].get(field) != object["spec"].get(field));
    if is_task(write)
        && is_judged(write, context, old)
        && (changed("resources") || changed("limits"))
    {
        let items = limits::items(world.view(), namespace(write));
        let problems = limits::problems(&items, object);
        if !problems.is_empty() {
            return Err(forbidden(write, object, &limits::sentence(&problems)));
        }
    }
    charge(world, write, context, object, old)
}

/// Quotas bind whoever makes something in a namespace: people, their programs, and the controllers
/// where these make tasks on somebody's behalf. Reports of what happened are never refused.
fn charge(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    if !write.resource.namespaced || !is_judged(write, context, old) {
        return Ok(());
    }
    let change = quota::Change {
        group: &write.resource.group,
        plural: &write.resource.plural,
        namespace: namespace(write),
        old,
        new: object,
    };
    quota::charge(world, &change).map_err(|text| forbidden(write, object, &text))
}

/// True if this write may be refused for what it takes.
fn is_judged(write: &Write, context: &Context<'_>, old: Option<&Value>) -> bool {
    let made_by_controllers = is_task(write) && old.is_none();
    write.subresource.is_empty()
        && !context.user.is_in(AGENTS)
        && (!context.user.is_system() || made_by_controllers)
}

fn is_task(write: &Write) -> bool {
    let resource = &write.resource;
    resource.group == manifests::kinds::GROUP
        && resource.plural == "tasks"
        && write.subresource.is_empty()
}

fn namespace(write: &Write) -> &str {
    write.namespace.as_deref().unwrap_or_default()
}

fn forbidden(write: &Write, object: &Value, text: &str) -> Failure {
    Failure::forbidden(&write.resource.gr(), metadata::text(object, "name"), text)
}

/// A quota says from its first moment what it counts.
fn settle_own(world: &World, write: &Write, object: &mut Value) {
    let resource = &write.resource;
    if resource.group.is_empty() && resource.plural == QUOTAS && write.subresource.is_empty() {
        let mut tally = quota::Tally::default();
        object["status"] = quota::status(world.view(), object, namespace(write), &mut tally);
    }
}
