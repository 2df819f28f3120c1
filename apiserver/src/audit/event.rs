//! One note of the audit log: a line of JSON that tools for Kubernetes' audit logs read.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::policy::{Decision, Level, Stage};
use crate::call::Annotations;
use crate::user::{Attributes, User};

/// Bodies longer than this are left out of notes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What is known of a request as it goes its way.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    /// What the policy says; none: it was not asked yet.
    pub decision: Option<Decision>,
    /// Who asks; none: a stranger.
    pub user: Option<User>,
    /// Whom the user acts as.
    pub impersonated: Option<User>,
    /// What is asked of which resource; none: another path.
    pub attributes: Option<Attributes>,
    /// The body that was sent.
    pub sent: Option<Bytes>,
    /// The body that was answered.
    pub answered: Option<Bytes>,
    /// What admission has to say.
    pub annotations: Annotations,
}

impl Noted {
    /// How much is noted.
    #[must_use]
    pub fn level(&self) -> Level {
        self.decision.map_or(Level::None, |decision| decision.level)
    }

    /// True if the answer goes on for long.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.attributes
            .as_ref()
            .is_some_and(|attributes| attributes.verb == "watch")
    }
}

/// The frame around what was noted.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// The request's id.
    pub id: &'a str,
    /// When it is written.
    pub stage: Stage,
    /// Path and query.
    pub uri: &'a str,
    /// HTTP method, for paths that are no resource.
    pub method: &'a str,
    /// Where the connection comes from; empty: from this process.
    pub source: &'a str,
    /// `User-Agent`.
    pub agent: &'a str,
    /// HTTP status of the answer.
    pub code: u16,
    /// When the request came.
    pub received: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl Event<'_> {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self, noted: &Noted) -> Vec<u8> {
        let mut line = Value::from(self.value(noted)).to_string().into_bytes();
        line.push(b'\n');
        line
    }

    fn value(&self, noted: &Noted) -> Map<String, Value> {
        let verb = noted.attributes.as_ref().map_or_else(
            || self.method.to_lowercase(),
            |attributes| attributes.verb.clone(),
        );
        let mut event = Map::new();
        let mut set = |key: &str, value: Value| event.insert(key.to_owned(), value);
        set("kind", "Event".into());
        set("apiVersion", "audit.k8s.io/v1".into());
        set("level", level(noted.level()).into());
        set("auditID", self.id.into());
        set("stage", self.stage.as_str().into());
        set("requestURI", self.uri.into());
        set("verb", verb.into());
        set("user", who(noted.user.as_ref()));
        if let Some(user) = &noted.impersonated {
            set("impersonatedUser", who(Some(user)));
        }
        if !self.source.is_empty() {
            set("sourceIPs", json!([self.source]));
        }
        set("userAgent", self.agent.into());
        if let Some(attributes) = &noted.attributes {
            set("objectRef", reference(attributes));
        }
        set("responseStatus", json!({"metadata": {}, "code": self.code}));
        let omits = noted
            .decision
            .is_some_and(|decision| decision.omits_managed_fields);
        if noted.level() >= Level::Request {
            set("requestObject", body(noted.sent.as_ref(), omits));
        }
        if noted.level() >= Level::RequestResponse {
            set("responseObject", body(noted.answered.as_ref(), omits));
        }
        let annotations = noted.annotations.get();
        if !annotations.is_empty() {
            set("annotations", json!(annotations));
        }
        set("requestReceivedTimestamp", micros(self.received).into());
        set("stageTimestamp", micros(self.now).into());
        event.retain(|_, value| !value.is_null() && value != "");
        event
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::None => "None",
        Level::Metadata => "Metadata",
        Level::Request => "Request",
        Level::RequestResponse => "RequestResponse",
    }
}

