//! Reading a request's body within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::context::Limits;
use crate::status::Failure;

/// What is read and thrown away of a body that was refused. Many clients look at the answer only
/// once all is sent (Python's requests; curl before 8 takes the reset of an HTTP/2 stream for a
/// failure), and the usual mistake is a file of some megabytes; whoever sends more is cut off.
const DRAIN_BYTES: usize = 64 << 20;

/// The whole body.
///
/// # Errors
/// 413 if it is longer than `bytes_max`, 400 if it breaks off or trickles.
pub(crate) async fn read(
    mut body: Body,
    bytes_max: usize,
    limits: &Limits,
) -> Result<Bytes, Failure> {
    let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if told > bytes_max {
        return Err(too_large(body, bytes_max, limits.body));
    }
    let whole = Limited::new(&mut body, bytes_max).collect();
    match tokio::time::timeout(limits.body, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(too_large(body, bytes_max, limits.body))
        }
        Ok(Err(error)) => Err(Failure::bad_request(format!(
            "the body cannot be read: {error}"
        ))),
        Err(_elapsed) => Err(Failure::bad_request("the body did not arrive in time")),
    }
}

/// The refusal is answered at once; meanwhile the rest of the body is let in.
fn too_large(body: Body, bytes_max: usize, patience: Duration) -> Failure {
    tokio::spawn(tokio::time::timeout(patience, drain(body)));
    Failure::too_large(format!(
        "Request entity too large: limit is {bytes_max} bytes"
    ))
}

async fn drain(mut body: Body) {
    let mut seen = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > DRAIN_BYTES {
            return;
        }
    }
}
