//! May somebody do something? The answers to access reviews, by the same policy that judges
//! requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::authorize::Authorizer;
use crate::body;
use crate::metadata;
use crate::rbac::Rule;
use crate::registry::Descriptor;
use crate::status::{Cause, Failure};
use crate::user::{Attributes, User};

/// A review, and what it is judged by.
#[derive(Debug)]
pub struct Question<'a> {
    /// The policy.
    pub authorizer: &'a Authorizer,
    /// Who asks.
    pub user: &'a User,
    /// The kind of the review.
    pub resource: &'a Descriptor,
    /// The namespace of the URL.
    pub namespace: Option<&'a str>,
    /// The review, well-formed by its schema.
    pub object: &'a Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
    resource_attributes: Option<OnResource>,
    non_resource_attributes: Option<OnPath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OnResource {
    namespace: String,
    verb: String,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    name: String,
    field_selector: Option<Selected>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selected {
    raw_selector: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OnPath {
    path: String,
    verb: String,
}

/// The status of a SubjectAccessReview: about anybody.
///
/// # Errors
/// 422 for a question that is none.
pub fn access(question: &Question<'_>) -> Result<Value, Failure> {
    let spec = spec(question)?;
    let mut causes: Vec<Cause> = one_of(&spec, question.object).into_iter().collect();
    causes.extend(named(&spec));
    causes.extend(bare(question.object, false));
    refuse(question, causes)?;
    let user = subject(&spec);
    Ok(judge(question.authorizer, &user, spec))
}

/// The status of a SelfSubjectAccessReview: about whoever asks.
///
/// # Errors
/// 422 for a question that is none.
pub fn own_access(question: &Question<'_>) -> Result<Value, Failure> {
    let spec = spec(question)?;
    let mut causes: Vec<Cause> = one_of(&spec, question.object).into_iter().collect();
    causes.extend(bare(question.object, false));
    refuse(question, causes)?;
    Ok(judge(question.authorizer, question.user, spec))
}

/// The status of a LocalSubjectAccessReview: about anybody, in the namespace of the URL.
///
/// # Errors
/// 422 for a question that is none, or that is about another namespace.
pub fn local_access(question: &Question<'_>) -> Result<Value, Failure> {
    let spec = spec(question)?;
    let mut causes: Vec<Cause> = one_of(&spec, question.object).into_iter().collect();
    causes.extend(named(&spec));
    causes.extend(bare(question.object, true));
    causes.extend(local(question, &spec));
    refuse(question, causes)?;
    let user = subject(&spec);
    Ok(judge(question.authorizer, &user, spec))
}

/// The status of a SelfSubjectRulesReview: all that whoever asks may do in a namespace, as far as
/// roles say it.
///
/// # Errors
/// 400 without a namespace.
pub fn own_rules(question: &Question<'_>) -> Result<Value, Failure> {
    let namespace = question.object.pointer("/spec/namespace");
    let namespace = namespace.and_then(Value::as_str).unwrap_or_default();
    if namespace.is_empty() {
        return Err(Failure::bad_request("no namespace on request"));
    }
    let held = question.authorizer.rules(question.user, namespace);
    let rules = || held.iter().flat_map(|rules| rules.iter());
    let on_resources = rules()
        .filter(|rule| !rule.resources.is_empty())
        .map(|rule| {
            let rule = Rule {
                non_resource_urls: Vec::new(),
                ..rule.clone()
            };
            json!(rule)
        });
    let on_paths = rules().filter(|rule| !rule.non_resource_urls.is_empty());
    let on_paths = on_paths
        .map(|rule| json!({"nonResourceURLs": rule.non_resource_urls, "verbs": rule.verbs}));
    Ok(json!({
        "resourceRules": on_resources.collect::<Vec<_>>(),
        "nonResourceRules": on_paths.collect::<Vec<_>>(),
        "incomplete": Authorizer::is_hard_wired(question.user),
    }))
}

fn spec(question: &Question<'_>) -> Result<Spec, Failure> {
    let spec = &question.object["spec"];
    if spec.is_null() {
        return Ok(Spec::default());
    }
    body::shaped(spec.clone(), "spec")
}

fn refuse(question: &Question<'_>, causes: Vec<Cause>) -> Result<(), Failure> {
    if causes.is_empty() {
        return Ok(());
    }
    let Descriptor { group, kind, .. } = question.resource;
    Err(Failure::invalid(group, kind, "", causes))
}

/// A question is about a resource or about a path.
fn one_of(spec: &Spec, object: &Value) -> Option<Cause> {
    let value = &object["spec"]["nonResourceAttributes"];
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(_), Some(_)) => Some(Cause::invalid(
            "spec.nonResourceAttributes",
            value,
            "cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => Some(Cause::invalid(
            "spec.resourceAttributes",
            value,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        (Some(_), None) | (None, Some(_)) => None,
    }
}

fn named(spec: &Spec) -> Option<Cause> {
    (spec.user.is_empty() && spec.groups.is_empty()).then(|| {
        let text = "at least one of user or group must be specified";
        Cause::invalid("spec.user", &"".into(), text)
    })
}

/// A question has no name, no labels, nothing: it is not stored.
fn bare(object: &Value, local: bool) -> Option<Cause> {
    let (skipped, text) = if local {
        ("namespace", "must be empty except for namespace")
    } else {
        ("", "must be empty")
    };
    let metadata = object.get("metadata").and_then(Value::as_object);
    let mut fields = metadata.into_iter().flatten();
    fields
        .any(|(field, _)| field != skipped)
        .then(|| Cause::invalid("metadata", &object["metadata"], text))
}

fn local(question: &Question<'_>, spec: &Spec) -> Vec<Cause> {
    let mut causes = Vec::new();
    let namespace = metadata::text(question.object, "namespace");
    if let Some(asked) = &spec.resource_attributes
        && asked.namespace != namespace
    {
        let (field, value) = ("spec.resourceAttributes.namespace", &asked.namespace);
        let text = "must match metadata.namespace";
        causes.push(Cause::invalid(field, &value.as_str().into(), text));
    }
    if spec.non_resource_attributes.is_some() {
        let value = &question.object["spec"]["nonResourceAttributes"];
        let text = "disallowed on this kind of request";
        causes.push(Cause::invalid("spec.nonResourceAttributes", value, text));
    }
    causes
}

fn subject(spec: &Spec) -> User {
    User {
        name: spec.user.clone(),
        groups: spec.groups.clone(),
        uid: spec.uid.clone(),
        extra: spec.extra.clone(),
    }
}

fn judge(authorizer: &Authorizer, user: &User, spec: Spec) -> Value {
    let namespace = spec.resource_attributes.as_ref();
    let namespace = namespace.map_or(String::new(), |asked| asked.namespace.clone());
    let why = match (spec.resource_attributes, spec.non_resource_attributes) {
        (Some(asked), _) => authorizer.why(user, &attributes(asked)),
        (None, Some(asked)) => authorizer.why_path(user, &asked.verb, &asked.path),
        (None, None) => None,
    };
    let mut status = Map::new();
    status.insert("allowed".into(), why.is_some().into());
    let reason = why.unwrap_or_else(|| authorizer.note(user, &namespace));
    if !reason.is_empty() {
        status.insert("reason".into(), reason.into());
    }
    status.into()
}

fn attributes(asked: OnResource) -> Attributes {
    Attributes {
        verb: asked.verb,
        group: asked.group,
        version: asked.version,
        resource: asked.resource,
        subresource: asked.subresource,
        namespace: asked.namespace,
        name: asked.name,
        field_selector: asked.field_selector.unwrap_or_default().raw_selector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::builtin;
    use crate::user::{AGENTS, MASTERS};

    fn ask(kind: &str, object: &Value) -> Result<Value, Failure> {
        let all = builtin::descriptors();
        let resource = all.iter().find(|one| one.kind == kind).unwrap();
        let judge = match kind {
            "SubjectAccessReview" => access,
            "SelfSubjectAccessReview" => own_access,
            _ => local_access,
        };
        judge(&Question {
            authorizer: &Authorizer::default(),
            user: &User::new("admin", MASTERS),
            resource,
            namespace: Some("a"),
            object,
        })
    }

    #[test]
    fn answers() {
        let delete = json!({"verb": "delete", "resource": "secrets", "namespace": "a"});
        let own = json!({"group": "stoa.dev", "verb": "get", "resource": "agents", "name": "a1"});
        for (kind, spec, allowed) in [
            (
                "SelfSubjectAccessReview",
                json!({"resourceAttributes": delete}),
                true,
            ),
            (
                "SelfSubjectAccessReview",
                json!({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}),
                true,
            ),
            (
                "SubjectAccessReview",
                json!({"user": "stoa:agent:a1", "groups": [AGENTS], "resourceAttributes": own}),
                true,
            ),
            (
                "SubjectAccessReview",
                json!({"user": "stoa:agent:a2", "groups": [AGENTS], "resourceAttributes": own}),
                false,
            ),
            (
                "LocalSubjectAccessReview",
                json!({"user": "x", "resourceAttributes": delete}),
                false,
            ),
        ] {
            let metadata = match kind {
                "LocalSubjectAccessReview" => json!({"namespace": "a"}),
                _ => json!({}),
            };
            let status = ask(kind, &json!({"metadata": metadata, "spec": spec})).unwrap();
            assert_eq!(status, json!({"allowed": allowed}), "{kind} {spec}");
        }
    }

    #[test]
    fn refusals() {
        let both = json!({"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}});
        let elsewhere = json!({
            "metadata": {"namespace": "a"},
            "spec": {"user": "x", "resourceAttributes": {"namespace": "b"}},
        });
        for (kind, object, message) in [
            (
                "SelfSubjectAccessReview",
                both,
                "cannot be specified in combination with resourceAttributes",
            ),
            (
                "SelfSubjectAccessReview",
                json!({"spec": {}}),
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ),
            (
                "SelfSubjectAccessReview",
                json!({"metadata": {"name": "x"}, "spec": {"resourceAttributes": {}}}),
                "metadata: Invalid value: {\"name\":\"x\"}: must be empty",
            ),
            (
                "SubjectAccessReview",
                json!({"spec": {"resourceAttributes": {}}}),
                "at least one of user or group must be specified",
            ),
            (
                "LocalSubjectAccessReview",
                elsewhere,
                "must match metadata.namespace",
            ),
        ] {
            let failure = ask(kind, &object).unwrap_err();
            assert_eq!(failure.code(), 422);
            let found = failure.message();
            assert!(found.contains(message), "{found}");
        }
    }
}
