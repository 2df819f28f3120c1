//! `POST /apis/stoa.dev/v1/transactions`: many writes, all or nothing, one log entry.

use manifests::bundle::{Guard, Operation, Target, Transaction, Verb};
use serde_json::Value;

use super::{Action, Answer, Context, Write, delete, run as run_write};
use crate::authorize::Authorizer;
use crate::body::Input;
use crate::call::Media;
use crate::keys;
use crate::metadata;
use crate::params::{FieldValidation, Params};
use crate::registry::{Descriptor, Registry};
use crate::status::Failure;
use crate::user::{Attributes, User};
use crate::world::World;
use std::sync::Arc;

/// Most operations of one transaction.
pub const OPERATIONS_MAX: usize = 10_000;

/// A transaction whose targets are known resources.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What must hold.
    pub guards: Vec<Check>,
    /// What is written, in order.
    pub writes: Vec<Write>,
}

/// A guard whose target is a known resource.
#[derive(Clone, Debug)]
pub enum Check {
    /// Exists, at this version if one is named.
    Exists(Arc<Descriptor>, Target, Option<String>),
    /// Does not exist.
    Absent(Arc<Descriptor>, Target),
    /// The leader has this epoch.
    Epoch(u64),
}

/// Resolves a transaction's targets and asks for the right to each operation.
///
/// # Errors
/// 400, 403, 404, 413, with the place in `details.causes[].field`.
pub fn plan(
    transaction: Transaction,
    registry: &Registry,
    validation: FieldValidation,
    user: &User,
    authorizer: &Authorizer,
) -> Result<Plan, Failure> {
    check_head(&transaction)?;
    let mut guards = Vec::with_capacity(transaction.guards.len());
    for (n, guard) in transaction.guards.into_iter().enumerate() {
        let check = check(guard, registry, user, authorizer);
        guards.push(check.map_err(|failure| failure.within(&format!("guards[{n}]")))?);
    }
    let mut writes = Vec::with_capacity(transaction.operations.len());
    for (n, operation) in transaction.operations.into_iter().enumerate() {
        let write = write(operation, registry, validation, user, authorizer);
        writes.push(write.map_err(|failure| failure.within(&format!("operations[{n}]")))?);
    }
    Ok(Plan { guards, writes })
}

fn check_head(transaction: &Transaction) -> Result<(), Failure> {
    if transaction.api_version != manifests::kinds::API_VERSION || transaction.kind != "Transaction"
    {
        return Err(Failure::bad_request(
            "the body must be a Transaction of stoa.dev/v1",
        ));
    }
    let count = transaction.operations.len().max(transaction.guards.len());
    if count > OPERATIONS_MAX {
        let text =
            format!("a transaction may have {OPERATIONS_MAX} operations, this one has {count}");
        return Err(Failure::too_large(text));
    }
    Ok(())
}

fn resolve(target: &Target, registry: &Registry) -> Result<Arc<Descriptor>, Failure> {
    let (group, version) = target
        .api_version
        .split_once('/')
        .unwrap_or(("", &target.api_version));
    let found = registry.lookup(group, version, &target.resource);
    let resource = found.ok_or_else(|| {
        let text = format!(
            "no resource {:?} in version {:?}",
            target.resource, target.api_version
        );
        Failure::bad_request(text)
    })?;
    if resource.namespaced && target.namespace.as_deref().unwrap_or_default().is_empty() {
        return Err(Failure::bad_request(format!(
            "{} live in a namespace: name it",
            target.resource
        )));
    }
    Ok(resource)
}

fn check(
    guard: Guard,
    registry: &Registry,
    user: &User,
    authorizer: &Authorizer,
) -> Result<Check, Failure> {
    match guard {
        Guard::Epoch(epoch) => Ok(Check::Epoch(epoch)),
        Guard::Exists(target, version) => {
            let resource = resolve(&target, registry)?;
            authorizer.authorize(user, &attributes("get", &resource, &target, ""))?;
            Ok(Check::Exists(resource, target, version))
        }
        Guard::Absent(target) => {
            let resource = resolve(&target, registry)?;
            authorizer.authorize(user, &attributes("get", &resource, &target, ""))?;
            Ok(Check::Absent(resource, target))
        }
    }
}

