//! Names of kinds: two definitions of a group never have the same ones, however close they are
//! written, and one that waits for a name takes it when it is free.

use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Item, View};

use crate::engine::served;
use crate::keys;
use crate::metadata;
use crate::object;
use crate::registry::Registry;
use crate::registry::builtin::{DEFINITIONS, DEFINITIONS_GROUP};
use crate::special::definition;
use crate::status::Failure;
use crate::user::User;
use crate::verbs::Context;
use crate::world::World;

/// Says in a definition that is written whether its names are accepted.
///
/// # Errors
/// 409 if definitions have changed since the request came in: the engine begins again.
pub fn settle(
    world: &mut World,
    context: &Context<'_>,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    if !context.user.is_system() {
        if served::hash(world.view()) != context.registry.hash() {
            return Err(Failure::redefined());
        }
        claim(world, object);
    }
    definition::accept_names(object, old, context.registry);
    Ok(())
}

/// Two definitions of a group that claim names at once both write this object, so one of them is
/// computed again, and sees the other. A claim that changes nothing disturbs nobody.
pub fn claim(world: &mut World, definition: &Value) {
    let spec = &definition["spec"];
    let group = spec["group"].as_str().unwrap_or_default();
    let key = keys::names(group);
    let before = world.read(&key);
    let before = before.as_deref().filter(|before| before.is_object());
    let mut claims = before.cloned().unwrap_or_else(|| {
        json!({"kind": "Names", "apiVersion": "internal", "metadata": {"name": group}, "claims": {}})
    });
    let plural = spec["names"]["plural"].as_str().unwrap_or_default();
    let names = &spec["names"];
    claims["claims"][plural] = json!([
        names["singular"],
        names["shortNames"],
        names["kind"],
        names["listKind"]
    ]);
    if before != Some(&claims) {
        world.put(&key, claims);
    }
}

/// A definition that waits for a name and can have it now, as it is then.
#[must_use]
pub fn released(view: &View, registry: &Registry, now: Timestamp) -> Option<(Item, Value)> {
    let prefix = keys::resource(DEFINITIONS_GROUP, DEFINITIONS);
    view.prefix(&prefix).find_map(|item| {
        let old = object::decode(&item);
        let waits = !accepted(&old)? && !metadata::is_deleting(&old);
        let mut new = Some(old.clone()).filter(|_| waits)?;
        definition::complete(&mut new, &User::controllers()).ok()?;
        definition::accept_names(&mut new, Some(&old), registry);
        definition::touch(&mut new, &metadata::stamp(now));
        accepted(&new)?.then_some((item, new))
    })
}

fn accepted(definition: &Value) -> Option<bool> {
    let conditions = definition.pointer("/status/conditions")?.as_array()?;
    let names = conditions
        .iter()
        .find(|one| one["type"] == "NamesAccepted")?;
    Some(names["status"] == "True")
}
