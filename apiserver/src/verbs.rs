//! The verbs that write, one file each. Each computes on a [`World`] and answers what it planned;
//! none waits, reads a clock or talks to the store.

pub mod create;

pub mod update;

pub mod patch;

pub mod apply;

pub mod fields;

pub mod delete;

pub mod collection;

pub mod sweep;

pub mod accept;

pub mod scale;

pub mod transaction;

pub mod versions;

pub mod escalation;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use manifests::kinds::GROUP;
use serde_json::Value;

use crate::admission::hooks::Desk;
use crate::authorize::{self, Authorizer};
use crate::body::Input;
use crate::call::Media;
use crate::ids::Ids;
use crate::keys;
use crate::managed::author::Author;
use crate::metadata;
use crate::params::FieldValidation;
use crate::registry::{Descriptor, Registry, Special};
use crate::status::Failure;
use crate::user::{AGENTS, Attributes, User};
use crate::world::World;

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH in one of the patch languages.
    Patch(Media),
    /// Create, or merge into what exists.
    Apply,
    /// DELETE.
    Delete(delete::Options),
}

/// One write on one object, parsed.
#[derive(Clone, Debug)]
pub struct Write {
    /// What it does.
    pub action: Action,
    /// To which resource.
    pub resource: Arc<Descriptor>,
    /// In which namespace.
    pub namespace: Option<String>,
    /// The name in the URL; empty when creating.
    pub name: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// The body.
    pub input: Input,
    /// What is done about unknown fields.
    pub validation: FieldValidation,
}

impl Write {
    /// Where the named object lies.
    #[must_use]
    pub fn key(&self) -> Bytes {
        keys::of(&self.resource, self.namespace.as_deref(), &self.name)
    }

    /// The failure of a verb this resource has not.
    #[must_use]
    pub fn not_allowed(&self, verb: &str) -> Failure {
        Failure::method_not_allowed(&self.resource.gr(), verb)
    }

    /// The named object, which must be there and, for an agent, its own.
    ///
    /// # Errors
    /// 404; 403 for an agent that does not own it.
    pub fn existing(
        &self,
        world: &mut World,
        context: &Context<'_>,
    ) -> Result<Arc<Value>, Failure> {
        let object = world.read(&self.key());
        let object = object.ok_or_else(|| Failure::not_found(&self.resource.gr(), &self.name))?;
        context.check_owner(world, &self.resource, &object)?;
        versions::open(self, context, object)
    }
}

/// What a computation may know beside the world.
#[derive(Debug)]
pub struct Context<'a> {
    /// Who asks.
    pub user: &'a User,
    /// What users may do.
    pub authorizer: Authorizer,
    /// The wall clock at the request's arrival.
    pub now: Timestamp,
    /// Where uids and names come from.
    pub ids: Ids,
    /// What is served.
    pub registry: &'a Registry,
    /// In whose name fields are owned.
    pub author: Author<'a>,
    /// Who has a say beside the rules.
    pub desk: Desk<'a>,
}

