//! PATCH `application/apply-patch+yaml`: server-side apply. Creates what is absent.

use std::sync::Arc;

use serde_json::Value;

use super::{Answer, Context, Write, create, fields, update};
use crate::admission;
use crate::body::Input;
use crate::call::Media;
use crate::managed::apply::Applier;
use crate::managed::conflict;
use crate::managed::fit;
use crate::managed::ledger::{Claim, Ledger};
use crate::managed::scope::Scope;
use crate::metadata;
use crate::params::Params;
use crate::registry::Descriptor;
use crate::status::Failure;
use crate::world::World;

/// Apply needs a manager; nothing else may be forced. Asked before anything is read.
///
/// # Errors
/// 422.
pub fn check_options(params: &Params, media: Media) -> Result<(), Failure> {
    const KIND: &str = "PatchOptions";
    let is_apply = media == Media::Apply;
    if is_apply && params.field_manager.is_empty() {
        let text = "Required value: is required for apply patch";
        return Err(Failure::invalid_options(KIND, "fieldManager", text));
    }
    if !is_apply && params.force.is_some() {
        let text = "Forbidden: may not be specified for non-apply patch";
        return Err(Failure::invalid_options(KIND, "force", text));
    }
    Ok(())
}

/// Applies the body: creates the object, or lays it over what is there.
///
/// # Errors
/// 400, 404 (status of an absent object), 409 (conflicts), 422, 500 (the body does not fit the
/// schema; upstream's code).
pub fn run(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let config = &write.input.value;
    check(&write.resource, config)?;
    if write.subresource.is_empty() && world.read(&write.key()).is_none() {
        return make(world, write, context);
    }
    let old = write.existing(world, context)?;
    lay(world, write, &old, config, context)
}

/// The body must be of the URL's kind and version, and leave ownership to the server.
fn check(resource: &Descriptor, config: &Value) -> Result<(), Failure> {
    let text = |field: &str| {
        config
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if !config.is_object() {
        let text =
            "error decoding YAML: the body must be an object with apiVersion, kind and metadata";
        return Err(Failure::bad_request(text));
    }
    check_kind(&resource.api_version(), &resource.kind, config)?;
    let metadata = config.get("metadata");
    if metadata
        .and_then(|m| m.get("managedFields"))
        .is_some_and(|owners| !owners.is_null())
    {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let problems = fit::problems(resource.type_(), config);
    if problems.is_empty() {
        return Ok(());
    }
    let name = config
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let namespace = config
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let what = format!(
        "{namespace}/{name}; {}",
        spelled(text("apiVersion"), text("kind"))
    );
    let problems = fit::text(&problems);
    Err(Failure::bare_500(&format!(
        "failed to create typed patch object ({what}): {problems}"
    )))
}

/// The body must say of which version and kind it is.
///
/// # Errors
/// 400.
pub fn check_kind(api_version: &str, kind: &str, config: &Value) -> Result<(), Failure> {
    let text = |field: &str| {
        config
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if (text("apiVersion"), text("kind")) == (api_version, kind) {
        return Ok(());
    }
    let found = spelled(text("apiVersion"), text("kind"));
    Err(Failure::bad_request(format!(
        "invalid object type: {found}"
    )))
}

/// `stoa.dev/v1, Kind=Task`, as Go prints it.
fn spelled(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

fn with_applier<T>(
    write: &Write,
    context: &Context<'_>,
    with: impl FnOnce(&Applier<'_>) -> T,
) -> T {
    let resource = &write.resource;
    fields::claim(write, context, |claim: &Claim<'_>| {
        with(&Applier {
            type_: resource.type_(),
            scope: Scope::of(resource, &write.subresource),
            claim: *claim,
        })
    })
}

/// Creates the object; `verbs::run` asks for the right to create.
fn make(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let config = &write.input.value;
    let name = metadata::text(config, "name");
    if name.is_empty() {
        let url = &write.name;
        let text = format!(
            "the name of the object ({url} based on URL) was undeterminable: name must be provided"
        );
        return Err(Failure::bad_request(text));
    }
    let uid = metadata::text(config, "uid");
    if !uid.is_empty() {
        let text = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(Failure::conflict(&write.resource.gr(), &write.name, &text));
    }
    let mut object = config.clone();
    with_applier(write, context, |applier| {
        applier.note_applied(&mut object, config);
        fields::put(&mut object, applier.create(config).encode());
    });
    let creation = Write {
        input: Input::of(object),
        ..write.clone()
    };
    create::run(world, &creation, context)
}

/// Lays a configuration over an object.
///
/// # Errors
/// 400, 409, 422.
pub fn lay(
    world: &mut World,
    write: &Write,
    old: &Arc<Value>,
    config: &Value,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let resource = &write.resource;
    let mut live = (**old).clone();
    // The configuration speaks the version of the URL.
    resource.to_shown(&mut live);
    live["apiVersion"] = resource.api_version().into();
    let before = metadata::map(&mut live).remove("managedFields");
    let ledger = Ledger::decode(before.as_ref());
    let mut ledger = ledger
        .map_err(|error| Failure::bare_500(&format!("failed to decode managed fields: {error}")))?;
    let is_first = ledger.is_empty();
    ledger.refresh(resource.type_(), |version| {
        fields::is_served(write, context, version)
    });
    let object = with_applier(write, context, |applier| {
        if is_first {
            ledger = applier.first(&live);
        }
        merged(applier, &live, config, ledger, context.author.force)
    })?;
    let (new, warnings) = admission::decode(resource, Input::of(object), write.validation)?;
    update::replace(world, write, old, new, warnings, context)
}

/// The object with its owners.
fn merged(
    applier: &Applier<'_>,
    live: &Value,
    config: &Value,
    ledger: Ledger,
    force: bool,
) -> Result<Value, Failure> {
    let again = ledger.clone();
    let applied = match applier.apply(live, config, ledger, force) {
        Ok(applied) => applied,
        Err(conflicts) => {
            let left = applier.real_conflicts(live, conflicts);
            if !left.is_empty() {
                return Err(conflict::failure(&left));
            }
            let forced = applier.apply(live, config, again, true);
            forced.map_err(|conflicts| conflict::failure(&conflicts))?
        }
    };
    let (mut object, ledger) = applied;
    applier.note_applied(&mut object, config);
    fields::put(&mut object, ledger.encode());
    Ok(object)
}
