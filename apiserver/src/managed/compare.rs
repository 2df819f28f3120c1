//! What differs between two values: the places that were added, modified and removed
//! (structured-merge-diff, `typed/compare.go`).

use serde_json::{Map as Fields, Value};

use super::element::Element;
use super::entries::by_element;
use super::literal::same;
use super::set::Set;
use super::types::{List, Map, Nature, Type};

/// What differs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// In the new value only.
    pub added: Set,
    /// In both, and different.
    pub modified: Set,
    /// In the old value only.
    pub removed: Set,
}

impl Changes {
    /// True if nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What the writer has set.
    #[must_use]
    pub fn set(&self) -> Set {
        self.modified.clone().union(self.added.clone())
    }

    /// Adds what differs at a place one step away.
    pub fn add(&mut self, element: &Element, at: Difference) {
        let is = |change| at.here == Some(change);
        for (set, member, below) in [
            (&mut self.added, is(Change::Added), at.below.added),
            (&mut self.modified, is(Change::Modified), at.below.modified),
            (&mut self.removed, is(Change::Removed), at.below.removed),
        ] {
            set.add(element.clone(), member, below);
        }
    }

    fn union(self, other: Self) -> Self {
        Self {
            added: self.added.union(other.added),
            modified: self.modified.union(other.modified),
            removed: self.removed.union(other.removed),
        }
    }
}

/// What became of a place itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Added,
    /// It is another.
    Modified,
    /// It is not there any more.
    Removed,
}

/// What differs at a place and below it.
#[derive(Debug, Default)]
pub struct Difference {
    /// What became of the place itself.
    pub here: Option<Change>,
    /// What differs below.
    pub below: Changes,
}

impl Difference {
    fn of(here: Option<Change>) -> Self {
        Self {
            here,
            below: Changes::default(),
        }
    }
}

/// Compares what stands at a place before and after.
#[must_use]
pub fn compare(type_: &Type, old: Option<&Value>, new: Option<&Value>) -> Difference {
    match (old, new) {
        (None, None) => Difference::default(),
        (Some(before), None) => as_is(type_.nature(before), old, new),
        (None, Some(after)) => as_is(type_.nature(after), old, new),
        (Some(before), Some(after)) if before == after => Difference::default(),
        (Some(before), Some(after)) => {
            let (was, is) = (type_.nature(before), type_.nature(after));
            let difference = as_is(is, old, new);
            if was.agrees(&is) {
                return difference;
            }
            let other = as_is(was, old, new);
            Difference {
                here: difference.here.or(other.here),
                below: difference.below.union(other.below),
            }
        }
    }
}

fn as_is(nature: Nature<'_>, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let below = match nature {
        Nature::Leaf => return Difference::of(leaf(old, new)),
        Nature::Map(map) => match (fields(old), fields(new)) {
            (None, None) => return Difference::of(leaf(old, new)),
            (before, after) => of_maps(map, before, after, |_| true),
        },
        Nature::List(list) => match (items(old), items(new)) {
            ([], []) => return Difference::of(leaf(old, new)),
            (before, after) => of_lists(list, before, after),
        },
    };
    let here = match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(_), Some(_)) => None,
    };
    Difference { here, below }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => (!same(old, new)).then_some(Change::Modified),
    }
}

/// The fields of a map that has any.
fn fields(value: Option<&Value>) -> Option<&Fields<String, Value>> {
    value?.as_object().filter(|fields| !fields.is_empty())
}

fn items(value: Option<&Value>) -> &[Value] {
    let items = value.and_then(Value::as_array);
    items.map_or(&[], Vec::as_slice)
}

/// Compares the fields that are looked at.
pub fn of_maps(
    map: &Map,
    old: Option<&Fields<String, Value>>,
    new: Option<&Fields<String, Value>>,
    look: impl Fn(&str) -> bool,
) -> Changes {
    let mut changes = Changes::default();
    let get = |fields: Option<&'_ Fields<String, Value>>, name: &str| {
        fields.and_then(|fields| fields.get(name)).is_some()
    };
    let before = old.into_iter().flat_map(Fields::keys);
    let added = new.into_iter().flat_map(Fields::keys);
    let names = before.chain(added.filter(|name| !get(old, name)));
    for name in names.filter(|name| look(name)) {
        let (was, is) = (
            old.and_then(|fields| fields.get(name)),
            new.and_then(|fields| fields.get(name)),
        );
        let difference = compare(map.field(name), was, is);
        if difference.here.is_some() || !difference.below.is_empty() {
            changes.add(&Element::field(name), difference);
        }
    }
    changes
}

fn of_lists(list: &List, old: &[Value], new: &[Value]) -> Changes {
    let mut changes = Changes::default();
    let (old, mut new) = (by_element(list, old), by_element(list, new));
    for (element, was) in &old {
        let is = new.remove(element).unwrap_or_default();
        changes.add(element, entry(list, was, &is));
        if was.len() > 1 && is.len() == 1 {
            // One of many that looked the same is a new entry.
            changes.add(element, compare(list.item(), None, is.first().copied()));
        }
        if was.len() == 1 && is.len() > 1 {
            changes.add(element, compare(list.item(), was.first().copied(), None));
        }
    }
    for (element, is) in &new {
        changes.add(element, entry(list, &[], is));
    }
    changes
}

/// Compares the entries that have one element. Several that look the same are one value.
fn entry(list: &List, was: &[&Value], is: &[&Value]) -> Difference {
    match (was, is) {
        ([] | [_], [] | [_]) => compare(list.item(), was.first().copied(), is.first().copied()),
        ([_, _, ..], [_, _, ..]) => {
            let equal = was.len() == is.len() && was.iter().zip(is).all(|(a, b)| same(a, b));
            Difference::of((!equal).then_some(Change::Modified))
        }
        ([_, _, ..], _) => Difference::of(Some(Change::Removed)),
        (_, [_, _, ..]) => Difference::of(Some(Change::Added)),
    }
}
