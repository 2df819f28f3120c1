//! Get and list over a view. Stored bytes are parsed only when a selector asks for their content.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Item, View};

use crate::call::List;
use crate::keys;
use crate::object;
use crate::params::{Match, Params};
use crate::registry::Descriptor;
use crate::selector::Selector;
use crate::status::Failure;
use crate::vault::Vault;

/// Which state a read wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Everything acknowledged before the request.
    Latest,
    /// Whatever is here.
    Any,
    /// This revision or later.
    NotOlderThan(u64),
    /// Exactly this revision.
    Exact(u64),
}

/// The state a get wants.
///
/// # Errors
/// 400 for a version that is no number.
pub fn at(params: &Params) -> Result<At, Failure> {
    match params.resource_version.as_str() {
        "" => Ok(At::Latest),
        text => match revision(text)? {
            0 => Ok(At::Any),
            n => Ok(At::NotOlderThan(n)),
        },
    }
}

fn revision(text: &str) -> Result<u64, Failure> {
    let failure = || {
        Failure::bad_request(format!(
            "Invalid value: {text:?}: resourceVersion must be a number"
        ))
    };
    text.parse().ok().ok_or_else(failure)
}

/// Where a continued list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    v: String,
    /// Revision of the list; -1: the latest.
    rv: i64,
    /// The next key's part after the list's prefix.
    start: String,
}

/// What a list wants, its options checked against one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The state.
    pub at: At,
    /// Items at most; 0: all.
    pub limit: u64,
    /// First key, after the prefix; empty: the beginning.
    pub start: String,
    /// True for a continued list, whose expiry is answered with another token.
    pub continued: bool,
}

/// Reads a list's options.
///
/// # Errors
/// 400 and 422 for options that contradict themselves.
pub fn wanted(params: &Params) -> Result<Wanted, Failure> {
    let forbid = |text: &str| {
        Err(Failure::invalid_options(
            "ListOptions",
            "resourceVersionMatch",
            &format!("Forbidden: {text}"),
        ))
    };
    if params.send_initial_events.is_some() {
        return Err(Failure::invalid_options(
            "ListOptions",
            "sendInitialEvents",
            "Forbidden: sendInitialEvents is forbidden for list",
        ));
    }
    let version = params.resource_version.as_str();
    if params.resource_version_match.is_some() && !params.continue_.is_empty() {
        return forbid("resourceVersionMatch is forbidden when continue is provided");
    }
    if params.resource_version_match.is_some() && version.is_empty() {
        return forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if params.resource_version_match == Some(Match::Exact) && version == "0" {
        return forbid("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"");
    }
    if !params.continue_.is_empty() {
        return continued(params);
    }
    let exact = match params.resource_version_match {
        Some(Match::Exact) => true,
        Some(Match::NotOlderThan) => false,
        None => params.limit > 0,
    };
    let (at, limit) = match (at(params)?, exact) {
        // Any version will do, so there is no snapshot to page through.
        (At::Any, _) => (At::Any, 0),
        (At::NotOlderThan(n), true) => (At::Exact(n), params.limit),
        (other, _) => (other, params.limit),
    };
    Ok(Wanted {
        at,
        limit,
        start: String::new(),
        continued: false,
    })
}

fn continued(params: &Params) -> Result<Wanted, Failure> {
    if !matches!(params.resource_version.as_str(), "" | "0") {
        let text = "specifying resource version is not allowed when using continue";
        return Err(Failure::bad_request(text));
    }
    let invalid = || Failure::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD
        .decode(params.continue_.trim_end_matches('='))
        .ok()
        .ok_or_else(invalid)?;
    let token: Token = serde_json::from_slice(&bytes).ok().ok_or_else(invalid)?;
    if token.v != "meta.k8s.io/v1" || token.start.is_empty() {
        return Err(invalid());
    }
    let at = match token.rv {
        -1 => At::Latest,
        n => At::Exact(
            u64::try_from(n)
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(invalid)?,
        ),
    };
    Ok(Wanted {
        at,
        limit: params.limit,
        start: token.start,
        continued: true,
    })
}

/// A token that goes on at `start`; without a revision, at the latest state.
#[must_use]
pub fn token(revision: Option<u64>, start: &str) -> String {
    let rv = revision.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
    let token = Token {
        v: "meta.k8s.io/v1".to_owned(),
        rv,
        start: start.to_owned(),
    };
    URL_SAFE_NO_PAD
        .encode(serde_json::to_vec(&token).expect("a token of words and a number encodes"))
}

/// A page of a list. `among`: keys, in order, of the only objects that may be selected.
#[must_use]
pub fn list(
    (view, vault): (&View, &Vault),
    (resource, namespace): (&Descriptor, Option<&str>),
    selector: &Selector,
    wanted: &Wanted,
    among: Option<&[Bytes]>,
) -> List {
    let prefix = keys::list(resource, namespace);
    let revision = view.revision().max(1);
    let first = [&prefix, wanted.start.as_bytes()].concat();
    let opened = (view, vault);
    let (all, some) = match among {
        Some(keys) => (None, Some(those(opened, keys, &first))),
        None => (Some(from(opened, (&prefix, &first), selector)), None),
    };
    let found = all.into_iter().flatten().chain(some.into_iter().flatten());
    let mut found = found.filter(|item| fits(item, selector));
    let limit = usize::try_from(wanted.limit)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(usize::MAX);
    let items: Vec<Item> = found.by_ref().take(limit).collect();
    let Some(next) = found.next() else {
        return List {
            items,
            revision,
            ..List::default()
        };
    };
    let start = String::from_utf8_lossy(&next.key[prefix.len()..]).into_owned();
    // How many are left is known without looking into them only if nothing is selected.
    let remaining = selector.is_everything().then(|| 1 + found.count() as u64);
    List {
        items,
        revision,
        continue_: Some(token(Some(revision), &start)),
        remaining,
    }
}

/// All selected objects below a prefix.
pub fn select<'a>(
    (view, vault): (&'a View, &'a Vault),
    prefix: &'a Bytes,
    selector: &'a Selector,
) -> impl Iterator<Item = Item> + 'a {
    view.prefix(prefix)
        .map(|item| vault.open(item))
        .filter(|item| fits(item, selector))
}

