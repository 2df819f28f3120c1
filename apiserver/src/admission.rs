//! From a body to an object that may be stored: decode, drop what the schema does not know, fill
//! in defaults, and judge. Everything here is a function of the object and its description; what
//! else has a say (quotas, limits) comes in through `hooks.rs`.

pub mod expression;

pub mod hooks;

pub mod inputs;

pub mod judging;

pub mod labels;

pub mod limits;

pub mod matching;

pub mod naming;

pub mod notes;

pub mod policy;

pub mod quota;

pub mod readmit;

pub mod review;

pub mod rulings;

pub mod snapshot;

pub mod typing;

pub mod variables;

pub mod webhooks;

use manifests::{schema, validate};
use serde_json::{Map, Value};

use crate::body::Input;
use crate::metadata;
use crate::params::FieldValidation;
use crate::registry::{Descriptor, Origin};
use crate::special;
use crate::status::{Cause, Failure};

/// Decodes a whole object: type, metadata, unknown fields, pruning and defaults.
/// Answers the object and the warnings for the client.
///
/// # Errors
/// 400 when the object is of another kind, does not decode, or (Strict) has unknown fields.
pub fn decode(
    resource: &Descriptor,
    input: Input,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), Failure> {
    let mut object = input.value;
    if !object.is_object() {
        return Err(Failure::bad_request(
            "the body must be an object with apiVersion, kind and metadata",
        ));
    }
    check_type(resource, &mut object)?;
    let mut unknown = Vec::new();
    metadata::decode(&mut object, &mut unknown)?;
    unknown.extend(clean(resource, &mut object));
    resource.to_stored(&mut object);
    let problems = problems(&unknown, &input.duplicates);
    match validation {
        FieldValidation::Strict if !problems.is_empty() => {
            let text = format!("strict decoding error: {}", problems.join(", "));
            let (kind, version) = (&resource.kind, &resource.version);
            let intro = format!("{kind} in version {version:?} cannot be handled as a {kind}");
            Err(Failure::bad_request(format!("{intro}: {text}")))
        }
        FieldValidation::Warn => Ok((object, problems)),
        FieldValidation::Strict | FieldValidation::Ignore => Ok((object, Vec::new())),
    }
}

fn problems(unknown: &[String], duplicates: &[String]) -> Vec<String> {
    let unknown = unknown.iter().map(|path| format!("unknown field {path:?}"));
    unknown
        .chain(
            duplicates
                .iter()
                .map(|path| format!("duplicate field {path:?}")),
        )
        .collect()
}

/// apiVersion and kind must be those of the URL; absent ones are filled in.
fn check_type(resource: &Descriptor, object: &mut Value) -> Result<(), Failure> {
    let own = [
        ("apiVersion", resource.api_version(), "API version"),
        ("kind", resource.kind.clone(), "kind"),
    ];
    for (field, expected, what) in own {
        let found = match object.get(field) {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(_) => return Err(Failure::bad_request(format!("{field} must be a string"))),
        };
        if !found.is_empty() && found != expected {
            let text = format!(
                "the {what} in the data ({found}) does not match the expected {what} ({expected})"
            );
            return Err(Failure::bad_request(text));
        }
        // Versions that differ in nothing else are worked on under the one that is stored.
        let stored = if field == "apiVersion" {
            resource.working_api_version()
        } else {
            expected
        };
        object[field] = stored.into();
    }
    Ok(())
}

/// The part of an object its schema speaks of: all but type and metadata.
fn split(object: &mut Value) -> Map<String, Value> {
    let mut head = Map::new();
    if let Some(map) = object.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata"] {
            if let Some(value) = map.remove(field) {
                head.insert(field.to_owned(), value);
            }
        }
    }
    head
}

fn join(object: &mut Value, head: Map<String, Value>) {
    if let Some(map) = object.as_object_mut() {
        map.extend(head);
    }
}

/// Prunes and defaults in place; answers the paths that were dropped.
fn clean(resource: &Descriptor, object: &mut Value) -> Vec<String> {
    let Some(schema) = &resource.schema else {
        return Vec::new();
    };
    let head = split(object);
    let unknown = schema::unknown_fields(schema, object);
    if !unknown.is_empty() {
        schema::prune(schema, object);
    }
    schema::apply_defaults(schema, object);
    join(object, head);
    unknown
}

