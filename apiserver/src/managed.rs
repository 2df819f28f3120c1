//! Who owns which field: `metadata.managedFields` and server-side apply. A pure core; the verbs
//! (`verbs/fields.rs`, `verbs/apply.rs`) put it to use.
//!
//! The rules are those of sigs.k8s.io/structured-merge-diff and of apimachinery's
//! `util/managedfields/internal`. A schema is compiled to a [`types::Type`]; [`walk`] and [`compare`]
//! turn objects into [`set::Set`]s of places; the [`ledger`] says whose each is; [`apply`] lays a
//! configuration over an object.

pub mod literal;

pub mod element;

pub mod set;

pub mod fields;

pub mod types;

pub mod entries;

pub mod walk;

pub mod compare;

pub mod merge;

pub mod prune;

pub mod fit;

pub mod scope;

pub mod entry;

pub mod ledger;

pub mod conflict;

pub mod apply;

pub mod handover;

pub mod author;

#[cfg(test)]
mod model;
