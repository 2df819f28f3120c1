//! The entries of a list that is owned entry by entry: how each is told apart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::element::Element;
use super::literal::Literal;
use super::types::{Key, List, Relation};

/// The element of an entry; none if it has nothing to be told apart by.
#[must_use]
pub fn element(list: &List, item: &Value) -> Option<Element> {
    match &list.relation {
        Relation::Atomic => None,
        Relation::Set => match item {
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Some(Element::Value(Literal(item.clone())))
            }
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        },
        Relation::Keyed(keys) => keyed(keys, item),
    }
}

/// A key field that is neither there nor has a default is no part of the key.
fn keyed(keys: &[Key], item: &Value) -> Option<Element> {
    let fields = item.as_object()?;
    let mut found: Vec<_> = keys
        .iter()
        .filter_map(|key| {
            let value = fields.get(&key.name).or(key.default.as_ref())?;
            Some((key.name.as_str().into(), Literal(value.clone())))
        })
        .collect();
    found.sort();
    (!found.is_empty()).then_some(Element::Key(found))
}

/// The entries by element, those that occur more than once together. Entries that cannot be told
/// apart are left out.
#[must_use]
pub fn by_element<'v>(list: &List, items: &'v [Value]) -> BTreeMap<Element, Vec<&'v Value>> {
    let mut found: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Some(element) = element(list, item) {
            found.entry(element).or_default().push(item);
        }
    }
    found
}
