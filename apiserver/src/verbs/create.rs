//! POST: a new object.

use bytes::Bytes;
use serde_json::Value;

use super::{Answer, Context, Write, fields, versions};
use crate::admission::{self, hooks};
use crate::keys;
use crate::metadata;
use crate::registry::{Origin, Special};
use crate::special;
use crate::status::{Cause, Failure, Gr};
use crate::user::AGENTS;
use crate::world::World;

/// How often another generated name is tried.
const NAMES_TRIED: u32 = 8;

/// Creates the object of the body.
///
/// # Errors
/// 400, 403, 404 (namespace), 405, 409, 422.
pub fn run(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let (object, warnings) = prepare(world, write, context)?;
    let key = store(world, write, object, context)?;
    Ok(Answer::stored(write, 201, key, warnings))
}

/// Decodes the body into an object that lacks only its final name; answers warnings too.
///
/// # Errors
/// 400, 403, 405, 422.
pub fn prepare(
    world: &mut World,
    write: &Write,
    context: &mut Context<'_>,
) -> Result<(Value, Vec<String>), Failure> {
    let resource = &write.resource;
    if !resource.serves("create") || resource.special == Special::Review {
        return Err(write.not_allowed("create"));
    }
    let (mut object, mut warnings) =
        admission::decode(resource, write.input.clone(), write.validation)?;
    place(write, &mut object)?;
    identify(write, &mut object, context)?;
    if resource.subresources.status {
        object.as_object_mut().and_then(|map| map.remove("status"));
    }
    special::on_create(resource, &mut object, context.user)?;
    fields::on_create(write, &mut object, context);
    if context.user.is_in(AGENTS)
        && (resource.origin == Origin::Definition || resource.special == Special::Event)
    {
        context.check_owner(world, resource, &object)?;
    }
    warnings.extend(hooks::mutate(world, write, context, &mut object, None)?);
    admission::check(resource, &object, None)?;
    warnings.extend(hooks::validate(world, write, context, &object, None)?);
    Ok((object, warnings))
}

/// Namespace and name must agree with the URL.
fn place(write: &Write, object: &mut Value) -> Result<(), Failure> {
    let own = metadata::text(object, "namespace").to_owned();
    match write
        .namespace
        .as_deref()
        .filter(|_| write.resource.namespaced)
    {
        Some(namespace) if own.is_empty() || own == namespace => {
            metadata::map(object).insert("namespace".into(), namespace.into());
        }
        Some(_) => {
            const TEXT: &str = "the namespace of the provided object does not match the namespace sent \
                                on the request";
            return Err(Failure::bad_request(TEXT));
        }
        None if write.resource.namespaced => {
            return Err(Failure::bad_request(
                "an object of this kind is created in a namespace",
            ));
        }
        None => _ = metadata::map(object).remove("namespace"),
    }
    let name = metadata::text(object, "name");
    if !write.name.is_empty() && name.is_empty() {
        metadata::map(object).insert("name".into(), write.name.as_str().into());
    } else if !write.name.is_empty() && name != write.name {
        let text = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            write.name
        );
        return Err(Failure::bad_request(text));
    }
    Ok(())
}

/// What only the server writes.
fn identify(write: &Write, object: &mut Value, context: &mut Context<'_>) -> Result<(), Failure> {
    if !metadata::text(object, "resourceVersion").is_empty() {
        return Err(Failure::bare_500(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let base = metadata::text(object, "generateName").to_owned();
    if metadata::text(object, "name").is_empty() {
        if base.is_empty() {
            let cause = Cause::required("metadata.name", "name or generateName is required");
            let (group, kind) = (&write.resource.group, &write.resource.kind);
            return Err(Failure::invalid(group, kind, "", vec![cause]));
        }
        let name = context.ids.name(&base);
        metadata::map(object).insert("name".into(), name.into());
    }
    let uid = context.ids.uid();
    let map = metadata::map(object);
    for field in [
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
    ] {
        map.remove(field);
    }
    map.retain(|_, value| {
        !value.as_object().is_some_and(serde_json::Map::is_empty)
            && !value.as_array().is_some_and(Vec::is_empty)
    });
    map.insert("uid".into(), uid.into());
    map.insert(
        "creationTimestamp".into(),
        metadata::stamp(context.now).into(),
    );
    if write.resource.generation {
        map.insert("generation".into(), 1.into());
    }
    Ok(())
}

/// Plans the new object under its key; a generated name that is taken is replaced by another.
///
/// # Errors
/// 404 or 403 for its namespace, 409 when the name is taken.
pub fn store(
    world: &mut World,
    write: &Write,
    mut object: Value,
    context: &mut Context<'_>,
) -> Result<Bytes, Failure> {
    if let Some(namespace) = write
        .namespace
        .as_deref()
        .filter(|_| write.resource.namespaced)
    {
        check_namespace(world, write, namespace)?;
    }
    check_definition(world, write)?;
    let base = metadata::text(&object, "generateName").to_owned();
    for attempt in 0..NAMES_TRIED {
        let name = metadata::text(&object, "name").to_owned();
        let key = keys::of(&write.resource, write.namespace.as_deref(), &name);
        if world.read(&key).is_none() {
            versions::put(world, write, context, &key, object)?;
            return Ok(key);
        }
        let generated = !base.is_empty() && name.starts_with(base.get(..58).unwrap_or(&base));
        if !generated || attempt + 1 == NAMES_TRIED {
            let failure = Failure::already_exists(&write.resource.gr(), &name);
            return Err(if generated {
                failure.retry_after(1)
            } else {
                failure
            });
        }
        let other = context.ids.name(&base);
        metadata::map(&mut object).insert("name".into(), other.into());
    }
    Err(Failure::internal("no name could be generated"))
}

/// The definition must be there, and not be going away: the commit demands that it has not changed,
/// so that no object can be made while its kind is deleted, and be left behind.
fn check_definition(world: &mut World, write: &Write) -> Result<(), Failure> {
    let resource = &write.resource;
    if resource.origin != Origin::Definition {
        return Ok(());
    }
    let key = keys::definition(&resource.group, &resource.plural);
    if world.is_at(&key, resource.defined_at) {
        return Ok(());
    }
    let Some(definition) = world.read(&key) else {
        return Err(Failure::no_such_resource());
    };
    if metadata::is_deleting(&definition) {
        return Err(write.not_allowed("create"));
    }
    if resource.namespaced == (definition["spec"]["scope"] == "Cluster") {
        return Err(Failure::conflict_text(
            "the kind was defined anew meanwhile, with another scope: try again",
        ));
    }
    Ok(())
}

/// The namespace must be there, and not be going away.
fn check_namespace(world: &mut World, write: &Write, namespace: &str) -> Result<(), Failure> {
    let key = keys::object("", "namespaces", None, namespace);
    let Some(found) = world.read(&key) else {
        return Err(Failure::not_found(&Gr::new("", "namespaces"), namespace));
    };
    if metadata::is_deleting(&found) {
        let text = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let cause = Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        return Err(
            Failure::forbidden(&write.resource.gr(), &write.name, &text).with_causes(vec![cause])
        );
    }
    Ok(())
}
