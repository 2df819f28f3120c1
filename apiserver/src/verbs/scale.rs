//! `/scale`: an autoscaling/v1 Scale as a view of two numbers of any object.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Action, Answer, Context, Shown, Write, apply as apply_verb, patch, update};
use crate::call::Media;
use crate::metadata;
use crate::registry::{Descriptor, Scale};
use crate::status::{Cause, Failure};
use crate::world::World;

/// The Scale of an object.
///
/// # Errors
/// 500 when the object has no number of replicas, as Kubernetes.
pub fn read(resource: &Descriptor, object: &Value) -> Result<Value, Failure> {
    let paths = paths(resource)?;
    let at = |path: &str| object.pointer(&path.replace('.', "/"));
    let wanted = at(&paths.spec).and_then(Value::as_i64);
    let wanted = wanted.ok_or_else(|| {
        Failure::internal(format!(
            "the spec replicas field {:?} does not exist",
            paths.spec
        ))
    })?;
    let mut status = json!({"replicas": at(&paths.status).and_then(Value::as_i64).unwrap_or(0)});
    if let Some(selector) = paths.selector.as_deref().and_then(at) {
        status["selector"] = selector.clone();
    }
    let mut head = serde_json::Map::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        let text = metadata::text(object, field);
        if !text.is_empty() {
            head.insert(field.into(), text.into());
        }
    }
    Ok(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": head,
        "spec": {"replicas": wanted}, "status": status,
    }))
}

fn paths(resource: &Descriptor) -> Result<&Scale, Failure> {
    resource
        .subresources
        .scale
        .as_ref()
        .ok_or_else(Failure::no_such_resource)
}

/// Writes the wanted number through to the object.
///
/// # Errors
/// As an update of the object.
pub fn write(world: &mut World, write: &Write, context: &Context<'_>) -> Result<Answer, Failure> {
    let resource = &write.resource;
    let old = write.existing(world, context)?;
    if write.action == Action::Patch(Media::Apply) {
        return apply(world, write, &old, context);
    }
    let mut scale = read(resource, &old)?;
    match write.action {
        Action::Patch(media) => patch::apply_to(write, media, &mut scale)?,
        Action::Create | Action::Update | Action::Apply | Action::Delete(_) => {
            scale = write.input.value.clone();
        }
    }
    let replicas = replicas(write, &scale)?;
    let mut new = (*old).clone();
    let path = paths(resource)?.spec.replace('.', "/");
    if let Some(place) = new.pointer_mut(&path) {
        *place = replicas.into();
    }
    let version = metadata::text(&scale, "resourceVersion");
    metadata::map(&mut new).insert("resourceVersion".into(), version.into());
    let answer = update::replace(world, write, &old, new.clone(), Vec::new(), context)?;
    // The version of the answer is known only after the commit; clients read it again if they care.
    metadata::map(&mut new).remove("resourceVersion");
    let shown = Shown::Value(read(resource, &new)?);
    Ok(Answer {
        shown,
        resource: Arc::clone(resource),
        ..answer
    })
}

fn replicas(write: &Write, scale: &Value) -> Result<i64, Failure> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64);
    let replicas = replicas.unwrap_or(0);
    if replicas >= 0 {
        return Ok(replicas);
    }
    let detail = "should be a non-negative integer";
    let cause = Cause::invalid("spec.replicas", &replicas.into(), detail);
    Err(Failure::invalid(
        "autoscaling",
        "Scale",
        &write.name,
        vec![cause],
    ))
}

/// An applied Scale is a configuration of the object that says its number alone.
fn apply(
    world: &mut World,
    write: &Write,
    old: &Arc<Value>,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let resource = &write.resource;
    let scale = &write.input.value;
    apply_verb::check_kind("autoscaling/v1", "Scale", scale)?;
    let number = Value::from(replicas(write, scale)?);
    let names = paths(resource)?
        .spec
        .split('.')
        .filter(|name| !name.is_empty());
    let mut config = names
        .rev()
        .fold(number, |below, name| json!({ name: below }));
    config["apiVersion"] = resource.api_version().into();
    config["kind"] = resource.kind.as_str().into();
    let version = metadata::text(scale, "resourceVersion");
    if !version.is_empty() {
        config["metadata"] = json!({"resourceVersion": version});
    }
    let answer = apply_verb::lay(world, write, old, &config, context)?;
    let mut new = Value::clone(&*write.existing(world, context)?);
    metadata::map(&mut new).remove("resourceVersion");
    let shown = Shown::Value(read(resource, &new)?);
    Ok(Answer { shown, ..answer })
}
