//! What the types of Secrets demand of their data (kubernetes/kubernetes
//! `pkg/apis/core/validation`, `ValidateSecret`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::status::Cause;

/// Annotation that names the account of a token.
const ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Judges a Secret by its type.
#[must_use]
pub fn check(object: &Value) -> Vec<Cause> {
    let has = |key: &str| object["data"].get(key).is_some();
    let missing = |keys: &[&str]| {
        let absent = keys.iter().filter(|key| !has(key));
        absent
            .map(|key| Cause::required(format!("data[{key}]"), ""))
            .collect()
    };
    match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/service-account-token" => account(object),
        "kubernetes.io/dockercfg" => json(object, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json(object, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            missing(&["username", "password"])
        }
        "kubernetes.io/ssh-auth" if object["data"]["ssh-privatekey"] == "" => {
            vec![Cause::required("data[ssh-privatekey]", "")]
        }
        "kubernetes.io/ssh-auth" => missing(&["ssh-privatekey"]),
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        _ => Vec::new(),
    }
}

fn account(object: &Value) -> Vec<Cause> {
    let named = object["metadata"]["annotations"][ACCOUNT].as_str();
    if named.is_some_and(|name| !name.is_empty()) {
        return Vec::new();
    }
    vec![Cause::required(
        format!("metadata.annotations[{ACCOUNT}]"),
        "",
    )]
}

/// The key must be there, and hold JSON. What it holds is not repeated.
fn json(object: &Value, key: &str) -> Vec<Cause> {
    let place = format!("data[{key}]");
    let Some(encoded) = object["data"].get(key).and_then(Value::as_str) else {
        return vec![Cause::required(place, "")];
    };
    let text = STANDARD.decode(encoded).unwrap_or_default();
    if serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok() {
        return Vec::new();
    }
    let hidden = "<secret contents redacted>".into();
    vec![Cause::invalid(
        place,
        &hidden,
        "the content is not valid JSON",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_demand_their_data() {
        let made = |type_: &str, data: Value| json!({"type": type_, "data": data});
        for (secret, fields) in [
            (made("Opaque", json!({})), vec![]),
            (made("my.dev/own", json!({})), vec![]),
            (
                made("kubernetes.io/tls", json!({"tls.crt": ""})),
                vec!["data[tls.key]"],
            ),
            (
                made("kubernetes.io/tls", json!({"tls.crt": "", "tls.key": ""})),
                vec![],
            ),
            (
                made("kubernetes.io/basic-auth", json!({"password": ""})),
                vec![],
            ),
            (
                made("kubernetes.io/basic-auth", json!({})),
                vec!["data[username]", "data[password]"],
            ),
            (
                made("kubernetes.io/ssh-auth", json!({"ssh-privatekey": ""})),
                vec!["data[ssh-privatekey]"],
            ),
            (
                made(
                    "kubernetes.io/dockerconfigjson",
                    json!({".dockerconfigjson": "e30="}),
                ),
                vec![],
            ),
            (
                made(
                    "kubernetes.io/dockerconfigjson",
                    json!({".dockerconfigjson": "ew=="}),
                ),
                vec!["data[.dockerconfigjson]"],
            ),
            (
                made("kubernetes.io/dockercfg", json!({})),
                vec!["data[.dockercfg]"],
            ),
            (
                made("kubernetes.io/service-account-token", json!({})),
                vec!["metadata.annotations[kubernetes.io/service-account.name]"],
            ),
        ] {
            let found: Vec<String> = check(&secret).into_iter().map(|c| c.field).collect();
            assert_eq!(found, fields, "{secret}");
        }
    }
}
