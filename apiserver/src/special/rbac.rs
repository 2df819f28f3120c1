//! Roles and bindings: what may be stored. Rules follow `pkg/apis/rbac` of Kubernetes.

use serde_json::Value;

use crate::names;
use crate::rbac::GROUP;
use crate::registry::Descriptor;
use crate::status::Cause;

/// Fills in the groups that are left out.
pub fn complete(object: &mut Value) {
    let absent = |value: &Value| value.as_str().unwrap_or_default().is_empty();
    if let Some(reference) = object.get_mut("roleRef").and_then(Value::as_object_mut)
        && reference.get("apiGroup").is_none_or(absent)
    {
        reference.insert("apiGroup".into(), GROUP.into());
    }
    let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
    let maps = subjects
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut);
    for subject in maps {
        let kind = subject.get("kind").and_then(Value::as_str);
        if matches!(kind, Some("User" | "Group")) && subject.get("apiGroup").is_none_or(absent) {
            subject.insert("apiGroup".into(), GROUP.into());
        }
    }
}

/// What is wrong with a role or a binding that the schema accepts.
#[must_use]
pub fn check(resource: &Descriptor, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    match resource.kind.as_str() {
        "Role" | "ClusterRole" => rules(object, resource.namespaced),
        _ => binding(resource, object, old),
    }
}

fn rules(object: &Value, namespaced: bool) -> Vec<Cause> {
    let rules = object.get("rules").and_then(Value::as_array);
    let rules = rules.into_iter().flatten().enumerate();
    rules
        .flat_map(|(n, one)| rule(one, namespaced, &format!("rules[{n}]")))
        .collect()
}

fn rule(rule: &Value, namespaced: bool, at: &str) -> Vec<Cause> {
    let count = |field: &str| {
        rule.get(field)
            .and_then(Value::as_array)
            .map_or(0, Vec::len)
    };
    let mut causes = Vec::new();
    let mut require = |field: &str, text: &str| {
        causes.push(Cause::required(format!("{at}.{field}"), text));
    };
    if count("verbs") == 0 {
        require("verbs", "verbs must contain at least one value");
    }
    if count("nonResourceURLs") > 0 {
        causes.extend(paths(rule, namespaced, at));
        return causes;
    }
    if count("apiGroups") == 0 {
        require(
            "apiGroups",
            "resource rules must supply at least one api group",
        );
    }
    if count("resources") == 0 {
        require(
            "resources",
            "resource rules must supply at least one resource",
        );
    }
    if count("resourceNames") > 0 && count("resources") > 1 {
        require(
            "resourceNames",
            "resource names cannot apply to multiple resources",
        );
    }
    causes
}

