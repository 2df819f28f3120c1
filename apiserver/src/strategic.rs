//! Strategic merge patches for the built-in kinds: merge patches whose lists of keyed entries are
//! merged by key, with directives (k8s.io/apimachinery `pkg/util/strategicpatch`). Which lists are
//! merged, and by what, says `registry/lists.rs`.

mod list;

use serde_json::{Map, Value};

use crate::registry::lists;
use crate::status::Failure;

/// What a whole map or entry asks for.
const PATCH: &str = "$patch";

/// Which fields a map keeps.
const RETAIN: &str = "$retainKeys";

/// Words to take out of the list that follows the slash.
const DELETE: &str = "$deleteFromPrimitiveList/";

/// The order the list that follows the slash shall have.
const ORDER: &str = "$setElementOrder/";

/// Applies a strategic merge patch to an object of a kind.
///
/// # Errors
/// 400 for a directive that contradicts itself, or is none.
pub fn merge(kind: &str, object: &mut Value, patch: &Value) -> Result<(), Failure> {
    let place = Place {
        kind,
        path: String::new(),
    };
    let Some(patch) = patch.as_object() else {
        return Err(Failure::bad_request("a merge patch must be an object"));
    };
    maps(&place, object, patch)
}

/// Where we are: which kind, and the names of the fields that lead here.
#[derive(Clone, Debug)]
struct Place<'a> {
    kind: &'a str,
    path: String,
}

impl Place<'_> {
    fn below(&self, field: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            kind: self.kind,
            path: format!("{}{dot}{field}", self.path),
        }
    }

    /// The key entries of the list here are merged by; empty: words, as a set.
    fn merge_key(&self) -> Option<&'static str> {
        lists::at(self.kind, &self.path)?.merge_key
    }
}

/// What `$patch` says.
fn directive(patch: &Map<String, Value>) -> Result<Option<&str>, Failure> {
    let Some(said) = patch.get(PATCH) else {
        return Ok(None);
    };
    match said.as_str() {
        Some(word @ ("delete" | "replace" | "merge")) => Ok(Some(word)),
        _ => {
            let said = said.as_str().map_or_else(|| said.to_string(), String::from);
            let text = format!("unknown patch type found: {said}");
            Err(Failure::bad_request(text))
        }
    }
}

/// Without directives: what a patch leaves where there was nothing.
fn plain(patch: &Map<String, Value>) -> Value {
    let kept = patch.iter().filter(|(key, _)| !key.starts_with('$'));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Merges a map into what stands here.
fn maps(place: &Place<'_>, object: &mut Value, patch: &Map<String, Value>) -> Result<(), Failure> {
    match directive(patch)? {
        Some("replace") => {
            *object = plain(patch);
            return Ok(());
        }
        Some("delete") => {
            *object = Value::Object(Map::new());
            return Ok(());
        }
        Some(_) | None => {}
    }
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(map) = object.as_object_mut() else {
        return Ok(());
    };
    retain(map, patch)?;
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE) {
            list::delete_words(map, field, key, value)?;
        } else if !key.starts_with('$') {
            field(place, map, key, value, patch)?;
        } else if !key.starts_with(ORDER) && key != PATCH && key != RETAIN {
            return Err(Failure::bad_request(format!("unknown directive {key:?}")));
        }
    }
    list::order_untouched(place, map, patch)
}

/// `$retainKeys` names all fields the map keeps; the patch's own must be among them.
fn retain(map: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Failure> {
    let Some(said) = patch.get(RETAIN) else {
        return Ok(());
    };
    let kept = list::words(RETAIN, said)?;
    let stray = patch
        .iter()
        .filter(|(key, value)| !key.starts_with('$') && !value.is_null())
        .find(|(key, _)| !kept.contains(&key.as_str()));
    if stray.is_some() {
        const TEXT: &str = "the fields of the patch are not all named in its $retainKeys list";
        return Err(Failure::bad_request(TEXT));
    }
    map.retain(|key, _| kept.contains(&key.as_str()));
    Ok(())
}

fn field(
    place: &Place<'_>,
    map: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    patch: &Map<String, Value>,
) -> Result<(), Failure> {
    let below = place.below(key);
    match value {
        Value::Null => _ = map.remove(key),
        Value::Object(inner) => {
            if directive(inner)? == Some("delete") {
                map.remove(key);
            } else {
                maps(&below, map.entry(key).or_insert(Value::Null), inner)?;
            }
        }
        Value::Array(entries) => {
            let order = patch.get(&format!("{ORDER}{key}"));
            list::merge(
                &below,
                map.entry(key).or_insert(Value::Null),
                entries,
                order,
            )?;
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            map.insert(key.to_owned(), value.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
