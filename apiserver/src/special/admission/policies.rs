//! ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding.

use serde_json::{Value, json};

use super::{default, duplicate, items, matching, not_supported, one_of, word};
use crate::admission::expression::{self, Composed, Expression, Known, Wanted};
use crate::names;
use crate::status::Cause;

const RULES: [&str; 2] = ["resourceRules", "excludeResourceRules"];

const REASONS: [&str; 4] = [
    "Forbidden",
    "Invalid",
    "RequestEntityTooLarge",
    "Unauthorized",
];

/// Conditions one webhook or policy may have, as upstream.
const CONDITIONS_MAX: usize = 64;

/// Annotations one policy may make, as upstream.
const ANNOTATIONS_MAX: usize = 20;

/// Longest expression for the value of one, as upstream.
const ANNOTATION_BYTES_MAX: usize = 5 << 10;

/// Fills in the failure policy and the selectors.
pub(super) fn complete(object: &mut Value) {
    if let Some(spec) = object["spec"].as_object_mut() {
        default(spec, "failurePolicy", json!("Fail"));
        if let Some(constraints) = spec
            .get_mut("matchConstraints")
            .and_then(Value::as_object_mut)
        {
            matching::complete(constraints, &RULES);
        }
    }
}

/// Fills in the selectors.
pub(super) fn complete_binding(object: &mut Value) {
    if let Some(resources) = object
        .pointer_mut("/spec/matchResources")
        .and_then(Value::as_object_mut)
    {
        matching::complete(resources, &RULES);
    }
}

/// Everything that is wrong with a policy.
pub(super) fn check(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    one_of(
        spec,
        "failurePolicy",
        &["Fail", "Ignore"],
        "spec",
        &mut causes,
    );
    let params = spec.get("paramKind").filter(|kind| !kind.is_null());
    if let Some(kind) = params {
        param_kind(kind, &mut causes);
    }
    match spec
        .get("matchConstraints")
        .filter(|value| value.is_object())
    {
        None => causes.push(Cause::required("spec.matchConstraints", "")),
        Some(constraints) => {
            matching::check(constraints, &RULES, "spec.matchConstraints", &mut causes);
            if items(constraints, "resourceRules").is_empty() {
                causes.push(Cause::required("spec.matchConstraints.resourceRules", ""));
            }
        }
    }
    conditions(spec, "spec", params.is_some(), &mut causes);
    let composed = variables(spec, params.is_some(), &mut causes);
    let known = Known {
        params: params.is_some(),
        authorizer: true,
        variables: Some(&composed),
        ..Known::default()
    };
    validations(spec, known, &mut causes);
    annotations(object, known, &mut causes);
    causes
}

fn param_kind(param: &Value, causes: &mut Vec<Cause>) {
    const API_VERSION: &str = "spec.paramKind.apiVersion";
    const KIND: &str = "spec.paramKind.kind";
    let mut wrong = |place: &str, found: &str, problem: &str| {
        causes.push(Cause::invalid(place, &found.into(), problem));
    };
    let (whole, kind) = (word(param, "apiVersion"), word(param, "kind"));
    let (group, version) = whole.split_once('/').unwrap_or(("", whole));
    if version.contains('/') {
        let problem = format!("unexpected GroupVersion string: {whole}");
        wrong(API_VERSION, whole, &problem);
    } else if !whole.is_empty() {
        let problem = names::dns_subdomain(group).filter(|_| !group.is_empty());
        if let Some(problem) = problem {
            wrong(API_VERSION, group, &problem);
        }
        match names::dns1035_label(version) {
            _ if version.is_empty() => wrong(API_VERSION, whole, "version must be specified"),
            Some(problem) => wrong(API_VERSION, version, &problem),
            None => {}
        }
    }
    let problem = names::dns1035_label(&kind.to_lowercase()).filter(|_| !kind.is_empty());
    if let Some(problem) = problem {
        let text = format!("may have mixed case, but should otherwise match: {problem}");
        wrong(KIND, kind, &text);
    }
    for (place, _) in [(API_VERSION, whole), (KIND, kind)]
        .into_iter()
        .filter(|(_, found)| found.is_empty())
    {
        causes.push(Cause::required(place, ""));
    }
}

