//! PATCH: JSON patch (RFC 6902), merge patch (RFC 7396), strategic merge for built-in kinds.

use json_patch::PatchOperation;
use serde_json::Value;

use super::{Answer, Context, Write, create, update};
use crate::admission;
use crate::body::{DEPTH_MAX, Input, depth};
use crate::call::Media;
use crate::params::FieldValidation;
use crate::status::{Cause, Failure};
use crate::strategic;
use crate::world::World;

/// Most operations of a JSON patch, as upstream.
const OPERATIONS_MAX: usize = 10_000;

/// Bytes a JSON patch may copy or move, as upstream for copies: each copy can double the object.
const CARRIED_BYTES_MAX: usize = 3 << 20;

/// Applies the body to the object as it is now.
///
/// # Errors
/// 400, 404, 409, 413, 415, 422.
pub fn run(
    world: &mut World,
    write: &Write,
    media: Media,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let old = write.existing(world, context)?;
    let resource = &write.resource;
    let mut patched = (*old).clone();
    // The patch speaks the version of the URL.
    resource.to_shown(&mut patched);
    patched["apiVersion"] = resource.api_version().into();
    apply_to(write, media, &mut patched)?;
    let input = Input {
        value: patched,
        duplicates: write.input.duplicates.clone(),
    };
    let (new, warnings) = match admission::decode(resource, input, write.validation) {
        Err(failure) if write.validation == FieldValidation::Strict => {
            return Err(strict(write, failure));
        }
        other => other?,
    };
    update::replace(world, write, &old, new, warnings, context)
}

/// Creates the object, or merges the body into it.
///
/// # Errors
/// As create and patch.
pub fn apply(
    world: &mut World,
    write: &Write,
    context: &mut Context<'_>,
) -> Result<Answer, Failure> {
    if write.subresource.is_empty() && world.read(&write.key()).is_none() {
        return create::run(world, write, context);
    }
    run(world, write, Media::MergePatch, context)
}

/// Media types are refused before anything is read.
///
/// # Errors
/// 415 with the accepted types.
pub fn check_media(write: &Write, media: Media) -> Result<(), Failure> {
    let accepted = match media {
        Media::JsonPatch | Media::MergePatch | Media::Apply => true,
        Media::StrategicMerge => write.resource.strategic_merge,
        Media::Json | Media::Yaml | Media::Protobuf => false,
    };
    if accepted {
        Ok(())
    } else {
        Err(Failure::unsupported_media(write.resource.patch_types()))
    }
}

/// Applies the body to any document.
///
/// # Errors
/// 400, 413, 415, 422.
pub fn apply_to(write: &Write, media: Media, object: &mut Value) -> Result<(), Failure> {
    let patch = &write.input.value;
    match media {
        Media::JsonPatch => json_patch(write, patch, object),
        Media::MergePatch if patch.is_object() => {
            json_patch::merge(object, patch);
            Ok(())
        }
        Media::StrategicMerge if patch.is_object() => {
            strategic::merge(&write.resource.kind, object, patch)
        }
        Media::MergePatch | Media::StrategicMerge => {
            Err(Failure::bad_request("a merge patch must be an object"))
        }
        Media::Json | Media::Yaml | Media::Apply | Media::Protobuf => {
            Err(Failure::unsupported_media(write.resource.patch_types()))
        }
    }
}

fn json_patch(write: &Write, patch: &Value, object: &mut Value) -> Result<(), Failure> {
    let count = patch.as_array().map_or(0, Vec::len);
    if count > OPERATIONS_MAX {
        let text = format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {count}"
        );
        return Err(Failure::too_large(text));
    }
    let operations: Vec<PatchOperation> =
        serde_json::from_value(patch.clone()).map_err(|error| {
            Failure::bad_request(format!("the JSON patch does not decode: {error}"))
        })?;
    let mut budget = CARRIED_BYTES_MAX;
    for (n, operation) in operations.iter().enumerate() {
        // One at a time: what a copy costs depends on the operations before it.
        weigh(operation, object, &mut budget)?;
        if is_absent_as_tested(operation, object) {
            continue;
        }
        json_patch::patch(object, std::slice::from_ref(operation)).map_err(|mut error| {
            error.operation = n;
            let cause = Cause::of("patch", format!("Invalid value: {error}"));
            let (group, kind) = (&write.resource.group, &write.resource.kind);
            Failure::invalid(group, kind, &write.name, vec![cause])
        })?;
    }
    Ok(())
}

/// A test for null holds where nothing is, as upstream and not as in RFC 6902: so kube-rs makes sure
/// that there is no finalizer yet.
fn is_absent_as_tested(operation: &PatchOperation, object: &Value) -> bool {
    let PatchOperation::Test(test) = operation else {
        return false;
    };
    test.value.is_null() && object.pointer(test.path.as_str()).is_none()
}

/// A small patch must not make a huge object, nor one too deep to be read again.
fn weigh(operation: &PatchOperation, object: &Value, budget: &mut usize) -> Result<(), Failure> {
    let carried = |from: &str| object.pointer(from);
    let (path, value, is_carried) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value), false),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value), false),
        PatchOperation::Copy(copy) => (&copy.path, carried(copy.from.as_str()), true),
        PatchOperation::Move(moved) => (&moved.path, carried(moved.from.as_str()), true),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    // Applying it says what is missing.
    let Some(value) = value else {
        return Ok(());
    };
    if path.as_str().matches('/').count() + depth(value) > DEPTH_MAX {
        let text = format!("the JSON patch nests deeper than {DEPTH_MAX} levels");
        return Err(Failure::bad_request(text));
    }
    if is_carried {
        *budget = budget.checked_sub(value.to_string().len()).ok_or_else(|| {
            Failure::too_large(format!(
                "a JSON patch may copy and move {CARRIED_BYTES_MAX} bytes in all"
            ))
        })?;
    }
    Ok(())
}

/// Strict decoding of a patched object answers 422, not 400.
fn strict(write: &Write, failure: Failure) -> Failure {
    let Some((_, problems)) = failure.message().split_once("strict decoding error: ") else {
        return failure;
    };
    let text = format!("Invalid value: strict decoding error: {problems}");
    let (group, kind) = (&write.resource.group, &write.resource.kind);
    Failure::invalid(group, kind, &write.name, vec![Cause::of("patch", text)])
}
