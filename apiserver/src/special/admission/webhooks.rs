//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde_json::{Value, json};

use super::{
    default, duplicate, items, items_mut, matching, not_supported, one_of, policies, word,
};
use crate::names;
use crate::status::Cause;

const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];

const FORM: &str = "; desired format: https://host[/path]";

/// Longest answer a client may be made to wait for, as upstream.
pub const TIMEOUT_S_MAX: i64 = 30;

/// Fills in the policies, the timeout and the selectors.
pub(super) fn complete(object: &mut Value, mutating: bool) {
    for hook in items_mut(object, "/webhooks") {
        default(hook, "failurePolicy", json!("Fail"));
        default(hook, "timeoutSeconds", json!(10));
        if mutating {
            default(hook, "reinvocationPolicy", json!("Never"));
        }
        matching::complete(hook, &["rules"]);
    }
}

/// Everything that is wrong.
pub(super) fn check(object: &Value, mutating: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = Vec::new();
    for (n, hook) in items(object, "webhooks").iter().enumerate() {
        let place = format!("webhooks[{n}]");
        one(hook, &place, mutating, &mut causes);
        let name = word(hook, "name");
        if names.contains(&name) {
            causes.push(duplicate(format!("{place}.name"), name));
        }
        names.push(name);
    }
    causes
}

fn one(hook: &Value, place: &str, mutating: bool, causes: &mut Vec<Cause>) {
    qualified(word(hook, "name"), place, causes);
    matching::check(hook, &["rules"], place, causes);
    one_of(hook, "failurePolicy", &["Fail", "Ignore"], place, causes);
    if mutating {
        let words = ["IfNeeded", "Never"];
        one_of(hook, "reinvocationPolicy", &words, place, causes);
    }
    let effects = word(hook, "sideEffects");
    let at = format!("{place}.sideEffects");
    if effects.is_empty() {
        let text = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
        causes.push(Cause::required(at, &text));
    } else if !SIDE_EFFECTS.contains(&effects) {
        causes.push(not_supported(&at, effects, &SIDE_EFFECTS));
    }
    let timeout = hook.get("timeoutSeconds").and_then(Value::as_i64);
    if let Some(seconds) = timeout.filter(|s| !(1..=TIMEOUT_S_MAX).contains(s)) {
        const TEXT: &str = "the timeout value must be between 1 and 30 seconds";
        causes.push(Cause::invalid(
            format!("{place}.timeoutSeconds"),
            &seconds.into(),
            TEXT,
        ));
    }
    versions(hook, &format!("{place}.admissionReviewVersions"), causes);
    policies::conditions(hook, place, false, causes);
    check_client(
        &hook["clientConfig"],
        &format!("{place}.clientConfig"),
        causes,
    );
}

fn qualified(name: &str, place: &str, causes: &mut Vec<Cause>) {
    let place = format!("{place}.name");
    if name.is_empty() {
        return causes.push(Cause::required(place, ""));
    }
    if let Some(problem) = names::dns_subdomain(name) {
        causes.push(Cause::invalid(place, &name.into(), &problem));
    } else if name.split('.').count() < 3 {
        const TEXT: &str = "should be a domain with at least three segments separated by dots";
        causes.push(Cause::invalid(place, &name.into(), TEXT));
    }
}

fn versions(hook: &Value, place: &str, causes: &mut Vec<Cause>) {
    let all = items(hook, "admissionReviewVersions");
    if all.is_empty() {
        causes.push(Cause::required(place, "must specify one of v1, v1beta1"));
    } else if !all.iter().any(|version| version == "v1") {
        // We speak v1 alone, which every webhook of the last years does.
        causes.push(Cause::invalid(
            place,
            &json!(all),
            "must include at least one of v1",
        ));
    }
}

/// How a webhook is reached: by an address, as there are no Services to name.
pub fn check_client(config: &Value, place: &str, causes: &mut Vec<Cause>) {
    let url = config.get("url").and_then(Value::as_str);
    let service = config.get("service").filter(|service| !service.is_null());
    match (url, service) {
        (Some(url), None) => check_url(url, &format!("{place}.url"), causes),
        (None, Some(_)) => {
            const TEXT: &str = "there are no Services here: name the webhook's address in url";
            causes.push(Cause::forbidden(format!("{place}.service"), TEXT));
        }
        (Some(_), Some(_)) | (None, None) => {
            causes.push(Cause::required(
                place,
                "exactly one of url or service is required",
            ));
        }
    }
    let bundle = config.get("caBundle").and_then(Value::as_str);
    if let Some(problem) = bundle.and_then(bundle_problem) {
        causes.push(Cause::of(format!("{place}.caBundle"), problem));
    }
}

fn bundle_problem(text: &str) -> Option<String> {
    let wrong = |why: &str| {
        Some(format!(
            "Invalid value: unable to load root certificates: {why}"
        ))
    };
    if text.is_empty() {
        return None;
    }
    let Ok(pem) = STANDARD.decode(text) else {
        return wrong("must be base64 encoded");
    };
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    match CertificateDer::pem_slice_iter(&pem).next() {
        Some(Ok(_)) => None,
        Some(Err(error)) => wrong(&error.to_string()),
        None => wrong("data does not contain any valid RSA or ECDSA certificates"),
    }
}

fn check_url(url: &str, place: &str, causes: &mut Vec<Cause>) {
    let mut wrong =
        |value: &str, text: &str| causes.push(Cause::invalid(place, &value.into(), text));
    let parsed: Uri = match url.parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = format!("url must be a valid URL: {error}{FORM}");
            return causes.push(Cause::required(place, &text));
        }
    };
    let scheme = parsed.scheme_str().unwrap_or_default();
    if scheme != "https" {
        wrong(
            scheme,
            &format!("'https' is the only allowed URL scheme{FORM}"),
        );
    }
    if parsed.host().unwrap_or_default().is_empty() {
        wrong("", &format!("host must be provided{FORM}"));
    }
    let authority = parsed
        .authority()
        .map_or("", |authority| authority.as_str());
    if let Some((user, _)) = authority.rsplit_once('@') {
        wrong(user, "user information is not permitted in the URL");
    }
    if let Some((_, fragment)) = url.split_once('#') {
        wrong(fragment, "fragments are not permitted in the URL");
    }
    if let Some(query) = parsed.query() {
        wrong(query, "query parameters are not permitted in the URL");
    }
}
