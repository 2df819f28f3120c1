//! Which requests are noted: the first rule that fits decides.

use serde::Deserialize;

use crate::user::{AGENTS, Attributes, CONTROLLERS, SERVERS, User};

/// How much of a request is noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who, what, when, and how it ended.
    Metadata,
    /// And the body that was sent.
    Request,
    /// And the body that was answered.
    RequestResponse,
}

/// `kind: Policy` of `audit.k8s.io/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default)]
    /// Allowed in the file, and of no meaning here.
    metadata: Ignored,
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// When a note is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Stage {
    /// Before the request is worked on. Never noted here: nothing is known of it yet.
    RequestReceived,
    /// When a watch has begun to answer.
    ResponseStarted,
    /// When the answer is complete.
    ResponseComplete,
    /// When the server failed.
    Panic,
}

impl Stage {
    /// As the note names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rule {
    level: Level,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Resources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// Something about a resource.
    Resource(&'a Attributes),
    /// Another path, with a verb such as `get`.
    Path(&'a str, &'a str),
}

/// What is noted of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// How much.
    pub level: Level,
    /// The note of a watch's beginning is left out.
    pub omits_start: bool,
    /// The note of the end is left out.
    pub omits_end: bool,
    /// `metadata.managedFields` is left out of bodies.
    pub omits_managed_fields: bool,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let policy: Self = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            return Err(format!(
                "expected apiVersion audit.k8s.io/v1 and kind Policy, found {} and {}",
                policy.api_version, policy.kind
            ));
        }
        if policy.rules.is_empty() {
            return Err("a policy needs at least one rule".to_owned());
        }
        for (n, rule) in policy.rules.iter().enumerate() {
            rule.check().map_err(|why| format!("rules[{n}]: {why}"))?;
        }
        Ok(policy)
    }

    /// What is noted when nobody says otherwise: every change somebody asks for, and every look at a
    /// Secret, without bodies. What the cluster's own programs do is in the objects' events.
    #[must_use]
    pub fn usual() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rule = Rule::default;
        let secrets = Resources {
            resources: words(&["secrets", "serviceaccounts/token"]),
            ..Resources::default()
        };
        Self {
            api_version: "audit.k8s.io/v1".to_owned(),
            kind: "Policy".to_owned(),
            metadata: Ignored,
            rules: vec![
                Rule {
                    user_groups: words(&[CONTROLLERS, SERVERS, AGENTS]),
                    ..rule()
                },
                Rule {
                    level: Level::Metadata,
                    resources: vec![secrets],
                    ..rule()
                },
                Rule {
                    level: Level::Metadata,
                    verbs: words(&["create", "update", "patch", "delete", "deletecollection"]),
                    ..rule()
                },
            ],
            omit_stages: vec![Stage::ResponseStarted],
            omit_managed_fields: true,
        }
    }

    /// What is noted of this request.
    #[must_use]
    pub fn decide(&self, user: Option<&User>, asked: Asked<'_>) -> Decision {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(user, asked)) else {
            return Decision::default();
        };
        let omits = |stage| self.omit_stages.contains(&stage) || rule.omit_stages.contains(&stage);
        Decision {
            level: rule.level,
            omits_start: omits(Stage::ResponseStarted),
            omits_end: omits(Stage::ResponseComplete),
            omits_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let on_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if on_resources && !self.non_resource_urls.is_empty() {
            return Err(
                "nonResourceURLs cannot go with resources or namespaces: make two rules".to_owned(),
            );
        }
        let odd = |url: &&String| {
            let star = url.find('*');
            url.as_str() != "*" && !url.starts_with('/')
                || star.is_some_and(|at| at + 1 < url.len())
        };
        match self.non_resource_urls.iter().find(odd) {
            Some(url) => Err(format!(
                "nonResourceURLs: {url:?} must begin with a slash, and may have * at its end only"
            )),
            None => Ok(()),
        }
    }

    fn fits(&self, user: Option<&User>, asked: Asked<'_>) -> bool {
        let name = user.map_or("system:anonymous", |user| user.name.as_str());
        let in_group = |group: &String| match user {
            Some(user) => user.is_in(group),
            None => group == "system:unauthenticated",
        };
        if !among(&self.users, name)
            || !(self.user_groups.is_empty() || self.user_groups.iter().any(in_group))
        {
            return false;
        }
        match asked {
            Asked::Resource(attributes) => {
                among(&self.verbs, &attributes.verb)
                    && self.non_resource_urls.is_empty()
                    && among(&self.namespaces, &attributes.namespace)
                    && (self.resources.is_empty()
                        || self.resources.iter().any(|one| one.fits(attributes)))
            }
            Asked::Path(verb, path) => {
                among(&self.verbs, verb)
                    && self.resources.is_empty()
                    && self.namespaces.is_empty()
                    && (self.non_resource_urls.is_empty()
                        || self.non_resource_urls.iter().any(|url| covers(url, path)))
            }
        }
    }
}

