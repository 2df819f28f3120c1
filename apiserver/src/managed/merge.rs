//! An applied configuration laid over what is there (structured-merge-diff, `typed/merge.go`).
//! Nothing is removed: that is `prune.rs`'s part.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map as Fields, Value};

use super::element::Element;
use super::entries::element;
use super::types::{List, Map, Nature, Type};

/// What is there, with everything the configuration says.
#[must_use]
pub fn merge(type_: &Type, live: Value, config: &Value) -> Value {
    let (was, is) = (type_.nature(&live), type_.nature(config));
    if !was.agrees(&is) {
        return config.clone();
    }
    match (is, live) {
        (Nature::Map(map), Value::Object(fields)) if !fields.is_empty() => {
            of_maps(map, fields, config)
        }
        (Nature::List(list), Value::Array(items)) if !items.is_empty() => {
            let config = config.as_array().map_or(&[][..], Vec::as_slice);
            of_lists(list, items, config).into()
        }
        (Nature::Leaf | Nature::Map(_) | Nature::List(_), _) => config.clone(),
    }
}

/// A configuration that says null here says nothing.
fn of_maps(map: &Map, mut fields: Fields<String, Value>, config: &Value) -> Value {
    for (name, value) in config.as_object().into_iter().flatten() {
        let merged = match fields.remove(name) {
            Some(live) => merge(map.field(name), live, value),
            None => value.clone(),
        };
        fields.insert(name.clone(), merged);
    }
    fields.into()
}

/// A place in the live list.
enum Slot {
    /// An entry the configuration does not speak of.
    Own(Value),
    /// An entry of both.
    Shared(Element),
}

/// Entries of both, by element; none for those that occur more than once, which are replaced.
type Kept = BTreeMap<Element, Option<Value>>;

fn split(list: &List, live: Vec<Value>, wanted: &[Option<Element>]) -> (Vec<Slot>, Kept) {
    let wanted: BTreeSet<&Element> = wanted.iter().flatten().collect();
    let mut kept = Kept::new();
    let mut slots = Vec::with_capacity(live.len());
    for item in live {
        slots.push(match element(list, &item) {
            Some(element) if wanted.contains(&element) => {
                let first = !kept.contains_key(&element);
                kept.insert(element.clone(), first.then_some(item));
                Slot::Shared(element)
            }
            Some(_) | None => Slot::Own(item),
        });
    }
    (slots, kept)
}

/// Entries of both stand in the configuration's order; those that are only live stay where they
/// are between them, before those that are new.
fn of_lists(list: &List, live: Vec<Value>, config: &[Value]) -> Vec<Value> {
    let wanted: Vec<_> = config.iter().map(|item| element(list, item)).collect();
    let (slots, mut kept) = split(list, live, &wanted);
    let mut slots = slots.into_iter().peekable();
    let mut due: VecDeque<&Element> = wanted.iter().flatten().collect();
    due.retain(|element| kept.contains_key(*element));
    let mut merged = Vec::new();
    for (element, item) in wanted.iter().zip(config) {
        let next = due.front().copied();
        let is_next = |slot: &Slot| matches!(slot, Slot::Shared(e) if Some(e) == next);
        // An entry of both that comes out of turn is passed over here.
        while let Some(slot) = slots.next_if(|slot| !is_next(slot)) {
            merged.extend(own(slot));
        }
        if element.is_some() && element.as_ref() == next {
            due.pop_front();
            slots.next();
        }
        let live = element.as_ref().and_then(|element| kept.remove(element)?);
        merged.push(match live {
            Some(live) => merge(list.item(), live, item),
            None => item.clone(),
        });
    }
    merged.extend(slots.filter_map(own));
    merged
}

fn own(slot: Slot) -> Option<Value> {
    match slot {
        Slot::Own(item) => Some(item),
        Slot::Shared(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::types::{Key, Relation, Rest, Scalar};
    use serde_json::json;

    fn keyed() -> Type {
        let key = Key {
            name: "k".into(),
            default: None,
        };
        Type::list(Type::deduced(), Relation::Keyed(vec![key]))
    }

    #[test]
    fn maps() {
        let type_ = Type::deduced();
        for (live, config, merged) in [
            (
                json!({"a": 1, "b": 2}),
                json!({"b": 3, "c": 4}),
                json!({"a": 1, "b": 3, "c": 4}),
            ),
            (
                json!({"a": {"b": 1}}),
                json!({"a": {"c": 2}}),
                json!({"a": {"b": 1, "c": 2}}),
            ),
            (
                json!({"a": {"b": 1}}),
                json!({"a": null}),
                json!({"a": {"b": 1}}),
            ),
            (json!({"a": {}}), json!({"a": null}), json!({"a": null})),
            (json!({"a": {"b": 1}}), json!({"a": "x"}), json!({"a": "x"})),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
        ] {
            assert_eq!(
                merge(&type_, live.clone(), &config),
                merged,
                "{live} {config}"
            );
        }
        let atomic = Type::map(BTreeMap::new(), Rest::Deduced, true);
        assert_eq!(
            merge(&atomic, json!({"a": 1}), &json!({"b": 1})),
            json!({"b": 1})
        );
    }

    #[test]
    fn sets_are_merged_in_the_order_of_the_configuration() {
        let set = Type::list(Type::scalar(Scalar::Text), Relation::Set);
        for (live, config, merged) in [
            ("", "a b", "a b"),
            ("a b", "", "a b"),
            ("a b", "c", "a b c"),
            ("a b c", "c a", "b c a"),
            ("a x b y", "b a", "x b y a"),
            ("a b x", "n a", "n a b x"),
            ("x a y b z", "a n b", "x a y n b z"),
            ("a a x", "a", "a x"),
        ] {
            let list = |text: &str| Value::from(text.split_whitespace().collect::<Vec<_>>());
            let found = merge(&set, list(live), &list(config));
            assert_eq!(found, list(merged), "{live} + {config}");
        }
    }

    #[test]
    fn keyed_entries_are_merged_field_by_field() {
        let live = json!([{"k": "a", "x": 1}, {"k": "b", "x": 2}]);
        let config = json!([{"k": "b", "y": 3}, {"k": "c"}]);
        let merged = json!([{"k": "a", "x": 1}, {"k": "b", "x": 2, "y": 3}, {"k": "c"}]);
        assert_eq!(merge(&keyed(), live, &config), merged);
    }
}
