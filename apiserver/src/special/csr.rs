//! CertificateSigningRequest: who asks is written by the server, what is asked never changes, and
//! approving and signing are rights of their own. Rules and texts are those of pkg/apis/certificates
//! and of the admission plugins for approval, signing and subjects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::authn::user_info;
use crate::metadata;
use crate::pki::Request;
use crate::registry::Descriptor;
use crate::status::{Cause, Failure};
use crate::user::{Attributes, MASTERS, User};
use crate::verbs::{Context, Write};

/// Group of the kind.
pub const GROUP: &str = "certificates.k8s.io";

/// Plural of the kind.
pub const PLURAL: &str = "certificatesigningrequests";

/// The signer that is the cluster's own authority.
pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

/// Shortest time a certificate may be asked for.
const LASTS_S_MIN: i64 = 600;

/// A certificate for which no time was asked lasts a year, and none lasts longer.
const LASTS_S_MAX: u64 = 365 * 24 * 60 * 60;

/// What decides about a request. Once said, it stays said.
const FINAL: [&str; 3] = ["Approved", "Denied", "Failed"];

/// Usages of certificates.k8s.io/v1.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What the authority's certificates for clients may be used for.
const CLIENT_USAGES: [&str; 3] = ["client auth", "digital signature", "key encipherment"];

/// Writes who asks, and refuses to name those who may do everything.
///
/// # Errors
/// 403.
pub fn on_create(resource: &Descriptor, object: &mut Value, user: &User) -> Result<(), Failure> {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    spec.extend(user_info(user));
    if object["spec"]["signerName"] != CLIENT {
        return Ok(());
    }
    match pem(object).and_then(|pem| Request::parse(&pem)) {
        Ok(named) => check_subject(resource, object, &named),
        // `check` says what is wrong with it.
        Err(_wrong) => Ok(()),
    }
}

/// Names that the cluster's own programs and its administrators have by other ways only.
fn reserved(named: &Request) -> Option<String> {
    let ours = |name: &str| name.starts_with("stoa:");
    let group = named
        .groups
        .iter()
        .find(|group| *group == MASTERS || ours(group));
    match group {
        Some(group) => Some(format!("{group} group")),
        None if ours(&named.name) => Some(format!("{} user", named.name)),
        None => None,
    }
}

fn check_subject(resource: &Descriptor, object: &Value, named: &Request) -> Result<(), Failure> {
    let Some(what) = reserved(named) else {
        return Ok(());
    };
    let text = format!("use of {CLIENT} signer with {what} is not allowed");
    Err(Failure::forbidden(
        &resource.gr(),
        metadata::text(object, "name"),
        &text,
    ))
}

/// A request is for ever what it was.
pub fn on_update(object: &mut Value, old: &Value) {
    object["spec"] = old["spec"].clone();
}

/// `/approval`: conditions alone, and of these Approved and Denied.
///
/// # Errors
/// 403, 422.
pub fn on_approval(
    write: &Write,
    old: &Value,
    new: &Value,
    context: &Context<'_>,
) -> Result<Value, Failure> {
    check_right(write, old, "approve", context)?;
    let mut object = old.clone();
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    object["status"]["conditions"] = stamped(old, new, context);
    check_conditions(write, old, &object, |kind| {
        matches!(kind, "Approved" | "Denied")
    })?;
    Ok(object)
}

/// `/status`: the certificate, and all other conditions.
///
/// # Errors
/// 403, 422.
pub fn on_status(
    write: &Write,
    old: &Value,
    new: &mut Value,
    context: &Context<'_>,
) -> Result<(), Failure> {
    if old.get("status") == new.get("status") {
        return Ok(());
    }
    check_right(write, old, "sign", context)?;
    let conditions = stamped(old, new, context);
    if conditions != json!([]) {
        new["status"]["conditions"] = conditions;
    }
    check_conditions(write, old, new, |kind| {
        !matches!(kind, "Approved" | "Denied")
    })?;
    let certificate = |object: &Value| object["status"]["certificate"].clone();
    let (before, after) = (certificate(old), certificate(new));
    let set = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if set(&before) && before != after {
        const TEXT: &str =
            "updates may not set certificate content if existing certificate content is not empty";
        return Err(invalid(write, Cause::forbidden("status.certificate", TEXT)));
    }
    Ok(())
}

