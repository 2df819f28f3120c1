//! `metadata.managedFields` of what is about to be stored: who owns which field from now on.
//! Applied configurations have brought theirs (`apply.rs`).

use serde_json::Value;

use super::{Action, Context, Write};
use crate::call::Media;
use crate::managed::apply::same_but_for_owners;
use crate::managed::ledger::{Claim, Ledger, is_reset};
use crate::managed::scope::Scope;
use crate::metadata;

const FIELD: &str = "managedFields";

fn is_applied(write: &Write) -> bool {
    write.action == Action::Patch(Media::Apply)
}

/// The owners of a new object.
pub fn on_create(write: &Write, object: &mut Value, context: &Context<'_>) {
    if is_applied(write) {
        return;
    }
    metadata::map(object).remove(FIELD);
    if context.author.tracked {
        let resource = &write.resource;
        let changes = Scope::of(resource, "").changes(resource.type_(), None, object);
        let mut ledger = Ledger::default();
        claim(write, context, |claim| ledger.update(&changes, claim));
        put(object, ledger.encode());
    }
}

/// The owners of an object that takes another's place. `given`: what the client sent as such.
pub fn on_update(
    write: &Write,
    old: &Value,
    new: &mut Value,
    given: Option<Value>,
    context: &Context<'_>,
) {
    let before = old["metadata"].get(FIELD);
    let owners = if is_applied(write) {
        applied(old, new, given)
    } else if context.author.tracked {
        tracked(write, old, new, given, context)
    } else {
        disowned(write, old, new)
    };
    match owners {
        Owners::AsBefore => put(new, before.cloned()),
        Owners::Now(owners) => put(new, owners),
    }
}

enum Owners {
    AsBefore,
    Now(Option<Value>),
}

/// An apply that changes nothing but times changes nothing.
fn applied(old: &Value, new: &Value, given: Option<Value>) -> Owners {
    let before = old["metadata"].get(FIELD);
    let agree = || {
        let (before, now) = (Ledger::decode(before), Ledger::decode(given.as_ref()));
        before.is_ok_and(|before| now.is_ok_and(|now| now.agrees(&before)))
    };
    if same_but_for_owners(old, new) && agree() {
        Owners::AsBefore
    } else {
        Owners::Now(given)
    }
}

fn tracked(
    write: &Write,
    old: &Value,
    new: &Value,
    given: Option<Value>,
    context: &Context<'_>,
) -> Owners {
    let before = old["metadata"].get(FIELD);
    // Only a write of the object itself can say who owns what.
    let given = given.filter(|_| write.subresource.is_empty());
    if given.as_ref().is_some_and(is_reset) {
        return Owners::Now(None);
    }
    let theirs = given.filter(|given| Some(given) != before);
    let theirs = theirs.and_then(|given| Ledger::decode(Some(&given)).ok());
    let theirs = theirs.filter(|ledger| !ledger.is_empty());
    if theirs.is_none() && before.is_none() {
        // Nobody has applied yet, and the object was not tracked from the start.
        return Owners::AsBefore;
    }
    let (resource, type_) = (&write.resource, write.resource.type_());
    let changes = Scope::of(resource, &write.subresource).changes(type_, Some(old), new);
    if theirs.is_none() && changes.is_empty() {
        return Owners::AsBefore;
    }
    let mut ledger = theirs.unwrap_or_else(|| Ledger::decode(before).unwrap_or_default());
    if ledger.is_empty() {
        return Owners::AsBefore;
    }
    ledger.refresh(type_, |version| is_served(write, context, version));
    claim(write, context, |claim| ledger.update(&changes, claim));
    Owners::Now(ledger.encode())
}

/// The cluster's own programs own nothing, but what they change is nobody else's any more. Their
/// most frequent write, a status nobody else writes, is not even looked at.
fn disowned(write: &Write, old: &Value, new: &Value) -> Owners {
    let before = old["metadata"].get(FIELD);
    let of_status = |entry: &Value| entry.get("subresource").is_some_and(|s| s == "status");
    let entries = before
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let status_only = write.subresource == "status" && !entries.iter().any(of_status);
    if entries.is_empty() || status_only {
        return Owners::AsBefore;
    }
    let (resource, type_) = (&write.resource, write.resource.type_());
    let changes = Scope::of(resource, &write.subresource).changes(type_, Some(old), new);
    match Ledger::decode(before) {
        Ok(mut ledger) if !changes.is_empty() => {
            ledger.disown(&changes);
            Owners::Now(ledger.encode())
        }
        Ok(_) | Err(_) => Owners::AsBefore,
    }
}

/// Calls with the claim of whoever writes.
pub fn claim<T>(write: &Write, context: &Context<'_>, with: impl FnOnce(&Claim<'_>) -> T) -> T {
    with(&Claim {
        manager: context.author.name,
        api_version: &write.resource.api_version(),
        subresource: &write.subresource,
        now: &metadata::stamp(context.now),
    })
}

/// True if the resource is served in this version, `group/version` or `v1`.
pub fn is_served(write: &Write, context: &Context<'_>, api_version: &str) -> bool {
    let resource = &write.resource;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let is_own = group == resource.group && version == resource.version;
    let lookup = || context.registry.lookup(group, version, &resource.plural);
    is_own || group == resource.group && lookup().is_some()
}

/// Puts the owners into an object; none takes them out.
pub fn put(object: &mut Value, owners: Option<Value>) {
    match owners {
        Some(owners) => _ = metadata::map(object).insert(FIELD.into(), owners),
        None => _ = metadata::map(object).remove(FIELD),
    }
}
