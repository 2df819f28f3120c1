//! Discovery and OpenAPI over HTTP: negotiation, ETags, hashes.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;

use super::answer::{self, JSON};
use super::context::Context;
use super::negotiate::{self, Answer, Shape};
use crate::discovery;
use crate::status::Failure;

/// `GET /`.
pub(crate) fn root(context: &Context) -> Response {
    let registry = context.engine.registry();
    let mut paths = vec!["/api".to_owned(), "/apis".to_owned()];
    for (group, version) in discovery::group_versions(&registry) {
        paths.push(match group.as_str() {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        });
    }
    let fixed = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/stoa/v1/snapshot",
        "/version",
    ];
    paths.extend(fixed.map(String::from));
    answer::value(200, &json!({ "paths": paths }))
}

/// `GET /api`, and `/apis` when `core` is false.
pub(crate) fn groups(
    context: &Context,
    core: bool,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let (_, shape) = negotiate::accept(accept, Answer::Discovery)?;
    let mut response = if shape == Shape::Discovery {
        let documents = context.documents();
        let bytes = if core {
            documents.core.clone()
        } else {
            documents.groups.clone()
        };
        tagged(discovery::AGGREGATED, bytes, &documents.tag(), headers)
    } else if core {
        answer::value(200, &discovery::core_versions(&context.address))
    } else {
        answer::value(200, &discovery::group_list(&context.engine.registry()))
    };
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// `GET /apis/GROUP`.
pub(crate) fn group(context: &Context, name: &str) -> Response {
    let found = discovery::group(&context.engine.registry(), name);
    found.map_or_else(answer::unknown_path, |value| answer::value(200, &value))
}

/// `GET /api/v1`, `/apis/GROUP/VERSION`.
pub(crate) fn resources(context: &Context, group: &str, version: &str) -> Response {
    let found = discovery::resources(&context.engine.registry(), group, version);
    found.map_or_else(answer::unknown_path, |value| answer::value(200, &value))
}

/// `GET /openapi/v2`: an empty document. kubectl asks for it about kinds that version 3 does not
/// name, and says "no matches for kind" only if it gets one.
pub(crate) fn openapi_two(headers: &HeaderMap) -> Response {
    /// The `@` clients ask with is no legal character of a media type; they accept the dot.
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    /// Fields of `openapi.v2.Document`: 1 `swagger` "2.0", 2 `info` (1 `title`, 2 `version`), and an
    /// empty 8 `paths`, each as tag, length, bytes.
    const DOCUMENT: &[u8] = b"\x0a\x032.0\x12\x0a\x0a\x04Stoa\x12\x02v1\x42\x00";
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("proto-openapi.spec.v2")) {
        return answer::bytes(200, PROTOBUF, DOCUMENT);
    }
    let info = json!({"title": "Stoa", "version": "v1"});
    answer::value(
        200,
        &json!({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}),
    )
}

/// `GET /openapi/v3`.
pub(crate) fn openapi_index(context: &Context, headers: &HeaderMap) -> Response {
    let documents = context.documents();
    tagged(
        JSON,
        documents.openapi_index.clone(),
        &documents.tag(),
        headers,
    )
}

/// `GET /openapi/v3/...?hash=H`. A right hash makes the answer immutable, a wrong one leads to
/// the right one.
pub(crate) fn openapi(context: &Context, group: &str, version: &str, query: &str) -> Response {
    let path = match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    };
    let documents = context.documents();
    let Some(document) = documents.openapi.get(&path) else {
        return answer::unknown_path();
    };
    let hash = query.split('&').find_map(|pair| pair.strip_prefix("hash="));
    if hash.is_some_and(|hash| hash != document.hash) {
        let mut response = answer::text(301, Body::empty());
        let url = format!("/openapi/v3/{path}?hash={}", document.hash);
        if let Ok(url) = HeaderValue::from_str(&url) {
            response.headers_mut().insert(header::LOCATION, url);
        }
        return response;
    }
    let mut response = answer::bytes(200, JSON, document.text.clone());
    let etag = HeaderValue::from_str(&format!("\"{}\"", document.hash));
    if let Ok(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    if hash.is_some() {
        let forever = HeaderValue::from_static("public, immutable, max-age=31536000");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, forever);
    }
    response
}

/// The bytes with an ETag, or 304 if the client has them.
fn tagged(media: &'static str, bytes: Bytes, tag: &str, headers: &HeaderMap) -> Response {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let same = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = match same {
        true => answer::bytes(304, media, Body::empty()),
        false => answer::bytes(200, media, bytes),
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
