//! TokenRequest of authentication.k8s.io/v1: what is asked for, checked. Limits and texts are those
//! of pkg/apis/authentication/validation and of the storage of `serviceaccounts/token`.

use serde::Deserialize;
use serde_json::Value;

use crate::body::shaped;
use crate::status::{Cause, Failure, Gr};

/// What a token lasts when nothing is said.
const LASTS_S: i64 = 60 * 60;

const LASTS_S_MIN: i64 = 10 * 60;

const LASTS_S_MAX: i64 = 1 << 32;

/// Nobody renews a token that lasts longer, and nobody remembers it.
const LASTS_S_GIVEN: i64 = 365 * 24 * 60 * 60;

/// Audiences of one token.
const AUDIENCES_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// To whom the token speaks.
    pub audiences: Vec<String>,
    /// How long.
    pub expiration_seconds: Option<i64>,
    /// With which object it ends.
    pub bound_object_ref: Option<Bound>,
}

/// The object with which a token ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bound {
    /// `Secret`; there are no Pods and Nodes here.
    pub kind: String,
    /// `v1`.
    pub api_version: String,
    /// Its name.
    pub name: String,
    /// Its uid, if it matters.
    pub uid: String,
}

impl Spec {
    /// Reads and checks a TokenRequest for the account of this name; answers warnings, too.
    ///
    /// # Errors
    /// 400 for another account's, or one that does not decode; 422 for times out of bounds.
    pub fn of(body: &Value, namespace: &str, name: &str) -> Result<(Self, Vec<String>), Failure> {
        check_place(body, namespace, name)?;
        let spec = body.get("spec").filter(|spec| !spec.is_null()).cloned();
        let mut spec: Self = spec.map_or(Ok(Self::default()), |spec| {
            shaped(spec, "spec of a TokenRequest")
        })?;
        let lasts_s = spec.expiration_seconds.unwrap_or(LASTS_S);
        let causes = problems(&spec, lasts_s);
        if !causes.is_empty() {
            return Err(Failure::invalid(
                "authentication.k8s.io",
                "TokenRequest",
                "",
                causes,
            ));
        }
        let given_s = lasts_s.min(LASTS_S_GIVEN);
        spec.expiration_seconds = Some(given_s);
        let mut warnings = Vec::new();
        if given_s < lasts_s {
            warnings.push(format!(
                "requested expiration of {lasts_s} seconds shortened to {given_s} seconds"
            ));
        }
        Ok((spec, warnings))
    }

    /// How long the token lasts.
    #[must_use]
    pub fn lasts_s(&self) -> u64 {
        u64::try_from(self.expiration_seconds.unwrap_or(LASTS_S)).unwrap_or(0)
    }

    /// The name of the Secret with which the token ends.
    ///
    /// # Errors
    /// 400 for an object of another kind.
    pub fn secret(&self) -> Result<Option<&Bound>, Failure> {
        let Some(bound) = &self.bound_object_ref else {
            return Ok(None);
        };
        if bound.api_version == "v1" && bound.kind == "Secret" {
            return Ok(Some(bound));
        }
        let (group, version) = bound
            .api_version
            .split_once('/')
            .unwrap_or(("", &bound.api_version));
        let kind = &bound.kind;
        Err(Failure::bad_request(format!(
            "cannot bind token to object of type {group}/{version}, Kind={kind}"
        )))
    }
}

impl Bound {
    /// The object found must be the one that was meant.
    ///
    /// # Errors
    /// 409.
    pub fn check_uid(&self, uid: &str) -> Result<(), Failure> {
        if self.uid.is_empty() || self.uid == uid {
            return Ok(());
        }
        let wanted = &self.uid;
        let text = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record ({uid}). \
             The object might have been deleted and then recreated"
        );
        Err(Failure::conflict(
            &Gr::new("", &self.kind),
            &self.name,
            &text,
        ))
    }
}

