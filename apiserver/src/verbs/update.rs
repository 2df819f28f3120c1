//! PUT: an object takes another's place. Patches end here too, once they are applied.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, Context, Shown, Write, create, delete, fields, versions};
use crate::admission::{self, hooks};
use crate::metadata;
use crate::registry::Special;
use crate::special;
use crate::status::{Cause, Failure};
use crate::world::World;

/// Replaces the object, or its status.
///
/// # Errors
/// 400, 403, 404, 409, 422.
pub fn run(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let resource = &write.resource;
    let creates = resource.create_on_update && write.subresource.is_empty();
    if creates && world.read(&write.key()).is_none() {
        return create::run(world, write, context);
    }
    let old = write.existing(world, context)?;
    let (new, warnings) = admission::decode(resource, write.input.clone(), write.validation)?;
    let unversioned = metadata::text(&new, "resourceVersion").is_empty();
    let versioned = !metadata::text(&old, "resourceVersion").is_empty();
    if unversioned && versioned && !resource.unconditional_update {
        const TEXT: &str = "Invalid value: 0: must be specified for an update";
        let cause = Cause::of("metadata.resourceVersion", TEXT);
        // The storage refuses this upstream, and it knows the resource and not the kind.
        return Err(Failure::invalid(
            &resource.group,
            &resource.plural,
            &write.name,
            vec![cause],
        ));
    }
    replace(world, write, &old, new, warnings, context)
}

/// Plans `new` in the place of `old`, after all checks.
///
/// # Errors
/// 400, 409, 422.
pub fn replace(
    world: &mut World,
    write: &Write,
    old: &Arc<Value>,
    mut new: Value,
    mut warnings: Vec<String>,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let resource = &write.resource;
    check_identity(write, old, &new)?;
    let owners = metadata::map(&mut new).remove("managedFields");
    merge(write, old, &mut new, context)?;
    fields::on_update(write, old, &mut new, owners, context);
    if resource.special == Special::Event {
        // Whom an event is about may change with it.
        context.check_owner(world, resource, &new)?;
    }
    warnings.extend(hooks::mutate(world, write, context, &mut new, Some(old))?);
    admission::check(resource, &new, Some(old))?;
    warnings.extend(hooks::validate(world, write, context, &new, Some(old))?);
    store(world, write, new, warnings, context)
}

/// What of `new` is taken through this subresource; the rest is as it was.
///
/// # Errors
/// 422.
pub fn merge(
    write: &Write,
    old: &Value,
    new: &mut Value,
    context: &Context<'_>,
) -> Result<(), Failure> {
    match write.subresource.as_str() {
        "status" => {
            *new = with_status(old, new);
            if write.resource.special == Special::Task {
                special::task::on_status(&write.resource, new, old, context.user)?;
            }
            if write.resource.special == Special::Csr {
                special::csr::on_status(write, old, new, context)?;
            }
        }
        "finalize" => *new = with_finalizers(old, new),
        "approval" => *new = special::csr::on_approval(write, old, new, context)?,
        _ => main(write, old, new, context)?,
    }
    Ok(())
}

/// The object itself: everything but what is retained, and but the status.
fn main(write: &Write, old: &Value, new: &mut Value, context: &Context<'_>) -> Result<(), Failure> {
    let resource = &write.resource;
    metadata::retain(old, new);
    if resource.subresources.status {
        set_status(new, old.get("status"));
    }
    special::on_update(resource, new, old, context.user)?;
    if metadata::is_deleting(old) {
        if resource.special == Special::Definition && !context.user.is_system() {
            special::definition::keep_cleanup(old, new);
        }
        check_finalizers(write, old, new)?;
    }
    if resource.generation && admission::differs_beyond_status(resource, old, new) {
        metadata::next_generation(new);
    }
    Ok(())
}

/// Name, namespace and uid are for ever; the version is the client's precondition.
fn check_identity(write: &Write, old: &Value, new: &Value) -> Result<(), Failure> {
    let gr = write.resource.gr();
    for field in ["name", "namespace"] {
        let (is, wanted) = (metadata::text(old, field), metadata::text(new, field));
        if !wanted.is_empty() && wanted != is {
            let text = format!(
                "the {field} of the object ({wanted}) does not match the {field} on the URL ({is})"
            );
            return Err(Failure::bad_request(text));
        }
    }
    let (is, wanted) = (metadata::text(old, "uid"), metadata::text(new, "uid"));
    if !wanted.is_empty() && wanted != is {
        let text =
            format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {is}");
        return Err(Failure::conflict(&gr, &write.name, &text));
    }
    let (is, wanted) = (
        metadata::text(old, "resourceVersion"),
        metadata::text(new, "resourceVersion"),
    );
    if !wanted.is_empty() && wanted != is {
        return Err(Failure::modified(&gr, &write.name));
    }
    Ok(())
}

/// Once an object is going, finalizers can only be removed.
fn check_finalizers(write: &Write, old: &Value, new: &Value) -> Result<(), Failure> {
    let before = metadata::finalizers(old);
    let added: Vec<String> = metadata::finalizers(new)
        .into_iter()
        .filter(|f| !before.contains(f))
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let text = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
    );
    let cause = Cause::forbidden("metadata.finalizers", &text);
    let (group, kind) = (&write.resource.group, &write.resource.kind);
    Err(Failure::invalid(group, kind, &write.name, vec![cause]))
}

fn with_status(old: &Value, new: &Value) -> Value {
    let mut object = old.clone();
    set_status(&mut object, new.get("status"));
    object
}

fn set_status(object: &mut Value, status: Option<&Value>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    match status {
        Some(status) if !status.is_null() => _ = map.insert("status".into(), status.clone()),
        Some(_) | None => _ = map.remove("status"),
    }
}

/// `namespaces/NAME/finalize` changes `spec.finalizers` alone.
fn with_finalizers(old: &Value, new: &Value) -> Value {
    let mut object = old.clone();
    let wanted = new
        .pointer("/spec/finalizers")
        .cloned()
        .unwrap_or_else(|| json!([]));
    object["spec"] = json!({ "finalizers": wanted });
    object
}

/// Plans the object, or its removal when nothing holds it any more.
fn store(
    world: &mut World,
    write: &Write,
    new: Value,
    warnings: Vec<String>,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let key: Bytes = write.key();
    if metadata::is_deleting(&new) && is_released(write, &new) {
        delete::remove(world, &key);
        let resource = Arc::clone(&write.resource);
        return Ok(Answer {
            code: 200,
            shown: Shown::Removed(key, new),
            resource,
            warnings,
        });
    }
    versions::put(world, write, context, &key, new)?;
    Ok(Answer::stored(write, 200, key, warnings))
}

fn is_released(write: &Write, object: &Value) -> bool {
    if write.resource.special == Special::Namespace {
        special::namespace::is_released(object)
    } else {
        metadata::finalizers(object).is_empty()
    }
}
