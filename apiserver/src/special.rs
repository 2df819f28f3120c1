//! Rules in code that go with single kinds, one file each.

pub mod admission;

pub mod config;

pub mod csr;

pub mod definition;

pub mod event;

pub mod lease;

pub mod namespace;

pub mod rbac;

pub mod secret;

pub mod service;

pub mod task;

pub mod time;

use serde_json::{Value, json};

use crate::registry::{Descriptor, Special};
use crate::status::{Cause, Failure};
use crate::user::User;

/// Completes an object that is to be created.
///
/// # Errors
/// Whatever the kind forbids.
pub fn on_create(resource: &Descriptor, object: &mut Value, user: &User) -> Result<(), Failure> {
    match resource.special {
        Special::Namespace => namespace::on_create(object),
        Special::Secret => config::fold_string_data(object)?,
        Special::Task => task::on_create(resource, object, user)?,
        // An offer without a phase could not be selected by it.
        Special::Offer => object["status"] = json!({"phase": "Open"}),
        Special::Definition => definition::complete(object, user)?,
        Special::Rbac => rbac::complete(object),
        Special::Admission => admission::complete(resource, object),
        Special::Event => event::complete(object)?,
        Special::Lease => lease::complete(object)?,
        Special::Service => service::complete(object),
        Special::Csr => csr::on_create(resource, object, user)?,
        Special::None | Special::ConfigMap | Special::Review => {}
    }
    Ok(())
}

/// Completes an object that is to replace another.
///
/// # Errors
/// Whatever the kind forbids.
pub fn on_update(
    resource: &Descriptor,
    object: &mut Value,
    old: &Value,
    user: &User,
) -> Result<(), Failure> {
    match resource.special {
        Special::Namespace => namespace::on_update(object, old, user),
        Special::Secret => config::fold_string_data(object)?,
        Special::Task => task::on_update(resource, object, old, user)?,
        Special::Definition => definition::complete(object, user)?,
        Special::Rbac => rbac::complete(object),
        Special::Admission => admission::complete(resource, object),
        Special::Event => event::complete(object)?,
        Special::Lease => lease::complete(object)?,
        Special::Service => service::complete(object),
        Special::Csr => csr::on_update(object, old),
        Special::None | Special::ConfigMap | Special::Offer | Special::Review => {}
    }
    Ok(())
}

/// What a kind's own rules say against an object.
#[must_use]
pub fn check(resource: &Descriptor, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    match resource.special {
        Special::ConfigMap | Special::Secret => config::check(object, old),
        Special::Definition => definition::check(object, old),
        Special::Rbac => rbac::check(resource, object, old),
        Special::Admission => admission::check(resource, object),
        Special::Event => event::check(resource, object, old),
        Special::Namespace => namespace::check(object),
        Special::Lease => lease::check(object),
        Special::Service => service::check(object),
        Special::Csr => csr::check(object, old),
        Special::None | Special::Task | Special::Offer | Special::Review => Vec::new(),
    }
}