fn check_right(
    write: &Write,
    old: &Value,
    verb: &str,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    let domain = signer.split('/').next().unwrap_or_default();
    let may = |name: String| {
        let asked = Attributes {
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            version: "*".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..Attributes::default()
        };
        context.authorizer.authorize(context.user, &asked).is_ok()
    };
    if may(signer.to_owned()) || may(format!("{domain}/*")) {
        return Ok(());
    }
    let text = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(Failure::forbidden(&write.resource.gr(), &write.name, &text))
}

/// The new conditions; what has no time gets one.
fn stamped(old: &Value, new: &Value, context: &Context<'_>) -> Value {
    let mut all = new["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let now = Value::from(metadata::stamp(context.now));
    for condition in &mut all {
        let before = conditions(old).find(|one| one["type"] == condition["type"]);
        let since = before
            .map_or(&now, |one| &one["lastTransitionTime"])
            .clone();
        for (field, time) in [("lastUpdateTime", &now), ("lastTransitionTime", &since)] {
            if condition.is_object() && condition[field].is_null() {
                condition[field] = time.clone();
            }
        }
    }
    all.into()
}

fn check_conditions(
    write: &Write,
    old: &Value,
    new: &Value,
    own: fn(&str) -> bool,
) -> Result<(), Failure> {
    let has = |object: &Value, kind: &Value| conditions(object).any(|one| one["type"] == *kind);
    let field = "status.conditions";
    for condition in conditions(new) {
        let kind = condition["type"].as_str().unwrap_or_default();
        if !own(kind) && !has(old, &condition["type"]) {
            let text = format!("updates may not add a condition of type {kind:?}");
            return Err(invalid(write, Cause::forbidden(field, &text)));
        }
    }
    for condition in conditions(old) {
        let kind = condition["type"].as_str().unwrap_or_default();
        let kept = has(new, &condition["type"]);
        if !kept && (FINAL.contains(&kind) || !own(kind)) {
            let text = format!("updates may not remove a condition of type {kind:?}");
            return Err(invalid(write, Cause::forbidden(field, &text)));
        }
    }
    Ok(())
}

fn invalid(write: &Write, cause: Cause) -> Failure {
    let resource = &write.resource;
    Failure::invalid(&resource.group, &resource.kind, &write.name, vec![cause])
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> + Clone {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
}

fn is(object: &Value, kind: &str) -> bool {
    conditions(object).any(|one| one["type"] == kind && one["status"] == "True")
}

fn pem(object: &Value) -> Result<String, String> {
    let text = object["spec"]["request"].as_str().unwrap_or_default();
    let bytes = STANDARD
        .decode(text)
        .map_err(|_text| "must be base64 encoded".to_owned())?;
    String::from_utf8(bytes)
        .map_err(|_bytes| "PEM block type must be CERTIFICATE REQUEST".to_owned())
}

/// What is wrong with a request.
#[must_use]
pub fn check(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = check_states(object);
    // The rest is for ever what it was.
    if old.is_some() {
        return causes;
    }
    let spec = &object["spec"];
    if let Err(text) = pem(object).and_then(|pem| Request::parse(&pem)) {
        causes.push(Cause::of("spec.request", format!("Invalid value: {text}")));
    }
    causes.extend(check_usages(&spec["usages"]));
    let signer = spec["signerName"].as_str().unwrap_or_default();
    if signer.is_empty() {
        causes.push(Cause::required("spec.signerName", ""));
    } else if !is_signer(signer) {
        const TEXT: &str =
            "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        causes.push(Cause::invalid("spec.signerName", &signer.into(), TEXT));
    }
    if let Some(lasts_s) = spec["expirationSeconds"]
        .as_i64()
        .filter(|s| *s < LASTS_S_MIN)
    {
        const TEXT: &str = "may not specify a duration less than 600 seconds (10 minutes)";
        causes.push(Cause::invalid(
            "spec.expirationSeconds",
            &lasts_s.into(),
            TEXT,
        ));
    }
    causes
}

fn is_signer(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, path)| {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        crate::names::dns_subdomain(domain).is_none()
            && !path.is_empty()
            && name.len() <= 571
            && path.bytes().all(word)
    })
}

