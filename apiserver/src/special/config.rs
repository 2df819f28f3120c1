//! ConfigMap and Secret: keys, encodings, `stringData`, `immutable`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::names;
use crate::status::{Cause, Failure};

/// Bytes of all data, as upstream.
const DATA_BYTES_MAX: usize = 1 << 20;

/// Moves `stringData` into `data`, as Kubernetes does on every write, and fills in the type.
///
/// # Errors
/// 400 when `stringData` is no map of strings.
pub fn fold_string_data(object: &mut Value) -> Result<(), Failure> {
    let Some(map) = object.as_object_mut() else {
        return Ok(());
    };
    if !map.get("type").is_some_and(Value::is_string) {
        map.insert("type".into(), "Opaque".into());
    }
    let Some(plain) = map.remove("stringData").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let failure = || Failure::bad_request("stringData must be a map of strings");
    let plain = plain.as_object().cloned().ok_or_else(failure)?;
    let data = map.entry("data").or_insert_with(|| json!({}));
    for (key, value) in plain {
        let text = value.as_str().ok_or_else(failure)?;
        data[key] = STANDARD.encode(text).into();
    }
    Ok(())
}

/// Keys, encodings and immutability.
#[must_use]
pub fn check(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let secret = object["kind"] == "Secret";
    let mut bytes = 0;
    for (field, encoded) in [("data", secret), ("binaryData", true)] {
        for (key, value) in object
            .get(field)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let place = format!("{field}[{key}]");
            if let Some(problem) = names::data_key(key) {
                causes.push(Cause::invalid(
                    place.clone(),
                    &key.as_str().into(),
                    &problem,
                ));
            }
            if field == "data" && object["binaryData"].get(key).is_some() {
                const TEXT: &str = "duplicate of key present in binaryData";
                causes.push(Cause::invalid(place.clone(), &key.as_str().into(), TEXT));
            }
            let text = value.as_str().unwrap_or_default();
            // Base64 writes three bytes with four.
            bytes += if encoded {
                text.len() / 4 * 3
            } else {
                text.len()
            };
            if encoded && STANDARD.decode(text).is_err() {
                causes.push(Cause::of(place, "Invalid value: must be base64 encoded"));
            }
        }
    }
    if bytes > DATA_BYTES_MAX {
        let field = if secret { "data" } else { "" };
        let text = format!("Too long: may not be more than {DATA_BYTES_MAX} bytes");
        causes.push(Cause::of(field, text));
    }
    if secret {
        causes.extend(super::secret::check(object));
    }
    if let Some(old) = old {
        causes.extend(immutable(object, old));
    }
    causes
}

fn immutable(object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old.get("type") != object.get("type") {
        causes.push(Cause::invalid(
            "type",
            &object["type"],
            "field is immutable",
        ));
    }
    if old.get("immutable") == Some(&Value::Bool(true)) {
        for field in ["data", "binaryData", "immutable"] {
            if old.get(field) != object.get(field) {
                const TEXT: &str = "field is immutable when `immutable` is set";
                causes.push(Cause::forbidden(field, TEXT));
            }
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_is_encoded() {
        let mut secret = json!({"kind": "Secret", "stringData": {"a": "b"}, "data": {"c": "ZA=="}});
        fold_string_data(&mut secret).unwrap();
        assert_eq!(
            secret,
            json!({"kind": "Secret", "type": "Opaque", "data": {"a": "Yg==", "c": "ZA=="}})
        );
        assert!(check(&secret, None).is_empty());
        let bad = json!({"kind": "Secret", "data": {"a/b": "?"}});
        assert_eq!(check(&bad, None).len(), 2);
        let sealed = json!({"data": {"a": "b"}, "immutable": true});
        assert_eq!(
            check(&json!({"data": {}, "immutable": true}), Some(&sealed)).len(),
            1
        );
    }
}