fn attributes(verb: &str, resource: &Descriptor, target: &Target, subresource: &str) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: resource.group.clone(),
        version: resource.version.clone(),
        resource: resource.plural.clone(),
        subresource: subresource.to_owned(),
        // A namespace named beside an object that lives in none gives no right to it.
        namespace: target
            .namespace
            .clone()
            .filter(|_| resource.namespaced)
            .unwrap_or_default(),
        name: target.name.clone(),
        field_selector: String::new(),
    }
    .placed()
}

fn write(
    operation: Operation,
    registry: &Registry,
    validation: FieldValidation,
    user: &User,
    authorizer: &Authorizer,
) -> Result<Write, Failure> {
    let resource = resolve(&operation.target, registry)?;
    let subresource = operation.subresource.unwrap_or_default();
    let mut target = operation.target;
    if target.name.is_empty() {
        metadata::text(&operation.body, "name").clone_into(&mut target.name);
    }
    for verb in verbs(operation.verb) {
        authorizer.authorize(user, &attributes(verb, &resource, &target, &subresource))?;
    }
    if target.name.is_empty() && operation.verb != Verb::Create {
        return Err(Failure::bad_request("a name is needed"));
    }
    let action = action(operation.verb, &operation.body)?;
    let input = match action {
        Action::Delete(_) => Input::default(),
        Action::Create | Action::Update | Action::Patch(_) | Action::Apply => {
            Input::of(operation.body)
        }
    };
    let namespace = target.namespace.filter(|_| resource.namespaced);
    Ok(Write {
        action,
        resource,
        namespace,
        name: target.name,
        subresource,
        input,
        validation,
    })
}

fn verbs(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Create => &["create"],
        Verb::Update => &["update"],
        Verb::Patch => &["patch"],
        Verb::Apply => &["create", "patch"],
        Verb::Delete => &["delete"],
    }
}

fn action(verb: Verb, body: &Value) -> Result<Action, Failure> {
    Ok(match verb {
        Verb::Create => Action::Create,
        Verb::Update => Action::Update,
        Verb::Patch => Action::Patch(Media::MergePatch),
        Verb::Apply => Action::Apply,
        Verb::Delete => Action::Delete(delete::Options::of(body, &Params::default())?),
    })
}

/// Computes the whole transaction; a later operation sees the earlier ones.
///
/// # Errors
/// The first failure, with its place.
pub fn run(
    world: &mut World,
    plan: &Plan,
    context: &mut Context<'_>,
) -> Result<Vec<Answer>, Failure> {
    for (n, check) in plan.guards.iter().enumerate() {
        hold(world, check, context).map_err(|failure| failure.within(&format!("guards[{n}]")))?;
    }
    let mut undecided = None;
    let mut answers = Vec::with_capacity(plan.writes.len());
    for (n, write) in plan.writes.iter().enumerate() {
        match run_write(world, write, context) {
            Ok(answer) => answers.push(answer),
            // The others' questions can be asked at the same time.
            Err(failure) if failure.is_undecided() => undecided = Some(failure),
            Err(failure) => {
                let within = failure.within(&format!("operations[{n}]"));
                return Err(undecided.unwrap_or(within));
            }
        }
    }
    undecided.map_or(Ok(answers), Err)
}

fn hold(world: &mut World, check: &Check, context: &Context<'_>) -> Result<(), Failure> {
    match check {
        Check::Epoch(epoch) => {
            world.require_epoch(*epoch);
            Ok(())
        }
        Check::Exists(resource, target, version) => {
            let found = world.read(&key(resource, target));
            let gr = resource.gr();
            let found =
                found.ok_or_else(|| Failure::conflict(&gr, &target.name, "it does not exist"))?;
            context.check_owner(world, resource, &found)?;
            match version {
                Some(version) if version != metadata::text(&found, "resourceVersion") => {
                    Err(Failure::modified(&gr, &target.name))
                }
                Some(_) | None => Ok(()),
            }
        }
        Check::Absent(resource, target) => match world.read(&key(resource, target)) {
            Some(_) => Err(Failure::conflict(&resource.gr(), &target.name, "it exists")),
            None => Ok(()),
        },
    }
}

fn key(resource: &Descriptor, target: &Target) -> bytes::Bytes {
    keys::of(resource, target.namespace.as_deref(), &target.name)
}
