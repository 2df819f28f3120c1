//! One rule of a role.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::user::Attributes;

/// Verbs on resources, or on paths that are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// API groups; `*`: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `tasks`, `tasks/status`, `*/scale`, `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths, perhaps ending with `*`.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
    /// Verbs; `*`: all.
    pub verbs: Vec<String>,
}

impl Rule {
    /// The rules of a role. What the schema would have refused is passed over.
    #[must_use]
    pub fn of(object: &Value) -> Vec<Self> {
        let rules = object.get("rules").and_then(Value::as_array);
        let rules = rules.into_iter().flatten();
        rules
            .filter_map(|rule| Self::deserialize(rule).ok())
            .collect()
    }

    /// Everything on every resource.
    #[must_use]
    pub fn everything() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            api_groups: all(),
            resources: all(),
            verbs: all(),
            ..Self::default()
        }
    }

    /// Every verb on every path.
    #[must_use]
    pub fn everywhere() -> Self {
        Self {
            non_resource_urls: vec!["*".to_owned()],
            verbs: vec!["*".to_owned()],
            ..Self::default()
        }
    }

    /// Does the rule allow this?
    #[must_use]
    pub fn allows(&self, asked: &Attributes) -> bool {
        any(&self.verbs, &asked.verb)
            && any(&self.api_groups, &asked.group)
            && self.resources.iter().any(|own| reaches(own, asked))
            && (self.resource_names.is_empty() || self.resource_names.contains(&asked.name))
    }

    /// Does the rule allow the verb on a path that is no resource?
    #[must_use]
    pub fn allows_path(&self, verb: &str, path: &str) -> bool {
        any(&self.verbs, verb) && self.non_resource_urls.iter().any(|own| leads(own, path))
    }
}

fn any(words: &[String], wanted: &str) -> bool {
    words.iter().any(|own| own == "*" || own == wanted)
}

/// `*` reaches everything, `a` the objects, `a/b` their subresource, `*/b` that of all resources.
fn reaches(own: &str, asked: &Attributes) -> bool {
    let below = match own {
        "*" => return true,
        _ if asked.subresource.is_empty() => return own == asked.resource,
        _ => own.strip_suffix(asked.subresource.as_str()),
    };
    let resource = below.and_then(|rest| rest.strip_suffix('/'));
    resource.is_some_and(|resource| resource == "*" || resource == asked.resource)
}

/// True if the path is the rule's, or begins with it where the rule ends with a star.
#[must_use]
pub fn leads(own: &str, path: &str) -> bool {
    own == path || own.ends_with('*') && path.starts_with(own.trim_end_matches('*'))
}

impl fmt::Display for Rule {
    /// As Kubernetes lists missing rights.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let filled = parts.into_iter().filter(|(_, words)| !words.is_empty());
        let shown = filled.map(|(name, words)| format!("{name}:{}", quoted(words)));
        write!(f, "{{{}}}", shown.collect::<Vec<_>>().join(", "))
    }
}

/// A list as Go's `%q` writes it: quoted, with blanks between.
#[must_use]
pub fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: &Value) -> Rule {
        let role = json!({ "rules": [value] });
        Rule::of(&role).pop().unwrap()
    }

    /// `verb resource[/sub].group[:name]`.
    fn asked(text: &str) -> Attributes {
        let (verb, rest) = text.split_once(' ').unwrap();
        let (rest, name) = rest.split_once(':').unwrap_or((rest, ""));
        let (rest, group) = rest.split_once('.').unwrap_or((rest, ""));
        let (resource, subresource) = rest.split_once('/').unwrap_or((rest, ""));
        Attributes {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            name: name.into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn matching() {
        let read = json!({"apiGroups": ["", "g"], "resources": ["tasks", "tasks/log"], "verbs": ["get", "list"]});
        let scales = json!({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]});
        let named = json!({"apiGroups": ["g"], "resources": ["tasks"], "resourceNames": ["x"], "verbs": ["get", "list"]});
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        let nothing = json!({"verbs": ["*"], "nonResourceURLs": ["*"]});
        for (rule_, text, allowed) in [
            (&read, "get tasks.g", true),
            (&read, "get tasks", true),
            (&read, "get tasks.h", false),
            (&read, "watch tasks.g", false),
            (&read, "get tasks/log.g:x", true),
            (&read, "get tasks/status.g:x", false),
            (&read, "get task.g", false),
            (&scales, "patch tasks/scale.g:x", true),
            (&scales, "patch tasks/upscale.g:x", false),
            (&scales, "patch tasks/x/scale.g:x", false),
            (&scales, "patch tasks.g:x", false),
            (&scales, "get scale.g", false),
            (&named, "get tasks.g:x", true),
            (&named, "get tasks.g:y", false),
            (&named, "list tasks.g", false),
            (&named, "list tasks.g:x", true),
            (&all, "escalate roles/any.thing:y", true),
            (&nothing, "get tasks.g", false),
        ] {
            let found = rule(rule_).allows(&asked(text));
            assert_eq!(found, allowed, "{rule_} {text}");
        }
    }

    #[test]
    fn paths() {
        let rule = rule(&json!({"nonResourceURLs": ["/metrics", "/logs/*"], "verbs": ["get"]}));
        for (verb, path, allowed) in [
            ("get", "/metrics", true),
            ("get", "/metrics/x", false),
            ("post", "/metrics", false),
            ("get", "/logs/", true),
            ("get", "/logs/a/b", true),
            ("get", "/logs", false),
        ] {
            assert_eq!(rule.allows_path(verb, path), allowed, "{verb} {path}");
        }
        assert!(Rule::everywhere().allows_path("get", "/any"));
        assert!(!Rule::everything().allows_path("get", "/any"));
    }

    #[test]
    fn as_text() {
        let named = rule(&json!({
            "apiGroups": ["stoa.dev"], "resources": ["tasks"], "resourceNames": ["x"], "verbs": ["get", "list"],
        }));
        assert_eq!(
            named.to_string(),
            "{APIGroups:[\"stoa.dev\"], Resources:[\"tasks\"], ResourceNames:[\"x\"], Verbs:[\"get\" \"list\"]}"
        );
        assert_eq!(
            Rule::everywhere().to_string(),
            "{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"
        );
    }
}
