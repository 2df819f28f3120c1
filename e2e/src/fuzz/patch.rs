//! Patches in every language on objects of some kind.

use apiserver::body::{self, DEPTH_MAX, Input, depth};
use apiserver::call::{Body, Media};
use apiserver::params::FieldValidation;
use apiserver::verbs::patch::apply_to;
use apiserver::verbs::{Action, Write};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;

use super::decode::resource;
use super::parts;

/// An object, `\xff`, a patch; the first two bytes choose kind and language.
pub(super) fn feed(data: &[u8]) {
    let [choice, language, rest @ ..] = data else {
        return;
    };
    let Some([object, patch]) = parts(rest) else {
        return;
    };
    let (Some(mut object), Some(patch)) = (json(object), json(patch)) else {
        return;
    };
    let media = [Media::JsonPatch, Media::MergePatch, Media::StrategicMerge];
    let media = media[usize::from(*language) % media.len()];
    let size = object.to_string().len() + patch.to_string().len();
    let write = Write {
        action: Action::Patch(media),
        resource: Arc::clone(resource(*choice)),
        namespace: None,
        name: "x".to_owned(),
        subresource: String::new(),
        input: Input::of(patch),
        validation: FieldValidation::Ignore,
    };
    if apply_to(&write, media, &mut object).is_ok() {
        // A JSON patch may copy up to three megabytes; nothing else makes more of what it is given.
        let most = size + (4 << 20);
        assert!(
            object.to_string().len() <= most,
            "a patch grew without bound"
        );
        assert!(
            depth(&object) <= 2 * DEPTH_MAX,
            "a patch nests without bound"
        );
    }
}

fn json(text: &[u8]) -> Option<Value> {
    let body = Body {
        bytes: Bytes::copy_from_slice(text),
        media: Media::Json,
    };
    body::parse(&body).ok().map(|input| input.value)
}
