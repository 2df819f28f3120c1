//! Replies and failures as HTTP responses.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::negotiate::{Encoding, Shape};
use super::{ambient, compress, timely};
use crate::call::{List, Reply};
use crate::params::Params;
use crate::registry::Descriptor;
use crate::render;
use crate::status::Failure;
use crate::table::{self, Include};

pub(crate) const JSON: &str = "application/json";

/// A list of more bytes is made as it is sent.
const STREAMED: usize = 64 << 10;

/// Bytes of a media type.
pub(crate) fn bytes(code: u16, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// A JSON value.
pub(crate) fn value(code: u16, value: &Value) -> Response {
    bytes(code, JSON, value.to_string())
}

/// Plain text.
pub(crate) fn text(code: u16, text: impl Into<Body>) -> Response {
    bytes(code, "text/plain; charset=utf-8", text)
}

/// What Kubernetes answers for a path that names nothing: text, not a Status.
pub(crate) fn unknown_path() -> Response {
    text(404, "404 page not found\n")
}

/// A failure as a Status.
pub(crate) fn failure(failure: &Failure) -> Response {
    let mut response = value(failure.code(), &failure.to_status());
    if failure.retry_after_seconds() > 0 {
        let seconds = HeaderValue::from(failure.retry_after_seconds());
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// How a reply is to be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) resource: &'a Descriptor,
    pub(crate) params: &'a Params,
    pub(crate) encoding: Encoding,
    pub(crate) shape: Shape,
}

/// The engine's reply in the form the client asked for.
pub(crate) fn reply(reply: Reply, look: Look<'_>) -> Result<Response, Failure> {
    let Look {
        resource,
        params,
        shape,
        ..
    } = look;
    let include = Include::of(&params.include_object);
    let (code, json, warnings) = match (reply, shape) {
        (
            Reply::Object {
                code,
                object,
                warnings,
            },
            Shape::Table,
        ) => {
            let table = table::single(resource, object.to_value(), include, true, ambient::now());
            (code, table.to_string().into(), warnings)
        }
        (
            Reply::Object {
                code,
                object,
                warnings,
            },
            Shape::Partial,
        ) => (code, render::partial(&object), warnings),
        (
            Reply::Object {
                code,
                object,
                warnings,
            },
            Shape::Full | Shape::Discovery,
        ) => (code, render::object(resource, &object), warnings),
        (Reply::List(list), Shape::Table) => {
            let table = table::list(resource, &list, include, ambient::now());
            (200, table.to_string().into(), Vec::new())
        }
        (Reply::List(list), Shape::Partial) => (200, render::partial_list(&list), Vec::new()),
        (Reply::List(list), Shape::Full | Shape::Discovery) => {
            (200, render::list(resource, &list), Vec::new())
        }
        (Reply::Status { code, status }, _) => (code, status.to_string().into(), Vec::new()),
        (
            Reply::Encoded {
                code,
                json,
                warnings,
            },
            _,
        ) => (code, json, warnings),
    };
    let mut response = encoded(code, json, look)?;
    warn(&mut response, warnings.iter().chain(&resource.deprecation));
    Ok(response)
}

/// True for a long list in the form in which it is stored.
pub(crate) fn is_streamed(list: &List, look: Look<'_>) -> bool {
    let plain = look.encoding == Encoding::Json && !look.params.pretty;
    plain && matches!(look.shape, Shape::Full | Shape::Discovery) && render::size(list) > STREAMED
}

/// A long list, made as it is sent, within this time; packed if the client reads gzip.
pub(crate) fn streamed(
    list: List,
    resource: &Arc<Descriptor>,
    gzip: bool,
    limit: Duration,
) -> Response {
    let packed = gzip && render::size(&list) >= compress::BYTES_MIN;
    let pieces = render::Pieces::new(resource, list);
    let body = if packed {
        timely::body(compress::gzip(pieces), limit)
    } else {
        timely::body(pieces, limit)
    };
    let mut response = bytes(200, JSON, body);
    let headers = response.headers_mut();
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let by_encoding = HeaderValue::from_static("Accept-Encoding");
    headers.insert(header::VARY, by_encoding);
    warn(&mut response, resource.deprecation.iter());
    response
}

fn encoded(code: u16, json: Bytes, look: Look<'_>) -> Result<Response, Failure> {
    match look.encoding {
        Encoding::Json if look.params.pretty => {
            let value: Value = serde_json::from_slice(&json).map_err(Failure::internal)?;
            let text = serde_json::to_string_pretty(&value).map_err(Failure::internal)?;
            Ok(bytes(code, JSON, text + "\n"))
        }
        Encoding::Json => Ok(bytes(code, JSON, json)),
        Encoding::Yaml => {
            let value: Value = serde_json::from_slice(&json).map_err(Failure::internal)?;
            let text = serde_saphyr::to_string(&value).map_err(Failure::internal)?;
            Ok(bytes(code, "application/yaml", text))
        }
    }
}

/// Adds `Warning` headers. At most so many: clients bound the size of headers.
pub(crate) fn warn<'a>(response: &mut Response, warnings: impl Iterator<Item = &'a String>) {
    const MOST: usize = 32;
    for warning in warnings.take(MOST) {
        if let Ok(value) = HeaderValue::from_str(&warning_text(warning)) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// RFC 7234 §5.5: code, agent, quoted text. What a header may not carry becomes a question mark.
fn warning_text(warning: &str) -> String {
    let quoted = warning.chars().flat_map(|c| match c {
        '"' | '\\' => ['\\', c].into_iter().take(2),
        ' '..='~' => [c, ' '].into_iter().take(1),
        _ => ['?', ' '].into_iter().take(1),
    });
    let quoted: String = quoted.take(1024).collect();
    format!("299 - \"{quoted}\"")
}

/// An object that is no resource, as JSON whatever is accepted.
pub(crate) fn object(code: u16, object: &impl serde::Serialize) -> Result<Response, Failure> {
    let text = serde_json::to_string(object).map_err(Failure::internal)?;
    Ok(bytes(code, JSON, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_header_safe() {
        for (warning, header) in [
            (
                "unknown field \"spec.x\"",
                "299 - \"unknown field \\\"spec.x\\\"\"",
            ),
            ("é\nb", "299 - \"??b\""),
        ] {
            assert_eq!(warning_text(warning), header);
            assert!(HeaderValue::from_str(header).is_ok());
        }
    }
}