fn fits(item: &Item, selector: &Selector) -> bool {
    selector.is_everything()
        || (selector.may_match(object::text(item)) && selector.matches(&object::decode(item)))
}

/// The key of the one object a selector on name and namespace leaves, if it does.
#[must_use]
pub fn named(resource: &Descriptor, namespace: Option<&str>, selector: &Selector) -> Option<Bytes> {
    let name = selector.exact_field("metadata.name")?;
    let namespace = namespace.or_else(|| selector.exact_field("metadata.namespace"));
    let known = !resource.namespaced || namespace.is_some();
    known.then(|| keys::of(resource, namespace, name))
}

/// Items from a place within the list on, as far as the list goes. Keys alone tell most of those that
/// a selector on name or namespace leaves out.
fn from<'a>(
    (view, vault): (&'a View, &'a Vault),
    (prefix, first): (&'a Bytes, &'a [u8]),
    selector: &'a Selector,
) -> impl Iterator<Item = Item> + use<'a> {
    let name = selector.exact_field("metadata.name");
    let namespace = selector.exact_field("metadata.namespace");
    let fits = move |key: &[u8]| {
        keys::parse(key).is_none_or(|parts| {
            name.is_none_or(|name| parts.name == name)
                && namespace.is_none_or(|own| parts.namespace.unwrap_or_default() == own)
        })
    };
    let is_open = name.is_none() && namespace.is_none();
    view.range(Bound::Included(first), Bound::Unbounded)
        .take_while(|item| item.key.starts_with(prefix))
        .filter(move |item| is_open || fits(&item.key))
        .map(|item| vault.open(item))
}

/// The items under these keys from a place within the list on.
fn those<'a>(
    (view, vault): (&'a View, &'a Vault),
    keys: &'a [Bytes],
    first: &'a [u8],
) -> impl Iterator<Item = Item> + use<'a> {
    let after = keys.iter().skip_while(move |key| ***key < *first);
    let items = after.filter_map(|key| view.get(key));
    items.map(|item| vault.open(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Wanted, u16> {
        wanted(&Params::parse(query).unwrap()).map_err(|failure| failure.code())
    }

    #[test]
    fn options() {
        let page = |at, limit| {
            Ok(Wanted {
                at,
                limit,
                start: String::new(),
                continued: false,
            })
        };
        let token = format!("continue={}", token(Some(7), "a/x"));
        for (query, expected) in [
            ("", page(At::Latest, 0)),
            ("resourceVersion=0&limit=5", page(At::Any, 0)),
            ("resourceVersion=7", page(At::NotOlderThan(7), 0)),
            ("resourceVersion=7&limit=2", page(At::Exact(7), 2)),
            (
                "resourceVersion=7&limit=2&resourceVersionMatch=NotOlderThan",
                page(At::NotOlderThan(7), 2),
            ),
            (
                "resourceVersion=7&resourceVersionMatch=Exact",
                page(At::Exact(7), 0),
            ),
            ("resourceVersion=0&resourceVersionMatch=Exact", Err(422)),
            ("resourceVersionMatch=Exact", Err(422)),
            ("resourceVersion=x", Err(400)),
            ("resourceVersion=-1", Err(400)),
            ("continue=zzz", Err(400)),
            (
                &token,
                Ok(Wanted {
                    at: At::Exact(7),
                    limit: 0,
                    start: "a/x".into(),
                    continued: true,
                }),
            ),
            (&format!("{token}&resourceVersion=7"), Err(400)),
            (&format!("{token}&resourceVersionMatch=Exact"), Err(422)),
        ] {
            assert_eq!(parse(query), expected, "{query}");
        }
    }
}