fn check_place(body: &Value, namespace: &str, name: &str) -> Result<(), Failure> {
    for (field, expected, text) in [
        ("name", name, "must match the service account name"),
        (
            "namespace",
            namespace,
            "must match the service account namespace",
        ),
    ] {
        let found = body["metadata"][field].as_str().unwrap_or_default();
        if !found.is_empty() && found != expected {
            return Err(Failure::bad_request(format!(
                "metadata.{field}: {found:?} {text}"
            )));
        }
    }
    for (field, expected) in [
        ("kind", "TokenRequest"),
        ("apiVersion", "authentication.k8s.io/v1"),
    ] {
        let found = body[field].as_str().unwrap_or_default();
        if !found.is_empty() && found != expected {
            return Err(Failure::bad_request(format!(
                "the {field} in the data ({found}) does not match the expected {field} ({expected})"
            )));
        }
    }
    Ok(())
}

fn problems(spec: &Spec, lasts_s: i64) -> Vec<Cause> {
    let field = "spec.expirationSeconds";
    let mut causes = Vec::new();
    if lasts_s < LASTS_S_MIN {
        const TEXT: &str = "may not specify a duration less than 10 minutes";
        causes.push(Cause::invalid(field, &lasts_s.into(), TEXT));
    }
    if lasts_s > LASTS_S_MAX {
        const TEXT: &str = "may not specify a duration larger than 2^32 seconds";
        causes.push(Cause::invalid(field, &lasts_s.into(), TEXT));
    }
    if spec.audiences.len() > AUDIENCES_MAX {
        let text = format!(
            "Too many: {}: must have at most {AUDIENCES_MAX} items",
            spec.audiences.len()
        );
        causes.push(Cause::of("spec.audiences", text));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests() {
        let of = |spec: Value| Spec::of(&json!({ "spec": spec }), "ns", "robot");
        for (spec, outcome) in [
            (json!(null), Ok(3600)),
            (json!({"expirationSeconds": 600}), Ok(600)),
            (json!({"expirationSeconds": 599}), Err(422)),
            (json!({"expirationSeconds": -1}), Err(422)),
            (
                json!({"expirationSeconds": 1_i64 << 32}),
                Ok(365 * 24 * 3600),
            ),
            (json!({"expirationSeconds": (1_i64 << 32) + 1}), Err(422)),
            (json!({"expirationSeconds": "x"}), Err(400)),
            (json!({"audiences": vec!["a"; 65]}), Err(422)),
            (json!(["a"]), Err(400)),
        ] {
            let found = of(spec.clone())
                .map(|(spec, _)| spec.lasts_s())
                .map_err(|f| f.code());
            assert_eq!(found, outcome, "{spec}");
        }
        let (_, warnings) = of(json!({"expirationSeconds": 1_i64 << 32})).unwrap();
        assert_eq!(warnings.len(), 1);
        let short = of(json!({"expirationSeconds": 1})).unwrap_err();
        assert_eq!(
            short.message(),
            "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 1: \
             may not specify a duration less than 10 minutes"
        );
        for metadata in [json!({"name": "x"}), json!({"namespace": "x"})] {
            let body = json!({ "metadata": metadata });
            assert_eq!(Spec::of(&body, "ns", "robot").unwrap_err().code(), 400);
        }
    }

    #[test]
    fn bound_objects() {
        for (kind, version, code) in [
            ("Secret", "v1", 200),
            ("Pod", "v1", 400),
            ("Secret", "g/v1", 400),
        ] {
            let body = json!({"spec": {"boundObjectRef": {"kind": kind, "apiVersion": version, "name": "s"}}});
            let (spec, _) = Spec::of(&body, "ns", "robot").unwrap();
            let answer = spec.secret().map_or_else(|f| f.code(), |_| 200);
            assert_eq!(answer, code, "{kind}");
        }
        let bound = Bound {
            kind: "Secret".into(),
            name: "s".into(),
            uid: "u1".into(),
            ..Bound::default()
        };
        assert!(bound.check_uid("u1").is_ok());
        assert_eq!(bound.check_uid("u2").unwrap_err().code(), 409);
    }
}
