//! Where a write meets admission: first what may change the object, then what may refuse it.
//!
//! The order is upstream's: defaults from limit ranges, mutating webhooks; and later, over the
//! object as it will be stored, limit ranges, policies, validating webhooks and last of all quotas.

use std::sync::Arc;

use serde_json::{Value, json};

use super::matching::{Asked, name_of};
use super::rulings::Rulings;
use super::snapshot::Snapshot;
use super::webhooks::{self, Asking, Webhook};
use super::{limits, naming, policy, quota, readmit, typing};
use crate::metadata;
use crate::registry::Special;
use crate::registry::builtin::admission::{GROUP, POLICIES, QUOTAS};
use crate::status::Failure;
use crate::user::AGENTS;
use crate::verbs::{Context, Write};
use crate::world::World;

/// What the verbs hand on: who has a say, and what they said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Desk<'a> {
    /// Webhooks and policies; none: nobody is asked.
    pub snapshot: Option<&'a Snapshot>,
    /// Answers, and open questions.
    pub rulings: Option<&'a Rulings>,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// Completes an object that is to be created, or to replace `old`. Answers warnings.
///
/// # Errors
/// Whatever admission refuses.
pub fn mutate(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Failure> {
    if is_task(write) && old.is_none() {
        let items = limits::items(world.view(), namespace(write));
        limits::fill(&items, object);
    }
    settle_own(world, write, context, object, old)?;
    let Some((snapshot, rulings)) = concerned(write, context) else {
        return Ok(Vec::new());
    };
    let (changed, warnings) = ask_mutating(
        world,
        write,
        context,
        (snapshot, rulings),
        Some(object),
        old,
    )?;
    if let Some(changed) = changed {
        *object = changed;
        settle_own(world, write, context, object, old)?;
    }
    Ok(warnings)
}

/// Judges an object that is to be stored as it is here. Answers warnings.
///
/// # Errors
/// Whatever admission refuses.
pub fn validate(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<Vec<String>, Failure> {
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
    let warnings = match concerned(write, context) {
        Some(desk) => ask_validating(world, write, context, desk, Some(object), old)?,
        None => Vec::new(),
    };
    charge(world, write, context, object, old)?;
    Ok(warnings)
}

/// Judges a deletion. Answers warnings.
///
/// # Errors
/// Whatever admission refuses.
pub fn delete(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    old: &Value,
) -> Result<Vec<String>, Failure> {
    let Some(desk) = concerned(write, context) else {
        return Ok(Vec::new());
    };
    let (_, mut warnings) = ask_mutating(world, write, context, desk, None, Some(old))?;
    warnings.extend(ask_validating(
        world,
        write,
        context,
        desk,
        None,
        Some(old),
    )?);
    Ok(warnings)
}

type Sources<'a> = (&'a Snapshot, &'a Rulings);

/// Whom to ask about this write. The cluster's own programs are asked about by nobody: a webhook
/// that is down must not keep tasks from ending, or leaders from leading.
fn concerned<'a>(write: &Write, context: &Context<'a>) -> Option<Sources<'a>> {
    let snapshot = context.desk.snapshot?;
    let own = || context.user.is_system() || context.user.is_in(AGENTS);
    (snapshot.concerns(&write.resource) && !own()).then_some((snapshot, context.desk.rulings?))
}

fn asked<'a>(
    write: &'a Write,
    context: &'a Context<'_>,
    object: Option<&'a Value>,
    old: Option<&'a Value>,
) -> Asked<'a> {
    Asked {
        operation: match (object, old) {
            (None, _) => "DELETE",
            (Some(_), None) => "CREATE",
            (Some(_), Some(_)) => "UPDATE",
        },
        resource: &write.resource,
        subresource: &write.subresource,
        namespace: write
            .namespace
            .as_deref()
            .filter(|_| write.resource.namespaced),
        name: name_of(object, old),
        user: context.user,
        authorizer: &context.authorizer,
        dry_run: context.desk.dry_run,
        object,
        old,
    }
}

/// Puts the questions of some webhooks.
fn put<T>(
    world: &mut World,
    context: &Context<'_>,
    rulings: &Rulings,
    hooks: &[Arc<Webhook>],
    question: impl FnOnce(&mut Asking<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    question(&mut Asking {
        hooks,
        rulings,
        registry: context.registry,
        world,
    })
}

fn ask_mutating(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    (snapshot, rulings): Sources<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<(Option<Value>, Vec<String>), Failure> {
    let asked = asked(write, context, object, old);
    let apply =
        |present: &Value, patch: &Value| readmit::patched(write, context, present, old, patch);
    put(world, context, rulings, &snapshot.mutating, |asking| {
        webhooks::mutate(asking, &asked, &apply)
    })
}

fn ask_validating(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    (snapshot, rulings): Sources<'_>,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Result<Vec<String>, Failure> {
    let asked = asked(write, context, object, old);
    let policies = &snapshot.policies;
    let mut warnings =
        rulings.note(|notes| policy::validate(world, policies, context.registry, &asked, notes))?;
    let said = put(world, context, rulings, &snapshot.validating, |asking| {
        webhooks::validate(asking, &asked)
    });
    warnings.extend(said?);
    Ok(warnings)
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

/// A definition says whether its names are free, a quota what it counts, and a policy that it was
/// looked at, all from their first moment:
/// expressions are judged when they are written, so there is nothing left to find out.
fn settle_own(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    let resource = &write.resource;
    if resource.special == Special::Definition && write.subresource.is_empty() {
        naming::settle(world, context, object, old)?;
    }
    if resource.group.is_empty() && resource.plural == QUOTAS && write.subresource.is_empty() {
        let mut tally = quota::Tally::default();
        object["status"] = quota::status(world.view(), object, namespace(write), &mut tally);
    }
    if resource.group == GROUP && resource.plural == POLICIES && write.subresource.is_empty() {
        let generation = object["metadata"]["generation"].clone();
        let checked = match typing::warnings(&object["spec"], context.registry) {
            warnings if warnings.is_empty() => json!({}),
            warnings => json!({"expressionWarnings": warnings}),
        };
        object["status"] = json!({"observedGeneration": generation, "typeChecking": checked});
    }
    Ok(())
}
