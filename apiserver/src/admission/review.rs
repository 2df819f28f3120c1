//! AdmissionReview (admission.k8s.io/v1): what a webhook is sent, and what it may answer.
//!
//! Rules and texts: upstream's `pkg/admission/plugin/webhook/request/admissionreview.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::matching::{Asked, shown};
use crate::registry::Descriptor;
use crate::user::User;

/// What a webhook answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// It has nothing against it.
    pub allowed: bool,
    /// `code`, `reason` and `message` of a denial.
    pub status: Value,
    /// A JSON patch.
    pub patch: Option<Value>,
    /// For the client.
    pub warnings: Vec<String>,
}

/// Warnings of one answer that are passed on.
const WARNINGS_MAX: usize = 16;

/// The request, without a uid. `matched` is the version of the resource the webhook's rules name.
#[must_use]
pub fn request(asked: &Asked<'_>, matched: &Descriptor) -> Value {
    let kind = |d: &Descriptor| json!({"group": d.group, "version": d.version, "kind": d.kind});
    let resource =
        |d: &Descriptor| json!({"group": d.group, "version": d.version, "resource": d.plural});
    let options = match asked.operation {
        "CREATE" => "CreateOptions",
        "UPDATE" => "UpdateOptions",
        _ => "DeleteOptions",
    };
    let mut request = json!({
        "kind": kind(matched), "resource": resource(matched),
        "requestKind": kind(asked.resource), "requestResource": resource(asked.resource),
        "name": asked.name, "operation": asked.operation, "userInfo": user(asked.user),
        "object": shown(asked.object, matched), "oldObject": shown(asked.old, matched),
        "dryRun": asked.dry_run,
        "options": {"kind": options, "apiVersion": "meta.k8s.io/v1"},
    });
    if !asked.subresource.is_empty() {
        request["subResource"] = asked.subresource.into();
        request["requestSubResource"] = asked.subresource.into();
    }
    if let Some(namespace) = asked.namespace {
        request["namespace"] = namespace.into();
    }
    request
}

/// Who asks, as `authentication.k8s.io/v1` UserInfo.
#[must_use]
pub fn user(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

/// The review that is sent.
#[must_use]
pub fn review(request: &Value, uid: &str) -> Value {
    let mut request = request.clone();
    request["uid"] = uid.into();
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

/// Reads an answer.
///
/// # Errors
/// Why it is none, in upstream's words.
pub fn read(bytes: &[u8], uid: &str, mutating: bool) -> Result<Verdict, String> {
    let review: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let found = (word(&review, "apiVersion"), word(&review, "kind"));
    if found.0 != "admission.k8s.io/v1" || found.1 != "AdmissionReview" {
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={}",
            found.0, found.1
        ));
    }
    let response = &review["response"];
    if !response.is_object() {
        return Err("webhook response was absent".to_owned());
    }
    let echoed = word(response, "uid");
    if echoed != uid {
        return Err(format!("expected response.uid={uid:?}, got {echoed:?}"));
    }
    let allowed = response["allowed"].as_bool();
    let warnings = response["warnings"].as_array();
    let warnings = warnings.into_iter().flatten().filter_map(Value::as_str);
    Ok(Verdict {
        allowed: allowed.ok_or("webhook response.allowed is no boolean")?,
        status: response.get("status").cloned().unwrap_or_default(),
        patch: patch(response, mutating)?,
        warnings: warnings.take(WARNINGS_MAX).map(str::to_owned).collect(),
    })
}

fn patch(response: &Value, mutating: bool) -> Result<Option<Value>, String> {
    let patch = response["patch"].as_str().unwrap_or_default();
    let type_ = response["patchType"].as_str().unwrap_or_default();
    if !mutating {
        return match (patch.is_empty(), type_.is_empty()) {
            (false, _) => Err("validating webhook may not return response.patch".to_owned()),
            (true, false) => Err("validating webhook may not return response.patchType".to_owned()),
            (true, true) => Ok(None),
        };
    }
    match (patch, type_) {
        ("", "") => Ok(None),
        (_, "") => Err("webhook returned response.patch but not response.patchType".to_owned()),
        ("", _) => Err("webhook returned response.patchType but not response.patch".to_owned()),
        (patch, "JSONPatch") => {
            let undecodable =
                |error: String| format!("received undecodable patch in webhook response: {error}");
            let text = STANDARD
                .decode(patch)
                .map_err(|error| undecodable(error.to_string()))?;
            let patch: Value =
                serde_json::from_slice(&text).map_err(|error| undecodable(error.to_string()))?;
            Ok(Some(patch).filter(|patch| patch.as_array().is_none_or(|ops| !ops.is_empty())))
        }
        (_, other) => Err(format!(
            "webhook returned invalid response.patchType of {other:?}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: &Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
            .to_string()
            .into()
    }

    #[test]
    fn answers() {
        let patch = STANDARD.encode(r#"[{"op": "remove", "path": "/a"}]"#);
        for (response, mutating, expected) in [
            (json!({"uid": "u", "allowed": true}), false, Ok(None)),
            (
                json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch}),
                true,
                Ok(Some(json!([{"op": "remove", "path": "/a"}]))),
            ),
            (
                json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch}),
                false,
                Err("validating webhook may not return response.patch"),
            ),
            (
                json!({"uid": "u", "allowed": true, "patch": patch}),
                true,
                Err("webhook returned response.patch but not response.patchType"),
            ),
            (
                json!({"uid": "u", "allowed": true, "patch": patch, "patchType": "Merge"}),
                true,
                Err("webhook returned invalid response.patchType of \"Merge\""),
            ),
            (
                json!({"uid": "v", "allowed": true}),
                true,
                Err("expected response.uid=\"u\", got \"v\""),
            ),
            (Value::Null, true, Err("webhook response was absent")),
        ] {
            let found = read(&answer(&response), "u", mutating).map(|verdict| verdict.patch);
            assert_eq!(found, expected.map_err(str::to_owned), "{response}");
        }
        assert!(read(b"\x00", "u", true).is_err());
        assert!(
            read(b"{}", "u", true)
                .unwrap_err()
                .starts_with("expected webhook response of")
        );
    }
}
