//! Lists in strategic merge patches: replaced, merged as words, or merged by key; and their order.

use serde_json::{Map, Value};

use super::{ORDER, PATCH, Place, directive, maps, plain};
use crate::status::Failure;

/// The strings a directive lists.
pub(super) fn words<'a>(directive: &str, said: &'a Value) -> Result<Vec<&'a str>, Failure> {
    let list = said
        .as_array()
        .and_then(|list| list.iter().map(Value::as_str).collect());
    let wrong = || Failure::bad_request(format!("{directive} must be a list of strings"));
    list.ok_or_else(wrong)
}

/// Takes words out of a list.
pub(super) fn delete_words(
    map: &mut Map<String, Value>,
    field: &str,
    directive: &str,
    said: &Value,
) -> Result<(), Failure> {
    let Some(gone) = said.as_array() else {
        return Err(Failure::bad_request(format!("{directive} must be a list")));
    };
    if let Some(Value::Array(present)) = map.get_mut(field) {
        present.retain(|word| !gone.contains(word));
    }
    Ok(())
}

/// Merges a list into what stands here.
pub(super) fn merge(
    place: &Place<'_>,
    present: &mut Value,
    entries: &[Value],
    order: Option<&Value>,
) -> Result<(), Failure> {
    let Some(key) = place.merge_key() else {
        *present = Value::Array(entries.iter().map(cleared).collect());
        return Ok(());
    };
    if !present.is_array() {
        *present = Value::Array(Vec::new());
    }
    let Some(present) = present.as_array_mut() else {
        return Ok(());
    };
    if key.is_empty() {
        add_words(present, entries);
    } else {
        keyed(place, present, entries, key)?;
    }
    sort(place, present, key, order)
}

fn cleared(value: &Value) -> Value {
    value.as_object().map_or_else(|| value.clone(), plain)
}

fn add_words(present: &mut Vec<Value>, words: &[Value]) {
    for word in words {
        if !present.contains(word) {
            present.push(word.clone());
        }
    }
}

/// Merges entries found by their key. `{$patch: replace}` among them replaces the whole list,
/// `{$patch: delete, key: ...}` takes one out.
fn keyed(
    place: &Place<'_>,
    present: &mut Vec<Value>,
    entries: &[Value],
    key: &str,
) -> Result<(), Failure> {
    let mut maps_ = Vec::with_capacity(entries.len());
    for entry in entries {
        let wrong = || Failure::bad_request(format!("{} must hold maps", place.path));
        let entry = entry.as_object().ok_or_else(wrong)?;
        maps_.push((directive(entry)?, entry));
    }
    if maps_.iter().any(|(said, _)| *said == Some("replace")) {
        let kept = maps_.iter().filter(|(said, _)| said.is_none());
        *present = kept.map(|(_, entry)| plain(entry)).collect();
        return Ok(());
    }
    for (said, entry) in maps_ {
        let Some(value) = entry.get(key) else {
            let text = format!(
                "map: {} does not contain declared merge key: {key}",
                plain(entry)
            );
            return Err(Failure::bad_request(text));
        };
        if said == Some("delete") {
            present.retain(|other| other.get(key) != Some(value));
            continue;
        }
        match present
            .iter_mut()
            .find(|other| other.get(key) == Some(value))
        {
            Some(other) => maps(place, other, entry)?,
            None => {
                let mut new = Value::Object(Map::new());
                maps(place, &mut new, entry)?;
                present.push(new);
            }
        }
    }
    Ok(())
}

/// Orders of lists whose entries the patch does not touch.
pub(super) fn order_untouched(
    place: &Place<'_>,
    map: &mut Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<(), Failure> {
    for (directive, order) in patch.iter().filter(|(key, _)| *key != PATCH) {
        let Some(field) = directive
            .strip_prefix(ORDER)
            .filter(|field| !patch.contains_key(*field))
        else {
            continue;
        };
        let below = place.below(field);
        if let (Some(Value::Array(present)), Some(key)) = (map.get_mut(field), below.merge_key()) {
            sort(&below, present, key, Some(order))?;
        }
    }
    Ok(())
}

/// Puts the entries an order names into that order. The others keep their places relative to the
/// entries before them, as upstream does for what only the server has.
fn sort(
    place: &Place<'_>,
    present: &mut Vec<Value>,
    key: &str,
    order: Option<&Value>,
) -> Result<(), Failure> {
    let Some(order) = order else {
        return Ok(());
    };
    let Some(order) = order.as_array() else {
        return Err(Failure::bad_request(format!(
            "{ORDER}{} must be a list",
            place.path
        )));
    };
    let id = |entry: &Value| {
        if key.is_empty() {
            Some(entry.clone())
        } else {
            entry.get(key).cloned()
        }
    };
    let wanted: Vec<Value> = order.iter().filter_map(id).collect();
    let rank = |entry: &Value| {
        let id = id(entry)?;
        wanted.iter().position(|other| *other == id)
    };
    // What is not named follows what stood before it.
    let (mut first, mut named) = (Vec::new(), Vec::new());
    for entry in present.drain(..) {
        match rank(&entry) {
            Some(rank) => named.push((rank, vec![entry])),
            None => named
                .last_mut()
                .map_or(&mut first, |(_, group)| group)
                .push(entry),
        }
    }
    named.sort_by_key(|(rank, _)| *rank);
    present.extend(
        first
            .into_iter()
            .chain(named.into_iter().flat_map(|(_, group)| group)),
    );
    Ok(())
}