fn check_usages(usages: &Value) -> Vec<Cause> {
    let all = usages.as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return vec![Cause::required("spec.usages", "")];
    }
    let mut causes = Vec::new();
    for (n, usage) in all.iter().enumerate() {
        let field = format!("spec.usages[{n}]");
        if !USAGES.iter().any(|known| usage == known) {
            causes.push(Cause::of(field, format!("Unsupported value: {usage}")));
        } else if all[..n].contains(usage) {
            causes.push(Cause::of(field, format!("Duplicate value: {usage}")));
        }
    }
    causes
}

fn check_states(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (n, condition) in conditions(object).enumerate() {
        let kind = condition["type"].as_str().unwrap_or_default();
        let field = format!("status.conditions[{n}]");
        if kind.is_empty() {
            causes.push(Cause::required(format!("{field}.type"), ""));
        }
        if FINAL.contains(&kind) && condition["status"] != "True" {
            let text = format!(
                "Unsupported value: {}: supported values: \"True\"",
                condition["status"]
            );
            causes.push(Cause::of(format!("{field}.status"), text));
        }
        let opposite = if kind == "Denied" {
            "Approved"
        } else {
            "Denied"
        };
        let earlier = conditions(object).take(n);
        if matches!(kind, "Approved" | "Denied")
            && earlier.clone().any(|one| one["type"] == opposite)
        {
            const TEXT: &str = "Approved and Denied conditions are mutually exclusive";
            causes.push(Cause::invalid(format!("{field}.type"), &kind.into(), TEXT));
        }
        if earlier.clone().any(|one| one["type"] == condition["type"]) {
            causes.push(Cause::of(
                format!("{field}.type"),
                format!("Duplicate value: {kind:?}"),
            ));
        }
    }
    causes
}

/// What there is to sign: the request as PEM and how long its certificate lasts, or why it cannot be
/// signed. None if it is not our turn.
#[must_use]
pub fn to_sign(object: &Value) -> Option<Result<(String, u64), String>> {
    let spec = &object["spec"];
    let done = object["status"]["certificate"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    let ours = spec["signerName"] == CLIENT && !metadata::is_deleting(object);
    if done || !ours || !is(object, "Approved") || is(object, "Denied") || is(object, "Failed") {
        return None;
    }
    let usages: Vec<&str> = spec["usages"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if let Some(other) = usages.iter().find(|usage| !CLIENT_USAGES.contains(usage)) {
        return Some(Err(format!(
            "invalid usage for client certificate: {other}"
        )));
    }
    if !usages.contains(&"client auth") {
        return Some(Err(
            "missing required usage for client certificate: client auth".to_owned(),
        ));
    }
    let asked_s = spec["expirationSeconds"].as_u64().unwrap_or(LASTS_S_MAX);
    let lasts_s = asked_s.min(LASTS_S_MAX);
    let named = |pem: String| match Request::parse(&pem).map(|named| reserved(&named)) {
        Ok(None) => Ok((pem, lasts_s)),
        Ok(Some(what)) => Err(format!("the {what} is not certified")),
        Err(wrong) => Err(wrong),
    };
    Some(pem(object).and_then(named))
}

/// The request with what came of it.
#[must_use]
pub fn signed(object: &Value, outcome: Result<String, String>) -> Value {
    let mut object = object.clone();
    match outcome {
        Ok(certificate) => object["status"]["certificate"] = STANDARD.encode(certificate).into(),
        Err(message) => {
            let failed = json!({
                "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": message,
            });
            if let Some(all) = object["status"]["conditions"].as_array_mut() {
                all.push(failed);
            }
        }
    }
    object
}

/// The state as kubectl shows it.
#[must_use]
pub fn shown(object: &Value) -> String {
    let mut words: Vec<&str> = FINAL.into_iter().filter(|kind| is(object, kind)).collect();
    if words.is_empty() {
        words.push("Pending");
    }
    if object["status"]["certificate"]
        .as_str()
        .is_some_and(|text| !text.is_empty())
    {
        words.push("Issued");
    }
    words.join(",")
}
