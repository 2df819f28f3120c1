//! Server-side apply: a live object, whoever owns what of it, and a configuration.

use apiserver::body::{self, DEPTH_MAX, depth};
use apiserver::call::{Body, Media};
use apiserver::managed::apply::Applier;
use apiserver::managed::ledger::{Claim, Ledger};
use apiserver::managed::scope::Scope;
use apiserver::managed::{fields, fit};
use bytes::Bytes;
use serde_json::Value;

use super::decode::resource;
use super::parts;

/// An object in JSON (its managedFields included), `\xff`, a configuration in YAML; the first two bytes
/// choose the kind, and whether the apply is forced.
pub(super) fn feed(data: &[u8]) {
    let [choice, force, rest @ ..] = data else {
        return;
    };
    let Some([live, config]) = parts(rest) else {
        return;
    };
    let (Some(mut live), Some(config)) = (read(live, Media::Json), read(config, Media::Apply))
    else {
        return;
    };
    let resource = resource(*choice);
    let type_ = resource.type_();
    let own = live.get_mut("metadata").and_then(Value::as_object_mut);
    let owners = own.and_then(|metadata| metadata.remove("managedFields"));
    let Ok(ledger) = Ledger::decode(owners.as_ref()) else {
        return;
    };
    if let Some(encoded) = ledger.encode() {
        let again = Ledger::decode(Some(&encoded)).expect("what we write we can read");
        assert!(again.agrees(&ledger), "owners change by being written");
    }
    if !config.is_object() || !live.is_object() || !fit::problems(type_, &config).is_empty() {
        return;
    }
    let applier = Applier {
        type_,
        scope: Scope::of(resource, ""),
        claim: Claim {
            manager: "fuzz",
            api_version: "v1",
            subresource: "",
            now: "2026-01-01T00:00:00Z",
        },
    };
    let size = live.to_string().len() + config.to_string().len();
    let forced = force % 2 == 1;
    match applier.apply(&live, &config, ledger, forced) {
        Ok((object, ledger)) => {
            assert!(object.to_string().len() <= size, "a merge makes nothing up");
            again(&applier, &object, &config, ledger);
        }
        Err(conflicts) => {
            assert!(
                !forced && !conflicts.is_empty(),
                "a forced apply has no conflicts"
            );
        }
    }
}

/// Applying the same once more is allowed, and the time after that it changes nothing. (A list or
/// map that the first time emptied, and that the configuration names, comes back the second time.)
fn again(applier: &Applier<'_>, object: &Value, config: &Value, ledger: Ledger) {
    for entry in ledger.entries() {
        let encoded = fields::encode(&entry.fields);
        let decoded = fields::decode(&encoded).expect("what we write we can read");
        assert_eq!(decoded, entry.fields);
    }
    let own = "who owns everything it says has no conflicts";
    let second = applier.apply(object, config, ledger, false);
    let (object, ledger) = second.expect(own);
    let before = ledger.clone();
    let (same, after) = applier.apply(&object, config, ledger, false).expect(own);
    assert_eq!(same, object, "the third apply changes the object");
    assert!(after.agrees(&before), "the third apply changes the owners");
}

fn read(text: &[u8], media: Media) -> Option<Value> {
    let body = Body {
        bytes: Bytes::copy_from_slice(text),
        media,
    };
    let value = body::parse(&body).ok()?.value;
    (depth(&value) <= DEPTH_MAX).then_some(value)
}
