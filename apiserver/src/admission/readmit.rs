//! What a mutating webhook made of an object goes the way every object goes: decoded, pruned, with
//! defaults; and what only the server writes is as it was.

use serde_json::Value;

use super::decode;
use crate::body::Input;
use crate::call::Media;
use crate::metadata;
use crate::params::FieldValidation;
use crate::special;
use crate::status::Failure;
use crate::verbs::{Context, Write, patch, update};

/// The object with the patch applied.
///
/// # Errors
/// The patch does not apply, or what comes out is no object of the kind.
pub fn patched(
    write: &Write,
    context: &Context<'_>,
    present: &Value,
    old: Option<&Value>,
    by: &Value,
) -> Result<Value, Failure> {
    let resource = &write.resource;
    let mut object = present.clone();
    let carrier = Write {
        input: Input::of(by.clone()),
        ..write.clone()
    };
    patch::apply_to(&carrier, Media::JsonPatch, &mut object)
        .map_err(|failure| Failure::internal(failure.message()))?;
    if object.is_object() {
        object["apiVersion"] = resource.api_version().into();
    }
    // What the schema does not know is dropped in silence, as upstream does.
    let (mut object, _) = decode(resource, Input::of(object), FieldValidation::Ignore)?;
    match old {
        Some(old) => update::merge(write, old, &mut object, context)?,
        None => {
            metadata::retain(present, &mut object);
            if resource.subresources.status {
                object.as_object_mut().and_then(|map| map.remove("status"));
            }
            special::on_create(resource, &mut object, context.user)?;
        }
    }
    if let Some(managed) = present["metadata"].get("managedFields") {
        metadata::map(&mut object).insert("managedFields".into(), managed.clone());
    }
    Ok(object)
}