fn who(user: Option<&User>) -> Value {
    let Some(user) = user else {
        return json!({"username": "system:anonymous", "groups": ["system:unauthenticated"]});
    };
    let mut shown = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        shown["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}

fn reference(asked: &Attributes) -> Value {
    let mut reference = json!({
        "resource": asked.resource, "namespace": asked.namespace, "name": asked.name,
        "apiGroup": asked.group, "apiVersion": asked.version, "subresource": asked.subresource,
    });
    if let Some(map) = reference.as_object_mut() {
        map.retain(|_, value| value != "");
    }
    reference
}

/// A body as JSON; text that is none, and bodies too long for a note, are told by their length.
fn body(bytes: Option<&Bytes>, omits_managed_fields: bool) -> Value {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Value::Null;
    };
    if bytes.len() > BODY_BYTES_MAX {
        return json!({"omittedBytes": bytes.len()});
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut value) => {
            if let Some(metadata) = value
                .get_mut("metadata")
                .and_then(Value::as_object_mut)
                .filter(|_| omits_managed_fields)
            {
                metadata.remove("managedFields");
            }
            value
        }
        Err(_other_media) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_binary) => json!({"omittedBytes": bytes.len()}),
        },
    }
}

/// RFC 3339 with six digits, as Kubernetes' MicroTime.
fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note() {
        let annotations = Annotations::default();
        annotations.set([("p/k".to_owned(), "v".to_owned())].into());
        let noted = Noted {
            decision: Some(Decision {
                level: Level::RequestResponse,
                omits_managed_fields: true,
                ..Decision::default()
            }),
            user: Some(User::new("eve", "people")),
            impersonated: Some(User::new("bob", "people")),
            attributes: Some(Attributes {
                verb: "update".into(),
                group: "stoa.dev".into(),
                version: "v1".into(),
                resource: "tasks".into(),
                namespace: "a".into(),
                name: "x".into(),
                ..Attributes::default()
            }),
            sent: Some(Bytes::from_static(
                br#"{"metadata":{"name":"x","managedFields":[]}}"#,
            )),
            answered: Some(Bytes::from_static(b"a: b")),
            annotations,
        };
        let event = Event {
            id: "i",
            stage: Stage::ResponseComplete,
            uri: "/apis/stoa.dev/v1/namespaces/a/tasks/x?dryRun=All",
            method: "PUT",
            source: "10.0.0.1",
            agent: "kubectl/1",
            code: 200,
            received: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
        };
        let line = event.line(&noted);
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let shown: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            shown,
            json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
                "auditID": "i", "stage": "ResponseComplete",
                "requestURI": "/apis/stoa.dev/v1/namespaces/a/tasks/x?dryRun=All", "verb": "update",
                "user": {"username": "eve", "groups": ["people"]},
                "impersonatedUser": {"username": "bob", "groups": ["people"]},
                "sourceIPs": ["10.0.0.1"], "userAgent": "kubectl/1",
                "objectRef": {
                    "apiGroup": "stoa.dev", "apiVersion": "v1", "resource": "tasks",
                    "namespace": "a", "name": "x",
                },
                "responseStatus": {"metadata": {}, "code": 200},
                "requestObject": {"metadata": {"name": "x"}}, "responseObject": "a: b",
                "annotations": {"p/k": "v"},
                "requestReceivedTimestamp": "1970-01-01T00:00:00.000000Z",
                "stageTimestamp": "1970-01-01T00:00:00.000000Z",
            })
        );
    }

    #[test]
    fn a_stranger_asks_for_a_path() {
        let event = Event {
            id: "i",
            stage: Stage::ResponseComplete,
            uri: "/version",
            method: "GET",
            source: "",
            agent: "",
            code: 200,
            received: Timestamp::UNIX_EPOCH,
            now: Timestamp::UNIX_EPOCH,
        };
        let shown: Value = serde_json::from_slice(&event.line(&Noted::default())).unwrap();
        assert_eq!(shown["verb"], "get");
        assert_eq!(shown["user"]["username"], "system:anonymous");
        assert!(shown.get("objectRef").is_none() && shown.get("requestObject").is_none());
    }
}
