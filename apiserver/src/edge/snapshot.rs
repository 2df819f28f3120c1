//! `GET /stoa/v1/snapshot`: the whole store at one revision, as a file.

use axum::body::Body;
use axum::response::Response;
use futures::stream;
use http::{HeaderName, HeaderValue, Method};

use super::answer;
use super::context::Context;
use crate::status::Failure;

const REVISION: HeaderName = HeaderName::from_static("stoa-revision");

/// Everything acknowledged before the question is in the answer.
pub(crate) async fn snapshot(context: &Context, method: &Method) -> Result<Response, Failure> {
    context.store().barrier().await?;
    let backup = context.store().backup();
    let revision = HeaderValue::from(backup.revision());
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        // A chunk is made when the connection has room for it. A file that breaks off is refused by whoever reads it.
        Body::from_stream(stream::iter(backup))
    };
    let mut response = answer::bytes(200, "application/octet-stream", body);
    response.headers_mut().insert(REVISION, revision);
    Ok(response)
}
