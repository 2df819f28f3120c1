//! DELETE: at once, or, while finalizers hold the object, by marking it.

use std::sync::Arc;

use bytes::Bytes;
use manifests::kinds::GROUP;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Context, Shown, Write, versions};
use crate::admission::hooks;
use crate::body::shaped;
use crate::keys;
use crate::metadata;
use crate::params::{Params, unknown_propagation};
use crate::registry::Special;
use crate::special::{definition, namespace};
use crate::status::{self, Failure, Gr};
use crate::world::World;

/// Finalizer that makes the garbage collector strip owner references first.
const ORPHAN: &str = "orphan";

/// Finalizer that makes the garbage collector delete dependents first.
const FOREGROUND: &str = "foregroundDeletion";

/// DeleteOptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// What must hold of the object.
    pub preconditions: Option<Preconditions>,
    /// `Orphan`, `Foreground` or `Background`.
    pub propagation_policy: Option<String>,
    /// The older spelling of Orphan.
    pub orphan_dependents: Option<bool>,
    /// Accepted; objects here end when their finalizers are gone.
    pub grace_period_seconds: Option<i64>,
    /// `["All"]`.
    pub dry_run: Option<Vec<String>>,
}

/// What must hold of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its version.
    pub resource_version: Option<String>,
}

impl Options {
    /// From the body, or, where the body is silent, from the query.
    ///
    /// # Errors
    /// 400 when the body does not decode, 422 for an unknown propagation policy.
    pub fn of(body: &Value, params: &Params) -> Result<Self, Failure> {
        let given = !body.is_null();
        let mut options = if given {
            shaped(body.clone(), "DeleteOptions")?
        } else {
            Self::default()
        };
        let policy = options
            .propagation_policy
            .get_or_insert_with(|| params.propagation.clone());
        if !matches!(policy.as_str(), "" | "Orphan" | "Background" | "Foreground") {
            return Err(unknown_propagation(policy));
        }
        options.orphan_dependents = options.orphan_dependents.or(params.orphan_dependents);
        options.grace_period_seconds = options.grace_period_seconds.or(params.grace_seconds);
        Ok(options)
    }

    /// True if nothing shall really happen.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
            .as_ref()
            .is_some_and(|values| !values.is_empty())
    }

    fn holder(&self) -> Option<&'static str> {
        match self.propagation_policy.as_deref() {
            Some("Orphan") => Some(ORPHAN),
            Some("Foreground") => Some(FOREGROUND),
            _ => self
                .orphan_dependents
                .and_then(|orphan| orphan.then_some(ORPHAN)),
        }
    }
}

/// Deletes the named object.
///
/// # Errors
/// 403, 404, 409.
pub fn run(
    world: &mut World,
    write: &Write,
    options: &Options,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let old = write.existing(world, context)?;
    check_preconditions(write, options, &old)?;
    check_allowed(write, context)?;
    let warnings = hooks::delete(world, write, context, &old)?;
    let answer = end(world, write, options, &old, context)?;
    Ok(Answer { warnings, ..answer })
}

fn check_preconditions(write: &Write, options: &Options, old: &Value) -> Result<(), Failure> {
    let Some(wanted) = &options.preconditions else {
        return Ok(());
    };
    let pairs = [
        ("UID", "uid", "deleted and then recreated", &wanted.uid),
        (
            "ResourceVersion",
            "resourceVersion",
            "modified",
            &wanted.resource_version,
        ),
    ];
    for (label, field, fate, wanted) in pairs {
        let is = metadata::text(old, field);
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != is) {
            let text = format!(
                "the {label} in the precondition ({wanted}) does not match the {label} in record ({is}). The object might have been {fate}"
            );
            // Upstream names the kind here, where others name the resource.
            let kind = Gr::new(&write.resource.group, &write.resource.kind);
            return Err(Failure::conflict(&kind, &write.name, &text));
        }
    }
    Ok(())
}

fn check_allowed(write: &Write, context: &Context<'_>) -> Result<(), Failure> {
    let (gr, name) = (write.resource.gr(), write.name.as_str());
    let kept = write.resource.special == Special::Namespace && namespace::KEPT.contains(&name);
    if kept {
        return Err(Failure::forbidden(
            &gr,
            name,
            "this namespace may not be deleted",
        ));
    }
    let ours = name.ends_with(&format!(".{}", manifests::kinds::GROUP));
    if write.resource.special == Special::Definition && ours && !context.user.is_system() {
        return Err(Failure::forbidden(
            &gr,
            name,
            "the kinds of stoa.dev belong to the server",
        ));
    }
    Ok(())
}

/// Marks the object, or removes it if nothing holds it.
fn end(
    world: &mut World,
    write: &Write,
    options: &Options,
    old: &Value,
    context: &Context<'_>,
) -> Result<Answer, Failure> {
    let key = write.key();
    let mut object = old.clone();
    let mut finalizers = metadata::finalizers(old);
    if !metadata::is_deleting(old) {
        finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
        finalizers.extend(options.holder().map(String::from));
        if write.resource.special == Special::Definition
            && !finalizers.iter().any(|f| f == definition::CLEANUP)
        {
            // Its objects go in a second step, which sees all there can ever be.
            finalizers.push(definition::CLEANUP.to_owned());
        }
        metadata::set_finalizers(&mut object, &finalizers);
        mark(&mut object, write, context);
    }
    let held = !finalizers.is_empty()
        || (write.resource.special == Special::Namespace && !namespace::is_released(&object));
    if held {
        if object != *old {
            versions::put(world, write, context, &key, object)?;
        }
        return Ok(Answer::stored(write, 200, key, Vec::new()));
    }
    remove(world, &key);
    let resource = Arc::clone(&write.resource);
    let shown = if resource.returns_deleted {
        Shown::Removed(key, object)
    } else {
        Shown::Value(status::deleted(
            &resource.gr(),
            &write.name,
            metadata::text(old, "uid"),
        ))
    };
    Ok(Answer {
        code: 200,
        shown,
        resource,
        warnings: Vec::new(),
    })
}

fn mark(object: &mut Value, write: &Write, context: &Context<'_>) {
    if write.resource.generation {
        metadata::next_generation(object);
    }
    let map = metadata::map(object);
    map.insert(
        "deletionTimestamp".into(),
        metadata::stamp(context.now).into(),
    );
    map.insert("deletionGracePeriodSeconds".into(), 0.into());
    match write.resource.special {
        Special::Namespace => namespace::on_delete(object),
        Special::Definition => definition::on_delete(object),
        Special::None
        | Special::ConfigMap
        | Special::Secret
        | Special::Event
        | Special::Admission
        | Special::Service
        | Special::Lease
        | Special::Task
        | Special::Offer
        | Special::Rbac
        | Special::Csr
        | Special::Review => {}
    }
}

/// Removes an object.
pub fn remove(world: &mut World, key: &Bytes) {
    world.remove(key);
    if let Some(parts) = keys::parse(key).filter(|p| (p.group, p.plural) == (GROUP, "agents")) {
        // Whoever joins under this name next is another machine.
        world.remove(&keys::agent_identity(parts.name));
    }
}
