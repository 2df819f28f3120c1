//! The lines of one watch: what it is told, in the form it asked for.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use store::{Item, Revision};

use crate::edge::ambient;
use crate::edge::negotiate::Shape;
use crate::hub::event::frame;
use crate::hub::{Event, Kind};
use crate::object::{self, Form};
use crate::registry::Descriptor;
use crate::render;
use crate::status::Failure;
use crate::table::{self, Include};

/// In which form objects come to a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// As stored.
    Stored,
    /// As stored, and told so: somebody else makes of them what the client is told.
    Raw,
    /// As they are to be shown.
    Shown,
}

/// Makes the lines of one watch.
pub(super) struct Lines {
    pub(super) resource: Arc<Descriptor>,
    shape: Shape,
    include: Include,
    given: Given,
    /// The next Table is the first: it carries the columns.
    first: bool,
}

impl Lines {
    pub(super) fn new(
        resource: Arc<Descriptor>,
        shape: Shape,
        include: Include,
        given: Given,
    ) -> Self {
        Self {
            resource,
            shape,
            include,
            given,
            first: true,
        }
    }

    /// The line that tells an event; the shared one wherever it fits.
    pub(super) fn event(&mut self, event: &Event, kind: Kind) -> Bytes {
        match event.item(kind) {
            Some(item) if self.shape == Shape::Full && self.shows(kind, item) => event.frame(kind),
            Some(item) => self.encode(kind, item),
            None => Bytes::new(),
        }
    }

    /// The line that shows a stored object.
    pub(super) fn encode(&mut self, kind: Kind, item: &Item) -> Bytes {
        let form = match self.resource.family.is_none() || self.shows(kind, item) {
            true => Form::Stored(item.clone()),
            false => Form::Stored(self.resource.item(item, &self.resource.completed(item))),
        };
        match self.shape {
            Shape::Full if self.given == Given::Raw => {
                frame(kind.as_str(), |out| object::append_to(out, item))
            }
            Shape::Full | Shape::Discovery => frame(kind.as_str(), |out| {
                render::append(out, &self.resource, &form)
            }),
            Shape::Partial => frame(kind.as_str(), |out| object::append_partial(out, item)),
            Shape::Table => {
                let first = std::mem::take(&mut self.first);
                let now = ambient::now();
                let row = table::single(&self.resource, form.to_value(), self.include, first, now);
                frame(kind.as_str(), |out| {
                    out.extend_from_slice(row.to_string().as_bytes())
                })
            }
        }
    }

    /// True if the object is told as it is. One that is gone was written before its last revision.
    fn shows(&self, kind: Kind, item: &Item) -> bool {
        let written = match kind {
            Kind::Added | Kind::Modified => item.mod_revision,
            Kind::Deleted => 0,
        };
        match self.given {
            Given::Raw | Given::Shown => true,
            Given::Stored => self.resource.shows(item, written),
        }
    }

    /// The line that says how far the watch has come.
    pub(super) fn bookmark(&self, revision: Revision, ends_initial: bool) -> Bytes {
        let (kind, version) = match self.shape {
            Shape::Table => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
            Shape::Partial => (
                "PartialObjectMetadata".to_owned(),
                "meta.k8s.io/v1".to_owned(),
            ),
            Shape::Full | Shape::Discovery => {
                (self.resource.kind.clone(), self.resource.api_version())
            }
        };
        let mut metadata = json!({
            "resourceVersion": revision.to_string(), "creationTimestamp": Value::Null,
        });
        if ends_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let mut object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        if self.shape == Shape::Table {
            object["rows"] = json!([]);
        }
        frame("BOOKMARK", |out| {
            out.extend_from_slice(object.to_string().as_bytes())
        })
    }
}

/// The line that tells a failure.
pub(super) fn error(failure: &Failure) -> Bytes {
    frame("ERROR", |out| {
        out.extend_from_slice(failure.to_status().to_string().as_bytes())
    })
}