/// Judges an object that is to be stored in place of `old` (none: created).
///
/// # Errors
/// 422 with every problem at once. Problems the old object has already are tolerated.
pub fn check(resource: &Descriptor, object: &Value, old: Option<&Value>) -> Result<(), Failure> {
    let mut causes = metadata::problems(resource, object);
    let found = rules(resource.stored(), object, old);
    if !found.is_empty() {
        let known = old.map_or(Vec::new(), |old| rules(resource.stored(), old, None));
        causes.extend(found.into_iter().filter(|cause| !known.contains(cause)));
    }
    causes.extend(special::check(resource, object, old));
    if causes.is_empty() {
        return Ok(());
    }
    let name = metadata::text(object, "name");
    Err(Failure::invalid(
        &resource.group,
        &resource.kind,
        name,
        causes,
    ))
}

/// Judges an object that is answered and not stored: its name and labels mean nothing. What is left
/// out is empty, as in Go: whoever answers says whether he can do without.
///
/// # Errors
/// 422 with every problem at once.
pub fn check_question(resource: &Descriptor, object: &Value) -> Result<(), Failure> {
    let mut causes = rules(resource, object, None);
    causes.retain(|cause| cause.reason != "FieldValueRequired");
    if causes.is_empty() {
        return Ok(());
    }
    let (group, kind) = (&resource.group, &resource.kind);
    Err(Failure::invalid(group, kind, "", causes))
}

/// Schema and, for our kinds, what needs parsing; CEL where types and required fields are right.
fn rules(resource: &Descriptor, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(schema) = &resource.schema else {
        return Vec::new();
    };
    let found = if old.is_some_and(|old| !differs_beyond_status(resource, old, object)) {
        status_errors(resource, schema, object)
    } else if is_ours(resource) {
        validate::complete(schema, &resource.kind, object)
    } else {
        schema::validate(schema, object)
    };
    if found.is_empty()
        || !is_ours(resource) && !found.iter().any(|error| error.reason.hides_rules())
    {
        let own = resource.rules.as_ref();
        let broken = own.map_or(Vec::new(), |rules| rules.check(object, old));
        return found.into_iter().map(cause).chain(broken).collect();
    }
    let unchecked = (resource.rules.is_some() && !is_ours(resource)).then(unchecked);
    found.into_iter().map(cause).chain(unchecked).collect()
}

/// What is said of rules then; it has no place, and Go says so.
fn unchecked() -> Cause {
    const TEXT: &str = "Invalid value: \"null\": some validation rules were not checked because the object \
                        was invalid; correct the existing errors to complete validation";
    Cause::of("<nil>", TEXT)
}

/// When nothing but the status changed, nothing but the status is judged: the most frequent write.
fn status_errors(resource: &Descriptor, schema: &Value, object: &Value) -> Vec<schema::FieldError> {
    // An agent's status holds quantities, which only parsing can judge.
    if is_ours(resource) && resource.kind == "Agent" {
        return validate::complete(schema, &resource.kind, object);
    }
    let (Some(schema), Some(status)) = (schema.pointer("/properties/status"), object.get("status"))
    else {
        return Vec::new();
    };
    let mut errors = schema::validate(schema, status);
    for error in &mut errors {
        let dot = if error.path.is_empty() || error.path.starts_with('[') {
            ""
        } else {
            "."
        };
        error.path = format!("status{dot}{}", error.path);
    }
    errors
}

fn is_ours(resource: &Descriptor) -> bool {
    resource.origin == Origin::Definition && resource.group == manifests::kinds::GROUP
}

fn cause(error: schema::FieldError) -> Cause {
    Cause {
        reason: error.reason.as_str(),
        message: error.message,
        field: error.path,
    }
}

/// True if anything but metadata and, where it is written apart, status differs.
#[must_use]
pub fn differs_beyond_status(resource: &Descriptor, old: &Value, new: &Value) -> bool {
    let counts =
        |key: &str| key != "metadata" && !(resource.subresources.status && key == "status");
    let fields = |object: &Value| {
        object
            .as_object()
            .map_or(0, |map| map.keys().filter(|k| counts(k)).count())
    };
    let same = |(key, value): (&String, &Value)| !counts(key) || old.get(key) == Some(value);
    let unchanged = new.as_object().is_some_and(|map| map.iter().all(same));
    !unchanged || fields(old) != fields(new)
}