fn paths(rule: &Value, namespaced: bool, at: &str) -> Vec<Cause> {
    const NAMESPACED: &str = "namespaced rules cannot apply to non-resource URLs";
    const MIXED: &str = "rules cannot apply to both regular resources and non-resource URLs";
    let filled = |field: &str| {
        let list = rule.get(field).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    let mixed = ["apiGroups", "resources", "resourceNames"]
        .iter()
        .any(|field| filled(field));
    let wrong = |text| {
        Cause::invalid(
            format!("{at}.nonResourceURLs"),
            &rule["nonResourceURLs"],
            text,
        )
    };
    let namespaced = namespaced.then(|| wrong(NAMESPACED));
    namespaced
        .into_iter()
        .chain(mixed.then(|| wrong(MIXED)))
        .collect()
}

fn binding(resource: &Descriptor, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = reference(&object["roleRef"], resource.namespaced);
    let subjects = object.get("subjects").and_then(Value::as_array);
    for (n, one) in subjects.into_iter().flatten().enumerate() {
        causes.extend(subject(one, resource.namespaced, &format!("subjects[{n}]")));
    }
    if old.is_some_and(|old| old["roleRef"] != object["roleRef"]) {
        let text = "cannot change roleRef";
        causes.push(Cause::invalid("roleRef", &object["roleRef"], text));
    }
    causes
}

fn reference(reference: &Value, namespaced: bool) -> Vec<Cause> {
    let (group, kind, name) = (
        text(reference, "apiGroup"),
        text(reference, "kind"),
        text(reference, "name"),
    );
    let mut causes = Vec::new();
    if group != GROUP {
        causes.push(unsupported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kinds = if namespaced {
        &["ClusterRole", "Role"][..]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&kind) {
        causes.push(unsupported("roleRef.kind", kind, kinds));
    }
    match name {
        "" => causes.push(Cause::required("roleRef.name", "")),
        _ => causes.extend(
            names::path_segment(name)
                .map(|problem| Cause::invalid("roleRef.name", &name.into(), &problem)),
        ),
    }
    causes
}

fn subject(subject: &Value, namespaced: bool, at: &str) -> Vec<Cause> {
    const KINDS: [&str; 3] = ["Group", "ServiceAccount", "User"];
    let (group, kind, name) = (
        text(subject, "apiGroup"),
        text(subject, "kind"),
        text(subject, "name"),
    );
    let mut causes = Vec::new();
    if name.is_empty() {
        causes.push(Cause::required(format!("{at}.name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            let problem = names::dns_subdomain(name).filter(|_| !name.is_empty());
            causes.extend(
                problem.map(|text| Cause::invalid(format!("{at}.name"), &name.into(), &text)),
            );
            if !group.is_empty() {
                causes.push(unsupported(&format!("{at}.apiGroup"), group, &[""]));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                causes.push(Cause::required(format!("{at}.namespace"), ""));
            }
        }
        "User" | "Group" if group != GROUP => {
            causes.push(unsupported(&format!("{at}.apiGroup"), group, &[GROUP]));
        }
        "User" | "Group" => {}
        _ => causes.push(unsupported(&format!("{at}.kind"), kind, &KINDS)),
    }
    causes
}

fn unsupported(field: &str, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
    let supported = supported.join(", ");
    Cause::of(
        field,
        format!("Unsupported value: {value:?}: supported values: {supported}"),
    )
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The role of a binding, as its column shows it.
#[must_use]
pub fn shown_role(object: &Value) -> String {
    let reference = &object["roleRef"];
    format!("{}/{}", text(reference, "kind"), text(reference, "name"))
}

/// The subjects of one kind, as their column shows them.
#[must_use]
pub fn shown_subjects(object: &Value, kind: &str) -> String {
    let subjects = object.get("subjects").and_then(Value::as_array);
    let fitting = subjects
        .into_iter()
        .flatten()
        .filter(|one| text(one, "kind") == kind);
    let names = fitting.map(|one| match kind {
        "ServiceAccount" => format!("{}/{}", text(one, "namespace"), text(one, "name")),
        _ => text(one, "name").to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::builtin;

    fn lines(kind: &str, object: &Value, old: Option<&Value>) -> Vec<String> {
        let all = builtin::descriptors();
        let resource = all.iter().find(|one| one.kind == kind).unwrap();
        let mut object = object.clone();
        complete(&mut object);
        let causes = check(resource, &object, old);
        causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn roles() {
        let both = json!({"nonResourceURLs": ["/x"], "apiGroups": [""], "verbs": ["get"]});
        for (kind, rule, expected) in [
            (
                "Role",
                json!({"apiGroups": [""], "resources": ["x"], "verbs": ["get"]}),
                vec![],
            ),
            (
                "Role",
                json!({}),
                vec![
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ],
            ),
            (
                "ClusterRole",
                json!({"nonResourceURLs": ["/x"], "verbs": ["get"]}),
                vec![],
            ),
            (
                "Role",
                json!({"nonResourceURLs": ["/x"], "verbs": ["get"]}),
                vec![
                    "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
                ],
            ),
            (
                "ClusterRole",
                both,
                vec![
                    "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and non-resource URLs",
                ],
            ),
            (
                "ClusterRole",
                json!({"apiGroups": [""], "resources": ["x", "y"], "resourceNames": ["n"], "verbs": ["get"]}),
                vec![
                    "rules[0].resourceNames: Required value: resource names cannot apply to multiple resources",
                ],
            ),
        ] {
            let found = lines(kind, &json!({ "rules": [rule] }), None);
            assert_eq!(found, expected, "{kind} {rule}");
        }
    }

    #[test]
    fn bindings() {
        let of = |kind: &str, subject: &Value| json!({"roleRef": {"kind": kind, "name": "r"}, "subjects": [subject]});
        let user = json!({"kind": "User", "name": "u"});
        let account = json!({"kind": "ServiceAccount", "name": "s"});
        for (kind, object, expected) in [
            ("RoleBinding", of("Role", &user), vec![]),
            ("RoleBinding", of("Role", &account), vec![]),
            (
                "ClusterRoleBinding",
                of("Role", &account),
                vec![
                    "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
                    "subjects[0].namespace: Required value",
                ],
            ),
            (
                "RoleBinding",
                of("Role", &json!({"kind": "Robot", "name": ""})),
                vec![
                    "subjects[0].name: Required value",
                    "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
                ],
            ),
            (
                "RoleBinding",
                json!({"roleRef": {"kind": "Role", "name": "a/b", "apiGroup": "x"}}),
                vec![
                    "roleRef.apiGroup: Unsupported value: \"x\": supported values: \"rbac.authorization.k8s.io\"",
                    "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
                ],
            ),
        ] {
            assert_eq!(lines(kind, &object, None), expected, "{kind} {object}");
        }
        let mut old = of("Role", &user);
        complete(&mut old);
        let new = of("ClusterRole", &user);
        let found = lines("RoleBinding", &new, Some(&old));
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(": cannot change roleRef"), "{found:?}");
        assert_eq!(shown_role(&old), "Role/r");
        assert_eq!(shown_subjects(&old, "User"), "u");
    }
}
