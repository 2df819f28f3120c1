//! `/scale`: an autoscaling/v1 Scale as a view of two numbers of any object.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Action, Answer, Context, Shown, Write, patch, update};
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
    let mut scale = read(resource, &old)?;
    match write.action {
        Action::Patch(media) => patch::apply_to(write, media, &mut scale)?,
        Action::Create | Action::Update | Action::Apply | Action::Delete(_) => {
            scale = write.input.value.clone();
        }
    }
    let replicas = scale
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if replicas < 0 {
        let cause = Cause::invalid(
            "spec.replicas",
            &replicas.into(),
            "should be a non-negative integer",
        );
        return Err(Failure::invalid(
            "autoscaling",
            "Scale",
            &write.name,
            vec![cause],
        ));
    }
    let mut new = (*old).clone();
    let path = paths(resource)?.spec.replace('.', "/");
    if let Some(place) = new.pointer_mut(&path) {
        *place = replicas.into();
    }
    let version = metadata::text(&scale, "resourceVersion");
    metadata::map(&mut new).insert("resourceVersion".into(), version.into());
    let plain = Write {
        subresource: String::new(),
        ..write.clone()
    };
    let answer = update::replace(world, &plain, &old, new.clone(), Vec::new(), context)?;
    // The version of the answer is known only after the commit; clients read it again if they care.
    metadata::map(&mut new).remove("resourceVersion");
    let shown = Shown::Value(read(resource, &new)?);
    Ok(Answer {
        shown,
        resource: Arc::clone(resource),
        ..answer
    })
}