/// `matchConditions` of a webhook or a policy.
pub(super) fn conditions(value: &Value, place: &str, params: bool, causes: &mut Vec<Cause>) {
    let all = items(value, "matchConditions");
    let place = format!("{place}.matchConditions");
    if all.len() > CONDITIONS_MAX {
        let text = format!(
            "Too many: {}: must have at most {CONDITIONS_MAX} items",
            all.len()
        );
        causes.push(Cause::of(place.clone(), text));
    }
    let mut names = Vec::new();
    for (n, condition) in all.iter().enumerate() {
        let at = format!("{place}[{n}]");
        let known = Known {
            params,
            authorizer: true,
            variables: None,
            ..Known::default()
        };
        let wanted = ("expression", Wanted::Bool);
        compiles(condition, wanted, "", known, &at, causes);
        let name = word(condition, "name");
        if name.is_empty() {
            causes.push(Cause::required(format!("{at}.name"), ""));
        } else if names.contains(&name) {
            causes.push(duplicate(format!("{at}.name"), name));
        } else if let Some(problem) = names::label_key(name) {
            causes.push(Cause::invalid(format!("{at}.name"), &name.into(), &problem));
        }
        names.push(name);
    }
}

/// The expression must be there, compile, and give what is wanted.
fn compiles(
    value: &Value,
    (field, wanted): (&str, Wanted),
    missing: &str,
    known: Known<'_>,
    place: &str,
    causes: &mut Vec<Cause>,
) -> Option<Expression> {
    let text = word(value, field);
    let at = format!("{place}.{field}");
    if text.trim().is_empty() {
        causes.push(Cause::required(at, missing));
        return None;
    }
    let made = Expression::compile(text, known, wanted);
    made.map_err(|problem| causes.push(Cause::invalid(at, &text.into(), &problem)))
        .ok()
}

/// Checks the variables, each of which knows those before it; answers them all.
fn variables(spec: &Value, params: bool, causes: &mut Vec<Cause>) -> Composed {
    let mut composed = Composed::default();
    for (n, variable) in items(spec, "variables").iter().enumerate() {
        let place = format!("spec.variables[{n}]");
        let name = word(variable, "name");
        if name.trim().is_empty() {
            causes.push(Cause::required(
                format!("{place}.name"),
                "name is not specified",
            ));
        } else if !expression::is_identifier(name) {
            const TEXT: &str = "name is not a valid CEL identifier";
            causes.push(Cause::invalid(format!("{place}.name"), &name.into(), TEXT));
        }
        let known = Known {
            params,
            authorizer: true,
            variables: Some(&composed),
            ..Known::default()
        };
        const MISSING: &str = "expression is not specified";
        let wanted = ("expression", Wanted::Anything);
        let made = compiles(variable, wanted, MISSING, known, &place, causes);
        composed.add(name, made.as_ref());
    }
    composed
}

fn validations(spec: &Value, known: Known<'_>, causes: &mut Vec<Cause>) {
    const NONE: &str = "validations or auditAnnotations must contain at least one item";
    let all = items(spec, "validations");
    if all.is_empty() && items(spec, "auditAnnotations").is_empty() {
        causes.push(Cause::required("spec.validations", NONE));
        causes.push(Cause::required("spec.auditAnnotations", NONE));
    }
    // Messages are made without the authorizer.
    let spoken = Known {
        authorizer: false,
        ..known
    };
    for (n, validation) in all.iter().enumerate() {
        let place = format!("spec.validations[{n}]");
        const MISSING: &str = "expression is not specified";
        let wanted = ("expression", Wanted::Bool);
        compiles(validation, wanted, MISSING, known, &place, causes);
        let message = word(validation, "message");
        let at = format!("{place}.message");
        if !message.is_empty() && message.trim().is_empty() {
            const TEXT: &str = "message must be non-empty if specified";
            causes.push(Cause::invalid(at, &message.into(), TEXT));
        } else if message.trim().contains(['\n', '\r']) {
            const TEXT: &str = "message must not contain line breaks";
            causes.push(Cause::invalid(at, &message.into(), TEXT));
        }
        let words = word(validation, "messageExpression");
        if !words.is_empty() && words.trim().is_empty() {
            const TEXT: &str = "must be non-empty if specified";
            causes.push(Cause::invalid(
                format!("{place}.messageExpression"),
                &words.into(),
                TEXT,
            ));
        } else if !words.is_empty() {
            let wanted = ("messageExpression", Wanted::Text);
            compiles(validation, wanted, "", spoken, &place, causes);
        }
        one_of(validation, "reason", &REASONS, &place, causes);
    }
}

