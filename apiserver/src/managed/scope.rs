//! Which part of an object a request speaks of: the object itself leaves out the status, the status
//! subresource everything else, and nobody owns what only the server writes.

use serde_json::{Map as Fields, Value};

use super::compare::{Change, Changes, Difference, of_maps};
use super::element::Element;
use super::set::Set;
use super::types::{Map, Type};
use super::walk::of_map;
use crate::registry::Descriptor;

/// Fields of the metadata that nobody owns (`managedfields/internal/stripmeta.go`).
const UNOWNED: [&str; 8] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// All but the status.
    Main,
    /// Only this field.
    Only(&'static str),
}

impl Scope {
    /// What a request on the resource, or on a subresource, speaks of.
    #[must_use]
    pub fn of(resource: &Descriptor, subresource: &str) -> Self {
        match subresource {
            "status" => Self::Only("status"),
            "finalize" => Self::Only("spec"),
            _ if resource.subresources.status => Self::Main,
            _ => Self::Whole,
        }
    }

    /// True if fields of the metadata can be owned here.
    fn sees_metadata(self) -> bool {
        self.sees("metadata")
    }

    fn sees(self, field: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Main => field != "status",
            Self::Only(one) => field == one,
        }
    }

    /// A field of the object, other than its type and metadata.
    fn is_content(self, field: &str) -> bool {
        !matches!(field, "apiVersion" | "kind" | "metadata") && self.sees(field)
    }

    /// What an object says.
    #[must_use]
    pub fn owned(self, type_: &Type, object: &Value) -> Set {
        let (Some(map), Some(fields)) = (&type_.map, object.as_object()) else {
            return Set::default();
        };
        let mut set = of_map(map, fields, |name| self.is_content(name));
        if let (Some(map), Some(fields), true) =
            (metadata_type(map), metadata(object), self.sees_metadata())
        {
            let below = of_map(map, fields, is_owned);
            set.add(Element::field("metadata"), false, below);
        }
        set
    }

    /// What differs between an object and the one before; none: it is new.
    #[must_use]
    pub fn changes(self, type_: &Type, old: Option<&Value>, new: &Value) -> Changes {
        let Some(map) = &type_.map else {
            return Changes::default();
        };
        let before = old.and_then(Value::as_object);
        let mut changes = of_maps(map, before, new.as_object(), |name| self.is_content(name));
        if let (Some(map), true) = (metadata_type(map), self.sees_metadata()) {
            let below = of_maps(map, old.and_then(metadata), metadata(new), is_owned);
            let here: Option<Change> = None;
            changes.add(&Element::field("metadata"), Difference { here, below });
        }
        changes
    }
}

fn is_owned(field: &str) -> bool {
    !UNOWNED.contains(&field)
}

fn metadata_type(map: &Map) -> Option<&Map> {
    map.field("metadata").map.as_ref()
}

fn metadata(object: &Value) -> Option<&Fields<String, Value>> {
    object.get("metadata")?.as_object()
}
