//! Bodies in JSON, YAML and protobuf, and manifests as the command line reads them.

use apiserver::admission;
use apiserver::body::{self, DEPTH_MAX, Input, depth};
use apiserver::call::{Body, Media};
use apiserver::params::FieldValidation;
use apiserver::registry::{Descriptor, Registry};
use apiserver::{engine, object};
use bytes::Bytes;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// What a server that was just started serves.
pub(super) fn registry() -> &'static Registry {
    static ONE: OnceLock<Registry> = OnceLock::new();
    ONE.get_or_init(engine::served::initial)
}

/// The kind an input is about: its first byte chooses.
pub(super) fn resource(choice: u8) -> &'static Arc<Descriptor> {
    let all = registry();
    let count = all.iter().count();
    let nth = all.iter().nth(usize::from(choice) % count);
    nth.expect("a server serves at least one kind")
}

/// A body in JSON or YAML, on its way into an object of some kind.
pub(super) fn body(data: &[u8]) {
    let [choice, media, text @ ..] = data else {
        return;
    };
    let media = [Media::Json, Media::Yaml, Media::Apply][usize::from(*media) % 3];
    let body = Body {
        bytes: Bytes::copy_from_slice(text),
        media,
    };
    let Ok(input) = body::parse(&body) else {
        return;
    };
    assert!(
        depth(&input.value) <= DEPTH_MAX,
        "deeper than can be read back"
    );
    admit(resource(*choice), input);
}

/// Decoding is done when it is done once: the result passes again, unchanged.
fn admit(resource: &Descriptor, input: Input) {
    let Ok((object, _warnings)) = admission::decode(resource, input, FieldValidation::Warn) else {
        return;
    };
    // Refused or not, it must come back.
    let _judged = admission::check(resource, &object, None);
    let mut again = object.clone();
    again["apiVersion"] = resource.api_version().into();
    let again = admission::decode(resource, Input::of(again), FieldValidation::Strict);
    let (again, _) = again.expect("what was decoded decodes again, with nothing unknown");
    assert_eq!(again, object, "defaults and pruning are done at once");
    stored(&object);
}

/// What is stored is read back as it was.
fn stored(object: &Value) {
    if object["metadata"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        return;
    }
    let item = store::Item {
        key: Bytes::from_static(b"/k"),
        value: object::encode(object),
        create_revision: 1,
        mod_revision: 7,
        version: 1,
    };
    let mut expected = object.clone();
    expected["metadata"]["resourceVersion"] = "7".into();
    assert_eq!(object::decode(&item), expected);
    let mut shown = Vec::new();
    object::append_to(&mut shown, &item);
    let shown: Value = serde_json::from_slice(&shown).expect("what is shown is JSON");
    assert_eq!(shown, expected);
}

/// A file as a person applies it.
pub(super) fn manifest(data: &[u8]) {
    let _decoded = manifests::decode::decode(data);
}

/// A body as Go's typed clients write it.
pub(super) fn protobuf(data: &[u8]) {
    if let Ok(value) = apiserver::protobuf::decode(data) {
        assert!(depth(&value) <= DEPTH_MAX);
        let (group_version, kind) = (value["apiVersion"].as_str(), value["kind"].as_str());
        let (group, version) = match group_version.unwrap_or_default().split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", group_version.unwrap_or_default()),
        };
        let found = registry().by_kind(group, Some(version), kind.unwrap_or_default());
        if let Some(resource) = found {
            admit(&resource, Input::of(value));
        }
    }
}
