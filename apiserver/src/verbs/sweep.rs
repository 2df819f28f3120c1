//! The second step of a definition's deletion: its objects go, and with the last of them itself.
//!
//! The first step only marks it. Whoever creates an object guards on the definition, so in any view
//! that shows the mark there are all the objects there can ever be.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Action, Answer, Context, Write, delete};
use crate::body::Input;
use crate::keys;
use crate::metadata;
use crate::object;
use crate::params::FieldValidation;
use crate::registry::Descriptor;
use crate::registry::definition::descriptors;
use crate::special::definition::CLEANUP;
use crate::status::Failure;
use crate::world::World;

/// Objects deleted in one transaction.
const BATCH: usize = 256;

/// Deletes some objects of a marked definition, and itself after the last; answers for each object
/// that was not marked before, so none once there is nothing more to do.
///
/// # Errors
/// As a delete of each.
pub fn run(world: &mut World, key: &Bytes, context: &Context<'_>) -> Result<Vec<Answer>, Failure> {
    let found = world.read(key);
    let Some(definition) = found.filter(|definition| metadata::is_deleting(definition)) else {
        return Ok(Vec::new());
    };
    let Some(resource) = describe(&definition) else {
        return Ok(Vec::new());
    };
    let prefix = keys::resource(&resource.group, &resource.plural);
    let unmarked = world
        .view()
        .prefix(&prefix)
        .filter(|item| !metadata::is_deleting(&object::decode(item)));
    let some: Vec<Bytes> = unmarked.take(BATCH).map(|item| item.key).collect();
    let mut answers = Vec::with_capacity(some.len());
    for parts in some.iter().filter_map(|key| keys::parse(key)) {
        let options = delete::Options::default();
        let write = Write {
            action: Action::Delete(options.clone()),
            resource: Arc::clone(&resource),
            namespace: parts.namespace.map(String::from),
            name: parts.name.to_owned(),
            subresource: String::new(),
            input: Input::default(),
            validation: FieldValidation::Ignore,
        };
        answers.push(delete::run(world, &write, &options, context)?);
    }
    if world.keys(&prefix).is_empty() {
        release(world, key, &definition);
    }
    Ok(answers)
}

/// How its objects are stored, even if no version is served.
fn describe(definition: &Value) -> Option<Arc<Descriptor>> {
    let mut definition = definition.clone();
    let versions = definition.pointer_mut("/spec/versions")?.as_array_mut()?;
    for version in versions {
        version["served"] = true.into();
    }
    let first = descriptors(&definition, None).into_iter().next()?;
    // Nobody is asked what an object looks like that goes away with its kind.
    let family = None;
    Some(Arc::new(Descriptor { family, ..first }))
}

fn release(world: &mut World, key: &Bytes, definition: &Value) {
    let before = metadata::finalizers(definition);
    let mut finalizers = before.clone();
    finalizers.retain(|finalizer| finalizer != CLEANUP);
    if finalizers.is_empty() {
        world.remove(key);
    } else if finalizers != before {
        let mut object = definition.clone();
        metadata::set_finalizers(&mut object, &finalizers);
        world.put(key, object);
    }
}