fn annotations(object: &Value, known: Known<'_>, causes: &mut Vec<Cause>) {
    let all = items(&object["spec"], "auditAnnotations");
    if all.len() > ANNOTATIONS_MAX {
        let text = format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations");
        causes.push(Cause::invalid(
            "spec.auditAnnotations",
            &json!("..."),
            &text,
        ));
    }
    let policy = crate::metadata::text(object, "name");
    let mut keys = Vec::new();
    for (n, annotation) in all.iter().enumerate() {
        let place = format!("spec.auditAnnotations[{n}]");
        let key = word(annotation, "key");
        let whole = format!("{policy}/{key}");
        let problem = match policy {
            "" => Some((key, "requires metadata.name be non-empty".to_owned())),
            _ => names::label_key(&whole).map(|problem| (&*whole, problem)),
        };
        if let Some((found, problem)) = problem {
            causes.push(Cause::invalid(
                format!("{place}.key"),
                &found.into(),
                &problem,
            ));
        }
        let at = format!("{place}.valueExpression");
        if word(annotation, "valueExpression").trim().len() > ANNOTATION_BYTES_MAX {
            let text = format!("must not exceed {ANNOTATION_BYTES_MAX} bytes in length");
            causes.push(Cause::required(at, &text));
        } else {
            const MISSING: &str = "valueExpression is not specified";
            let wanted = ("valueExpression", Wanted::TextOrNull);
            compiles(annotation, wanted, MISSING, known, &place, causes);
        }
        if keys.contains(&key) {
            causes.push(duplicate(format!("{place}.key"), key));
        }
        keys.push(key);
    }
}

/// Everything that is wrong with a binding.
pub(super) fn check_binding(object: &Value) -> Vec<Cause> {
    let spec = &object["spec"];
    let mut causes = Vec::new();
    let policy = word(spec, "policyName");
    if policy.is_empty() {
        causes.push(Cause::required("spec.policyName", ""));
    } else if let Some(problem) = names::dns_subdomain(policy) {
        causes.push(Cause::invalid("spec.policyName", &policy.into(), &problem));
    }
    if let Some(reference) = spec.get("paramRef").filter(|value| value.is_object()) {
        check_reference(reference, &mut causes);
    }
    if let Some(resources) = spec.get("matchResources").filter(|value| value.is_object()) {
        // Upstream's path has this typing error too, and clients compare texts.
        matching::check(resources, &RULES, "spec.matchResouces", &mut causes);
    }
    actions(items(spec, "validationActions"), &mut causes);
    causes
}

fn check_reference(reference: &Value, causes: &mut Vec<Cause>) {
    let name = word(reference, "name");
    let selector = reference.get("selector").filter(|value| !value.is_null());
    matching::selector(selector, "spec.paramRef.selector", causes);
    match (name.is_empty(), selector) {
        (true, None) => {
            const TEXT: &str = "one of name or selector must be specified";
            causes.push(Cause::required("spec.paramRef", TEXT));
        }
        (false, Some(_)) => {
            const TEXT: &str = "name and selector are mutually exclusive";
            for field in ["name", "selector"] {
                causes.push(Cause::forbidden(format!("spec.paramRef.{field}"), TEXT));
            }
        }
        (true, Some(_)) | (false, None) => {}
    }
    if word(reference, "parameterNotFoundAction").is_empty() {
        causes.push(Cause::required("spec.paramRef.parameterNotFoundAction", ""));
    }
    let words = ["Deny", "Allow"];
    one_of(
        reference,
        "parameterNotFoundAction",
        &words,
        "spec.paramRef",
        causes,
    );
}

fn actions(all: &[Value], causes: &mut Vec<Cause>) {
    const PLACE: &str = "spec.validationActions";
    const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];
    let words: Vec<&str> = all
        .iter()
        .map(|action| action.as_str().unwrap_or_default())
        .collect();
    for (n, action) in words.iter().enumerate() {
        if !ACTIONS.contains(action) {
            causes.push(not_supported(&format!("{PLACE}[{n}]"), action, &ACTIONS));
        }
        if words[..n].contains(action) {
            causes.push(duplicate(format!("{PLACE}[{n}]"), action));
        }
    }
    if words.contains(&"Deny") && words.contains(&"Warn") {
        const TEXT: &str = "must not contain both Deny and Warn (repeating the same validation failure \
                            information in the API response and headers serves no purpose)";
        causes.push(Cause::invalid(PLACE, &json!(words), TEXT));
    }
    if words.is_empty() {
        causes.push(Cause::required(
            PLACE,
            "at least one validation action is required",
        ));
    }
}
