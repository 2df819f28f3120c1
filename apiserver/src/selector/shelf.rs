//! The objects of one resource, by the value of one field: lists that ask for a value look at its
//! objects alone. Pure; `engine/shelves.rs` keeps it up to date.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use store::Item;

use super::field;
use crate::object;

/// Keys by value. An object without the field has the empty value, as selectors see it.
#[derive(Debug)]
pub struct Shelf {
    path: String,
    keys: HashMap<String, BTreeSet<Bytes>>,
    len: usize,
}

impl Shelf {
    /// An empty shelf for this field.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            keys: HashMap::new(),
            len: 0,
        }
    }

    /// Objects on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An object was there before a change, and is there after it.
    pub fn change(&mut self, old: Option<&Item>, new: Option<&Item>) {
        let (old_value, new_value) = (old.map(|o| self.value(o)), new.map(|n| self.value(n)));
        if old_value == new_value {
            return;
        }
        if let (Some(old), Some(value)) = (old, old_value) {
            self.take(old, &value);
        }
        if let (Some(new), Some(value)) = (new, new_value) {
            self.put(new, value);
        }
    }

    /// The keys of the objects with this value, in order.
    #[must_use]
    pub fn keys(&self, value: &str) -> Option<&BTreeSet<Bytes>> {
        self.keys.get(value)
    }

    fn put(&mut self, item: &Item, value: String) {
        let added = self.keys.entry(value).or_default().insert(item.key.clone());
        self.len += usize::from(added);
    }

    fn take(&mut self, item: &Item, value: &str) {
        let Some(keys) = self.keys.get_mut(value) else {
            return;
        };
        self.len -= usize::from(keys.remove(&item.key));
        if keys.is_empty() {
            self.keys.remove(value);
        }
    }

    fn value(&self, item: &Item) -> String {
        value_in(object::text(item), &self.path)
    }
}

/// What `field::value_at` answers for the parsed text, without parsing more than the way to it.
#[must_use]
pub fn value_in(text: &[u8], path: &str) -> String {
    let steps: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    let mut json = serde_json::Deserializer::from_slice(text);
    Seek(&steps).deserialize(&mut json).unwrap_or_default()
}

/// Goes along the rest of a path.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<String, D::Error> {
        if self.0.is_empty() {
            return Value::deserialize(json).map(|value| field::text_of(&value));
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else {
            return Ok(String::new());
        };
        let mut found = String::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == *wanted {
                found = map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(name: &str, agent: &Value) -> Item {
        Item {
            key: format!("/stoa.dev/tasks/a/{name}").into(),
            value: object::encode(&json!({
                "kind": "Task", "apiVersion": "stoa.dev/v1", "metadata": {"name": name},
                "spec": {"env": [{"agent": "no"}], "agent": agent},
            })),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
        }
    }

    #[test]
    fn a_value_is_what_selectors_see() {
        let object = json!({
            "metadata": {"name": "x\"y", "labels": {}}, "a": [1, {"b": 2}], "n": -5, "f": 1.50, "t": true,
            "z": null, "s": "x", "é": {"ü": "u"},
        });
        let text = object.to_string();
        for path in [
            "metadata.name",
            "metadata",
            "metadata.labels.x",
            "a",
            "a.b",
            "n",
            "f",
            "t",
            "z",
            "s",
            "s.x",
            "n.x",
            "t.x",
            "z.x",
            "f.x",
            "é.ü",
            "none",
            "",
        ] {
            let expected = field::value_at(&object, path);
            assert_eq!(value_in(text.as_bytes(), path), expected, "{path}");
        }
        for damaged in ["", "{", "[1", "{\"s\":"] {
            assert_eq!(value_in(damaged.as_bytes(), "s"), "");
        }
    }

    #[test]
    fn objects_move_with_their_value() {
        let mut shelf = Shelf::new("spec.agent");
        let on = |shelf: &Shelf, value: &str| shelf.keys(value).map_or(0, BTreeSet::len);
        let (a1, a2) = (item("x", &json!("a1")), item("x", &json!("a2")));
        let none = item("y", &Value::Null);
        shelf.change(None, Some(&a1));
        shelf.change(None, Some(&none));
        assert_eq!((on(&shelf, "a1"), on(&shelf, ""), shelf.len()), (1, 1, 2));
        shelf.change(Some(&a1), Some(&a1));
        shelf.change(Some(&a1), Some(&a2));
        assert_eq!((on(&shelf, "a1"), on(&shelf, "a2")), (0, 1));
        shelf.change(Some(&a1), None);
        assert_eq!(shelf.len(), 2, "it was not there");
        shelf.change(Some(&a2), None);
        shelf.change(Some(&none), None);
        assert!(shelf.is_empty() && shelf.keys.is_empty());
    }
}
