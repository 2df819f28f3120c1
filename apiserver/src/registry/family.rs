//! The versions of a definition together: what is stored in one of them is read in another.
//!
//! An object is stored as it was written last: under the storage version of that day, with the
//! defaults of that day. What a reader is owed beside is decided here, cheaply: definitions without
//! defaults and with one version owe nothing, nor does an object written since the definition was.

use std::sync::Arc;

use bytes::Bytes;
use manifests::schema;
use serde_json::Value;
use store::Item;

use super::Descriptor;
use crate::conversion::Webhook;
use crate::object;

/// All versions of a definition, served or not.
#[derive(Debug, Default)]
pub struct Family {
    /// Kind, the same in all.
    pub kind: String,
    members: Vec<Member>,
    has_defaults: bool,
    /// Who converts between versions; none: they differ in nothing but their name.
    pub webhook: Option<Arc<Webhook>>,
    /// Objects last written after this revision have all defaults there are.
    pub since: Option<u64>,
}

/// One version.
#[derive(Debug)]
struct Member {
    api_version: String,
    schema: Value,
    has_defaults: bool,
}

impl Family {
    /// The versions of a definition's spec, with the webhook that converts between them.
    #[must_use]
    pub fn of(spec: &Value, webhook: Option<Webhook>, since: Option<u64>) -> Self {
        let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let group = text(&spec["group"]);
        let member = |version: &Value| {
            let schema = version.pointer("/schema/openAPIV3Schema").cloned();
            let schema = schema.unwrap_or_default();
            Member {
                api_version: format!("{group}/{}", text(&version["name"])),
                has_defaults: has_defaults(&schema),
                schema,
            }
        };
        let members: Vec<Member> = versions.iter().map(member).collect();
        Self {
            kind: text(&spec["names"]["kind"]),
            has_defaults: members.iter().any(|member| member.has_defaults),
            members,
            webhook: webhook.filter(|_| versions.len() > 1).map(Arc::new),
            since,
        }
    }

    fn member(&self, api_version: &str) -> Option<&Member> {
        let mut members = self.members.iter();
        members.find(|member| member.api_version == api_version)
    }

    /// Fills in the defaults of the version the object is in.
    pub fn fill(&self, object: &mut Value) {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        if let Some(member) = self.member(api_version).filter(|own| own.has_defaults) {
            within(object, |object| {
                schema::apply_defaults(&member.schema, object)
            });
        }
    }

    /// Drops what the version an object was converted to does not know.
    pub fn prune(&self, object: &mut Value) {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        if let Some(member) = self.member(api_version) {
            within(object, |object| _ = schema::prune(&member.schema, object));
        }
    }

    /// True if the object may lack a default.
    #[must_use]
    pub fn may_lack(&self, api_version: &str, revision: u64) -> bool {
        self.member(api_version).is_some_and(|own| own.has_defaults)
            && self.since.is_none_or(|since| revision <= since)
    }
}

/// Works on the part of an object its schema speaks of.
fn within(object: &mut Value, work: impl FnOnce(&mut Value)) {
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let head = ["apiVersion", "kind", "metadata"].map(|field| map.remove_entry(field));
    work(object);
    if let Some(map) = object.as_object_mut() {
        map.extend(head.into_iter().flatten());
    }
}

fn has_defaults(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let below = |word: &str| map.get(word).is_some_and(has_defaults);
            let fields = map.get("properties").and_then(Value::as_object);
            map.contains_key("default")
                || below("items")
                || below("additionalProperties")
                || fields.is_some_and(|fields| fields.values().any(has_defaults))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            false
        }
    }
}

impl Descriptor {
    /// The version in which objects are held while something is done to them.
    #[must_use]
    pub fn working_api_version(&self) -> String {
        if self.webhook().is_some() {
            return self.api_version();
        }
        self.storage_api_version()
    }

    /// The version in which objects are stored.
    #[must_use]
    pub fn storage_api_version(&self) -> String {
        match (self.group.as_str(), self.storage_version.as_str()) {
            ("", version) => version.to_owned(),
            (group, version) => format!("{group}/{version}"),
        }
    }

    /// Who converts between the versions of this resource.
    #[must_use]
    pub fn webhook(&self) -> Option<&Arc<Webhook>> {
        self.family.as_ref()?.webhook.as_ref()
    }

    /// True if the stored object can be shown here as it is. `revision`: when it was last written,
    /// which for one that was deleted is not when it changed last.
    #[must_use]
    pub fn shows(&self, item: &Item, revision: u64) -> bool {
        let Some(family) = &self.family else {
            return self.is_as_stored();
        };
        object::is_of(item, &self.kind, &self.group, &self.version)
            && !(family.has_defaults && family.may_lack(&self.api_version(), revision))
    }

    /// The object with defaults, and if nobody has to be asked for it, in this version.
    #[must_use]
    pub fn completed(&self, item: &Item) -> Value {
        let mut value = object::decode(item);
        if self.family.is_some() {
            self.complete(&mut value);
        }
        value
    }

    /// Fills in defaults; names this version where versions differ in nothing else.
    pub fn complete(&self, object: &mut Value) {
        let Some(family) = self
            .family
            .as_ref()
            .filter(|_| object["kind"] == *self.kind)
        else {
            return;
        };
        family.fill(object);
        if family.webhook.is_none() {
            object["apiVersion"] = self.api_version().into();
        }
    }

    /// An item that shows this object instead.
    #[must_use]
    pub fn item(&self, before: &Item, object: &Value) -> Item {
        let value: Bytes = object::encode(object);
        Item {
            value,
            ..before.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn family(versions: &Value, since: u64) -> Descriptor {
        let spec = json!({"group": "example.com", "names": {"kind": "Foo"}, "versions": versions});
        Descriptor {
            group: "example.com".into(),
            version: "v1".into(),
            storage_version: "v1".into(),
            kind: "Foo".into(),
            family: Some(Arc::new(Family::of(&spec, None, Some(since)))),
            ..Descriptor::default()
        }
    }

    fn item(version: &str, revision: u64) -> Item {
        let object = json!({"apiVersion": format!("example.com/{version}"), "kind": "Foo",
                            "metadata": {"name": "x"}, "spec": {}});
        Item {
            key: Bytes::from_static(b"/example.com/foos/d/x"),
            value: object::encode(&object),
            create_revision: 1,
            mod_revision: revision,
            version: 1,
        }
    }

    #[test]
    fn only_what_lacks_something_is_decoded() {
        let with = |default: bool| {
            let n = if default {
                json!({"type": "integer", "default": 3})
            } else {
                json!({"type": "integer"})
            };
            let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": n}}}});
            json!([{"name": "v1", "schema": {"openAPIV3Schema": schema}},
                   {"name": "v0", "schema": {"openAPIV3Schema": {"type": "object"}}}])
        };
        for (default, version, revision, shows, n) in [
            (false, "v1", 5, true, Value::Null),
            (true, "v1", 11, true, json!(3)),
            (true, "v1", 10, false, json!(3)),
            (true, "v0", 5, false, Value::Null),
            (false, "v0", 11, false, Value::Null),
        ] {
            let resource = family(&with(default), 10);
            let item = item(version, revision);
            assert_eq!(
                resource.shows(&item, revision),
                shows,
                "{default} {version} {revision}"
            );
            let completed = resource.completed(&item);
            assert_eq!(completed["spec"]["n"], n);
            assert_eq!(completed["apiVersion"], "example.com/v1");
            let again = resource.item(&item, &completed);
            assert_eq!(again.mod_revision, revision);
            assert_eq!(object::decode(&again), completed);
        }
    }
}