impl Context<'_> {
    /// A verb that makes an object which is not there needs the right to create it.
    ///
    /// # Errors
    /// 403.
    pub fn may_create(
        &self,
        resource: &Descriptor,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<(), Failure> {
        let namespace = namespace.filter(|_| resource.namespaced);
        let asked = Attributes {
            verb: "create".to_owned(),
            group: resource.group.clone(),
            version: resource.version.clone(),
            resource: resource.plural.clone(),
            namespace: namespace.unwrap_or_default().to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        self.authorizer.authorize(self.user, &asked)
    }

    /// Agents reach only what is theirs.
    ///
    /// # Errors
    /// 403.
    pub fn check_owner(
        &self,
        world: &mut World,
        resource: &Descriptor,
        object: &Value,
    ) -> Result<(), Failure> {
        let owns = |world| match resource.special == Special::Event {
            true => self.owns_event(world, object),
            false => self.authorizer.owns(self.user, object),
        };
        if !self.user.is_in(AGENTS) || owns(world) {
            return Ok(());
        }
        Err(not_own(self.user, resource, object))
    }
}

/// As `Context::check_owner`, for an object that is only read.
///
/// # Errors
/// 403.
pub fn check_own(
    authorizer: &Authorizer,
    user: &User,
    resource: &Descriptor,
    object: &Value,
) -> Result<(), Failure> {
    match !user.is_in(AGENTS) || authorizer.owns(user, object) {
        true => Ok(()),
        false => Err(not_own(user, resource, object)),
    }
}

fn not_own(user: &User, resource: &Descriptor, object: &Value) -> Failure {
    let text = format!("agent {:?} may only reach what is bound to it", user.name);
    Failure::forbidden(&resource.gr(), metadata::text(object, "name"), &text)
}

impl Context<'_> {
    /// An event is an agent's if the agent reports it, about itself or a task that is bound to it.
    fn owns_event(&self, world: &mut World, event: &Value) -> bool {
        if self.authorizer.is_open() {
            return true;
        }
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or("");
        let Some(agent) = authorize::agent_name(self.user) else {
            return false;
        };
        let reports = [text("/reportingInstance"), text("/source/host")].contains(&agent);
        let about = |field: &str| text(&format!("/involvedObject/{field}"));
        let ours = about("apiVersion").split('/').next() == Some(GROUP);
        match about("kind") {
            "Agent" => reports && ours && about("name") == agent,
            "Task" if reports && ours => {
                let key = keys::object(GROUP, "tasks", Some(about("namespace")), about("name"));
                let task = world.read(&key);
                task.is_some_and(|task| {
                    let same = ["", metadata::text(&task, "uid")].contains(&about("uid"));
                    same && self.authorizer.owns(self.user, &task)
                })
            }
            _ => false,
        }
    }
}

/// What a write planned to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// What is shown.
    pub shown: Shown,
    /// How the shown object is described.
    pub resource: Arc<Descriptor>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

/// What an answer shows once the plan is committed.
#[derive(Clone, Debug)]
pub enum Shown {
    /// The object stored under a key.
    Stored(Bytes),
    /// The last state of an object that was removed.
    Removed(Bytes, Value),
    /// This, whatever the commit says.
    Value(Value),
}

impl Answer {
    fn stored(write: &Write, code: u16, key: Bytes, warnings: Vec<String>) -> Self {
        Self {
            code,
            shown: Shown::Stored(key),
            resource: Arc::clone(&write.resource),
            warnings,
        }
    }
}

/// Computes one write.
///
/// # Errors
/// Whatever the client did wrong, given the state the world shows.
pub fn run(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let answer = match write.resource.special == Special::Rbac {
        true => escalation::run(world, write, context)?,
        false => compute(world, write, context)?,
    };
    if answer.code == 201 && write.action != Action::Create {
        context.may_create(&write.resource, write.namespace.as_deref(), &write.name)?;
    }
    Ok(answer)
}

fn compute(world: &mut World, write: &Write, context: &mut Context<'_>) -> Result<Answer, Failure> {
    let subresource = write.subresource.as_str();
    if !subresource.is_empty() && !write.resource.has_subresource(subresource) {
        return Err(Failure::no_such_resource());
    }
    match (&write.action, subresource) {
        (Action::Create, "") => create::run(world, write, context),
        (Action::Create, "accept") => accept::accept(world, write, context),
        (Action::Create, "decline") => accept::decline(world, write, context),
        (Action::Update | Action::Patch(_), "scale") => scale::write(world, write, context),
        (Action::Update, "" | "status" | "finalize" | "approval") => {
            update::run(world, write, context)
        }
        (Action::Patch(Media::Apply), "" | "status" | "approval") => {
            apply::run(world, write, context)
        }
        (Action::Patch(media), "" | "status" | "approval") => {
            patch::run(world, write, *media, context)
        }
        (Action::Apply, "" | "status") => patch::apply(world, write, context),
        (Action::Delete(options), "") => delete::run(world, write, options, context),
        (Action::Create, _) => Err(write.not_allowed("create")),
        (Action::Update, _) => Err(write.not_allowed("update")),
        (Action::Patch(_) | Action::Apply, _) => Err(write.not_allowed("patch")),
        (Action::Delete(_), _) => Err(write.not_allowed("delete")),
    }
}
