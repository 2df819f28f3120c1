//! How a definition's versions are converted into one another (`validateCustomResourceConversion`).

use serde_json::{Value, json};

use super::{string, strings};
use crate::names;
use crate::special::admission::webhooks::check_client;
use crate::status::Cause;

const PLACE: &str = "spec.conversion";

/// Without a webhook, versions differ in their apiVersion alone.
pub(super) fn check(spec: &Value, causes: &mut Vec<Cause>) {
    let Some(conversion) = spec.get("conversion").filter(|own| own.is_object()) else {
        return;
    };
    let strategy = string(conversion, "/strategy");
    let place = format!("{PLACE}.strategy");
    match strategy.as_str() {
        "" => causes.push(Cause::required(place, "")),
        "None" => {}
        "Webhook" => return webhook(conversion, causes),
        other => causes.push(super::unsupported(place, other, &["None", "Webhook"])),
    }
    const TEXT: &str = "should not be set when strategy is not set to Webhook";
    let set = |path: &str| conversion.pointer(path).is_some_and(|own| !own.is_null());
    if set("/webhook") {
        causes.push(Cause::forbidden(
            format!("{PLACE}.webhookClientConfig"),
            TEXT,
        ));
    }
    if set("/webhook/conversionReviewVersions") {
        causes.push(Cause::forbidden(
            format!("{PLACE}.conversionReviewVersions"),
            TEXT,
        ));
    }
}

fn webhook(conversion: &Value, causes: &mut Vec<Cause>) {
    let place = format!("{PLACE}.webhookClientConfig");
    match conversion
        .pointer("/webhook/clientConfig")
        .filter(|own| own.is_object())
    {
        None => causes.push(Cause::required(
            place,
            "required when strategy is set to Webhook",
        )),
        Some(client) => check_client(client, &place, causes),
    }
    let place = format!("{PLACE}.conversionReviewVersions");
    let versions = strings(conversion, "/webhook/conversionReviewVersions");
    if versions.is_empty() {
        return causes.push(Cause::required(place, ""));
    }
    for (n, version) in versions.iter().enumerate() {
        let place = format!("{place}[{n}]");
        if versions[..n].contains(version) {
            causes.push(Cause::invalid(
                &place,
                &version.as_str().into(),
                "duplicate version",
            ));
        }
        if let Some(problem) = names::dns1035_label(version) {
            causes.push(Cause::invalid(&place, &version.as_str().into(), &problem));
        }
    }
    if !versions.iter().any(|version| version == "v1") {
        // We speak v1 alone, which every webhook of the last years does.
        causes.push(Cause::invalid(
            place,
            &json!(versions),
            "must include at least one of v1",
        ));
    }
}
