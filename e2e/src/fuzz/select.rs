//! Queries: parameters, selectors, continue tokens.

use apiserver::params::Params;
use apiserver::read;
use apiserver::selector::Selector;
use serde_json::json;

use super::decode::resource;
use super::parts;

/// A label selector, `\xff`, a field selector; the first byte chooses the kind.
pub(super) fn selector(data: &[u8]) {
    let [choice, rest @ ..] = data else {
        return;
    };
    let Some([labels, fields]) = parts(rest) else {
        return;
    };
    let (Ok(labels), Ok(fields)) = (std::str::from_utf8(labels), std::str::from_utf8(fields))
    else {
        return;
    };
    let Ok(selector) = Selector::parse(labels, fields, resource(*choice)) else {
        return;
    };
    let object = json!({
        "metadata": {"name": "x", "namespace": "default", "labels": {"app": "demo", "a": ""}},
        "spec": {"agent": "a1"}, "status": {"phase": "Active"}, "type": "Opaque",
    });
    let matches = selector.matches(&object);
    let text = object.to_string();
    assert!(
        !matches || selector.may_match(text.as_bytes()),
        "the quick look misses what the full one finds"
    );
    if selector.is_everything() {
        assert!(matches);
    }
}

/// A query string, with whatever token it carries.
pub(super) fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(params) = Params::parse(text) else {
        return;
    };
    if let Ok(wanted) = read::wanted(&params)
        && wanted.continued
    {
        // A token we would make ourselves says the same.
        let revision = match wanted.at {
            read::At::Exact(revision) => Some(revision),
            read::At::Any | read::At::Latest | read::At::NotOlderThan(_) => None,
        };
        let again = Params {
            continue_: read::token(revision, &wanted.start),
            ..params
        };
        assert_eq!(read::wanted(&again).ok().as_ref(), Some(&wanted));
    }
}
