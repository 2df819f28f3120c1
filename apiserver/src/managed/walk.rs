//! From a value to the set of what it says: every leaf, and every entry of a list
//! (structured-merge-diff, `typed/tofieldset.go`).

use serde_json::{Map as Fields, Value};

use super::element::Element;
use super::entries::by_element;
use super::set::Set;
use super::types::{List, Map, Nature, Type};

/// What a value says.
#[derive(Debug, Default)]
pub struct Said {
    /// It is one by itself.
    pub leaf: bool,
    /// What is below it.
    pub below: Set,
}

/// What a value of this type says.
#[must_use]
pub fn said(type_: &Type, value: &Value) -> Said {
    let below = match (type_.nature(value), value) {
        (Nature::Map(map), Value::Object(fields)) => of_map(map, fields, |_| true),
        (Nature::List(list), Value::Array(items)) => of_list(list, items),
        (Nature::Map(_) | Nature::List(_), _) => Set::default(),
        (Nature::Leaf, _) => {
            return Said {
                leaf: true,
                below: Set::default(),
            };
        }
    };
    Said { leaf: false, below }
}

/// What the fields say that are looked at.
pub fn of_map(map: &Map, fields: &Fields<String, Value>, look: impl Fn(&str) -> bool) -> Set {
    let mut set = Set::default();
    for (name, value) in fields.iter().filter(|(name, _)| look(name)) {
        let said = said(map.field(name), value);
        let is_empty = value.is_null() || value.as_object().is_some_and(Fields::is_empty);
        // What the schema does not name is there only because somebody said so.
        let member = said.leaf || is_empty || !map.fields.contains_key(name);
        set.add(Element::field(name), member, said.below);
    }
    set
}

fn of_list(list: &List, items: &[Value]) -> Set {
    let mut set = Set::default();
    for (element, found) in by_element(list, items) {
        let below = match found.as_slice() {
            [only] => said(list.item(), only).below,
            // Of entries that look the same nobody can own a part.
            _ => Set::default(),
        };
        set.add(element, true, below);
    }
    set
}
