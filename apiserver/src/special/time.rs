//! Times with microseconds (`MicroTime`): always six decimals, whatever a client wrote.

use jiff::Timestamp;
use serde_json::Value;

use crate::status::Failure;

/// Writes the times at these places as Kubernetes does; absent ones are left alone.
///
/// # Errors
/// 400 for a text that is no time.
pub fn micro(object: &mut Value, places: &[&str]) -> Result<(), Failure> {
    for place in places {
        let Some(Value::String(text)) = object.pointer_mut(place) else {
            continue;
        };
        let time: Timestamp = text.parse().map_err(|_not_a_time| {
            Failure::bad_request(format!(
                "the object cannot be decoded: {}: {text:?} is not a time like \
                 2006-01-02T15:04:05.000000Z",
                place.trim_start_matches('/').replace('/', "."),
            ))
        })?;
        *text = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn six_decimals() {
        for (text, expected) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"),
            (
                "2026-01-01T02:00:00.1234567+02:00",
                "2026-01-01T00:00:00.123456Z",
            ),
        ] {
            let mut lease = json!({"spec": {"renewTime": text}});
            micro(&mut lease, &["/spec/renewTime", "/spec/acquireTime"]).unwrap();
            assert_eq!(lease, json!({"spec": {"renewTime": expected}}));
        }
        let mut lease = json!({"spec": {"renewTime": "yesterday"}});
        assert_eq!(
            micro(&mut lease, &["/spec/renewTime"]).unwrap_err().code(),
            400
        );
    }
}
