//! `accept` and `decline` of an Offer: tasks are bound to the offer's agent, all or none.

pub mod bind;

use std::sync::Arc;

use manifests::kinds::{Acceptance, AcceptedTask, GROUP, Refusal};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Action, Answer, Context, Write, create};
use crate::body::{Input, shaped};
use crate::keys;
use crate::metadata;
use crate::registry::Descriptor;
use crate::status::{Cause, Failure};
use crate::world::World;

/// Binds the tasks of the body to the offer's agent.
///
/// # Errors
/// 404 and 409 for an offer or task that is not as the caller thinks, 422 for what does not fit.
pub fn accept(
    world: &mut World,
    write: &Write,
    context: &mut Context<'_>,
) -> Result<Answer, Failure> {
    let offer = write.existing(world, context)?;
    let acceptance: Acceptance = body(&write.input.value)?;
    let tasks = context
        .registry
        .by_plural(GROUP, "tasks")
        .ok_or_else(Failure::no_such_resource)?;
    let mut found = Vec::with_capacity(acceptance.tasks.len());
    for (n, wanted) in acceptance.tasks.iter().enumerate() {
        let named = candidate(world, write, &tasks, &offer, wanted, context);
        found.push(named.map_err(|failure| failure.within(&format!("tasks[{n}]")))?);
    }
    let bound = bind::bind(&offer, found, &acceptance, context.now)
        .map_err(|refusal| refuse(write, refusal))?;
    for task in bound.tasks {
        let key = keys::of(
            &tasks,
            write.namespace.as_deref(),
            metadata::text(&task, "name"),
        );
        world.put(&key, task);
    }
    let key = write.key();
    world.put(&key, bound.offer);
    Ok(Answer::stored(write, 200, key, Vec::new()))
}

/// Declines the offer.
///
/// # Errors
/// 404, and 409 when the offer is open no more.
pub fn decline(world: &mut World, write: &Write, context: &Context<'_>) -> Result<Answer, Failure> {
    let offer = write.existing(world, context)?;
    let refusal: Refusal = body(&write.input.value)?;
    bind::check_open(&offer, context.now).map_err(|refusal| refuse(write, refusal))?;
    let mut declined = (*offer).clone();
    let seconds = bind::refuse_seconds(refusal.refuse_seconds);
    declined["status"] = json!({"phase": "Declined", "refuseSeconds": seconds});
    let key = write.key();
    world.put(&key, declined);
    Ok(Answer::stored(write, 200, key, Vec::new()))
}

fn body<T: DeserializeOwned + Default>(value: &Value) -> Result<T, Failure> {
    if value.is_null() {
        Ok(T::default())
    } else {
        shaped(value.clone(), "the body")
    }
}

/// The task to bind: one that waits, or a new one. New ones are planned at once, so that two of
/// one name, or one that exists, are noticed.
fn candidate(
    world: &mut World,
    write: &Write,
    tasks: &Arc<Descriptor>,
    offer: &Value,
    wanted: &AcceptedTask,
    context: &mut Context<'_>,
) -> Result<Value, Failure> {
    let Some(name) = &wanted.name else {
        return new_task(world, write, tasks, offer, wanted, context);
    };
    let key = keys::of(tasks, write.namespace.as_deref(), name);
    let task = world
        .read(&key)
        .ok_or_else(|| Failure::not_found(&tasks.gr(), name))?;
    match &wanted.resource_version {
        Some(version) if version != metadata::text(&task, "resourceVersion") => {
            Err(Failure::modified(&tasks.gr(), name))
        }
        Some(_) | None => Ok((*task).clone()),
    }
}

fn new_task(
    world: &mut World,
    write: &Write,
    tasks: &Arc<Descriptor>,
    offer: &Value,
    wanted: &AcceptedTask,
    context: &mut Context<'_>,
) -> Result<Value, Failure> {
    // Launching a task that does not exist yet needs the right to create one.
    context.may_create(tasks, write.namespace.as_deref(), "")?;
    let failure = |error| Failure::internal(format!("a task does not encode: {error}"));
    let mut spec = serde_json::to_value(&wanted.spec).map_err(failure)?;
    if !spec.is_object() {
        let cause = Cause::required("spec", "a task is named, or has metadata and spec");
        return Err(Failure::invalid(GROUP, "Task", "", vec![cause]));
    }
    if spec["framework"].as_str().unwrap_or_default().is_empty() {
        spec["framework"] = offer["spec"]["framework"].clone();
    }
    let metadata = serde_json::to_value(&wanted.metadata).map_err(failure)?;
    let object = json!({"metadata": metadata, "spec": spec});
    let creation = Write {
        action: Action::Create,
        resource: Arc::clone(tasks),
        namespace: write.namespace.clone(),
        name: String::new(),
        subresource: String::new(),
        input: Input::of(object),
        validation: write.validation,
    };
    let (task, _) = create::prepare(world, &creation, context)?;
    let key = create::store(world, &creation, task, context)?;
    let planned = world
        .read(&key)
        .ok_or_else(|| Failure::internal("a planned task is missing"))?;
    Ok((*planned).clone())
}

fn refuse(write: &Write, refusal: bind::Refusal) -> Failure {
    let (resource, name) = (&write.resource, write.name.as_str());
    match refusal {
        bind::Refusal::Stale(text) => Failure::conflict(&resource.gr(), name, &text),
        bind::Refusal::Invalid(causes) => {
            Failure::invalid(&resource.group, &resource.kind, name, causes)
        }
    }
}