impl Resources {
    fn fits(&self, asked: &Attributes) -> bool {
        self.group == asked.group
            && (self.resources.is_empty() || self.resources.iter().any(|own| names(own, asked)))
            && among(&self.resource_names, &asked.name)
    }
}

/// `pods`, `pods/log`, `pods/*`, `*/status` or `*`.
fn names(pattern: &str, asked: &Attributes) -> bool {
    if pattern == "*" {
        return true;
    }
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == asked.resource)
        && (subresource == "*" || subresource == asked.subresource)
}

fn covers(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == pattern,
    }
}

/// An empty list means everything.
fn among(words: &[String], word: &str) -> bool {
    words.is_empty() || words.iter().any(|own| own == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::MASTERS;

    fn asked(verb: &str, resource: &str) -> Attributes {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Attributes {
            verb: verb.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: "a".into(),
            name: "x".into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn the_first_rule_that_fits() {
        let policy = "
apiVersion: audit.k8s.io/v1
kind: Policy
metadata: {name: p}
omitStages: [RequestReceived]
rules:
- {level: None, users: [bob], verbs: [get]}
- {level: RequestResponse, resources: [{group: '', resources: [configmaps], resourceNames: [x]}], namespaces: [a]}
- {level: Request, resources: [{resources: ['*/status', secrets]}], omitStages: [ResponseStarted]}
- {level: None, nonResourceURLs: ['/healthz*']}
- {level: Metadata}
";
        let policy = Policy::parse(policy).unwrap();
        let (bob, eve) = (User::new("bob", "g"), User::new("eve", MASTERS));
        for (user, verb, resource, level) in [
            (&bob, "get", "configmaps", Level::None),
            (&eve, "get", "configmaps", Level::RequestResponse),
            (&bob, "update", "configmaps", Level::RequestResponse),
            (&eve, "update", "configmaps/status", Level::Request),
            (&eve, "get", "secrets", Level::Request),
            (&eve, "get", "leases", Level::Metadata),
        ] {
            let found = policy.decide(Some(user), Asked::Resource(&asked(verb, resource)));
            assert_eq!(found.level, level, "{} {verb} {resource}", user.name);
        }
        let path = |path| policy.decide(None, Asked::Path("get", path)).level;
        assert_eq!(
            (path("/healthz/ping"), path("/version")),
            (Level::None, Level::Metadata)
        );
        let start = policy.decide(Some(&eve), Asked::Resource(&asked("watch", "secrets")));
        assert!(start.omits_start && !start.omits_end);
    }

    #[test]
    fn usually() {
        let policy = Policy::usual();
        let (eve, agent) = (User::new("eve", "g"), User::new("stoa:agent:a", AGENTS));
        for (user, verb, resource, level) in [
            (&eve, "get", "tasks", Level::None),
            (&eve, "get", "secrets", Level::Metadata),
            (&eve, "patch", "tasks", Level::Metadata),
            (&eve, "create", "serviceaccounts/token", Level::Metadata),
            (&agent, "patch", "tasks/status", Level::None),
        ] {
            let found = policy.decide(Some(user), Asked::Resource(&asked(verb, resource)));
            assert_eq!(found.level, level, "{} {verb} {resource}", user.name);
        }
    }

    #[test]
    fn wrong_policies() {
        for (rules, why) in [
            ("[]", "at least one rule"),
            ("[{level: Loud}]", "Loud"),
            ("[{level: None, verb: [get]}]", "verb"),
            ("[{nonResourceURLs: [x]}]", "rules[0]"),
            ("[{nonResourceURLs: ['/a*b']}]", "rules[0]"),
            ("[{nonResourceURLs: ['*'], namespaces: [a]}]", "two rules"),
        ] {
            let text = format!("{{apiVersion: audit.k8s.io/v1, kind: Policy, rules: {rules}}}");
            let error = Policy::parse(&text).unwrap_err();
            assert!(error.contains(why), "{rules}: {error}");
        }
        assert!(Policy::parse("{apiVersion: v1, kind: Policy, rules: [{}]}").is_err());
    }
}
