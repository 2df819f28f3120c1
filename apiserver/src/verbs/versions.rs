//! Objects are stored in one version and written in another: what a verb reads is brought into the
//! version it works in, what it plans goes back into the one that is stored.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Context, Write};
use crate::conversion::Wanted;
use crate::keys;
use crate::metadata;
use crate::status::Failure;
use crate::world::World;

/// A stored object as the verb works on it: with all defaults, and in its version.
///
/// # Errors
/// Undecided while a webhook has not converted it; why it did not.
pub fn open(
    write: &Write,
    context: &Context<'_>,
    object: Arc<Value>,
) -> Result<Arc<Value>, Failure> {
    let resource = &write.resource;
    let Some(family) = &resource.family else {
        return Ok(object);
    };
    let working = resource.working_api_version();
    let revision = metadata::text(&object, "resourceVersion").parse();
    let is_whole = !family.may_lack(&working, revision.unwrap_or(0));
    if object["apiVersion"] == *working && is_whole {
        return Ok(object);
    }
    let mut opened = Value::clone(&object);
    family.fill(&mut opened);
    into(write, context, &working, opened).map(Arc::new)
}

/// Plans to store an object.
///
/// # Errors
/// Undecided while a webhook has not converted it; why it did not. 409 if the kind was defined anew
/// since the request came in: the engine begins again.
pub fn put(
    world: &mut World,
    write: &Write,
    context: &Context<'_>,
    key: &Bytes,
    mut object: Value,
) -> Result<(), Failure> {
    if write.resource.family.is_some() {
        check_current(world, write)?;
        let storage = write.resource.storage_api_version();
        object = into(write, context, &storage, object)?;
    }
    world.put(key, object);
    Ok(())
}

fn into(
    write: &Write,
    context: &Context<'_>,
    to: &str,
    mut object: Value,
) -> Result<Value, Failure> {
    if object["apiVersion"] == *to {
        return Ok(object);
    }
    if write.resource.webhook().is_none() {
        object["apiVersion"] = to.into();
        return Ok(object);
    }
    let rulings = context.desk.rulings;
    let rulings =
        rulings.ok_or_else(|| Failure::internal("nobody can be asked to convert here"))?;
    let known = rulings.convert(Wanted::new(&write.resource, to, &object));
    known.ok_or_else(Failure::undecided)?
}

/// Whoever reads an object that is newer than the definition takes it to have its defaults, so it
/// must not be written by an older one. The commit demands that it has not changed.
fn check_current(world: &mut World, write: &Write) -> Result<(), Failure> {
    let resource = &write.resource;
    let key = keys::definition(&resource.group, &resource.plural);
    if world.is_at(&key, resource.defined_at) {
        return Ok(());
    }
    let definition = world.read(&key).ok_or_else(Failure::no_such_resource)?;
    let revision = metadata::text(&definition, "resourceVersion").parse().ok();
    if revision == resource.defined_at {
        return Ok(());
    }
    Err(Failure::redefined())
}
