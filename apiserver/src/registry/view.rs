//! A resource that shows the objects of another under other names: events.k8s.io/v1 Event over
//! core/v1 Event. Objects are kept in one form; this is what a view knows beside its own schema.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::{Descriptor, Special};

/// Another way to see the objects of a resource.
#[derive(Clone, Debug)]
pub struct View {
    /// The resource that stores them.
    pub stored: Arc<Descriptor>,
    /// Fields of the object as they are named here, and as they are stored.
    pub renames: &'static [(&'static str, &'static str)],
}

impl Descriptor {
    /// The resource whose objects these are: itself, unless it is a view.
    #[must_use]
    pub fn stored(&self) -> &Self {
        self.view.as_ref().map_or(self, |view| &view.stored)
    }

    /// True if stored bytes can be shown as they are.
    #[must_use]
    pub fn is_as_stored(&self) -> bool {
        self.version == self.storage_version && self.view.is_none()
    }

    /// Turns an object as shown here into what is stored.
    pub fn to_stored(&self, object: &mut Value) {
        if let Some(view) = &self.view {
            rename(object, view.renames.iter().copied());
            object["apiVersion"] = view.stored.api_version().into();
        }
    }

    /// Turns a stored object into what is shown here; anything else is left alone.
    pub fn to_shown(&self, object: &mut Value) {
        if let Some(view) = self.view.as_ref().filter(|_| object["kind"] == *self.kind) {
            rename(
                object,
                view.renames.iter().map(|(shown, stored)| (*stored, *shown)),
            );
            object["apiVersion"] = self.api_version().into();
        }
    }

    /// The path of a field of the stored object, given its path here.
    #[must_use]
    pub fn stored_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        // The name core/v1 gives to a field inside another.
        if self.special == Special::Event && path == "source" {
            return Cow::Borrowed("source.component");
        }
        let Some(view) = &self.view else {
            return Cow::Borrowed(path);
        };
        let (first, rest) = path.split_at(path.find('.').unwrap_or(path.len()));
        let renamed = view.renames.iter().find(|(shown, _)| *shown == first);
        renamed.map_or(Cow::Borrowed(path), |(_, stored)| {
            format!("{stored}{rest}").into()
        })
    }
}

/// Renames fields, all at once.
fn rename<'a>(object: &mut Value, renames: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let moved: Vec<_> = renames
        .filter_map(|(from, to)| Some((to, map.remove(from)?)))
        .collect();
    map.extend(moved.into_iter().map(|(to, value)| (to.to_owned(), value)));
}
