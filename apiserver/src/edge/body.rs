//! Reading a request's body within bounds of size and time.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::context::Limits;
use crate::status::Failure;

/// The whole body.
///
/// # Errors
/// 413 if it is longer than `bytes_max`, 400 if it breaks off or trickles.
pub(crate) async fn read(body: Body, bytes_max: usize, limits: &Limits) -> Result<Bytes, Failure> {
    let whole = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(limits.body, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::too_large(format!(
            "Request entity too large: limit is {bytes_max} bytes"
        ))),
        Ok(Err(error)) => Err(Failure::bad_request(format!(
            "the body cannot be read: {error}"
        ))),
        Err(_elapsed) => Err(Failure::bad_request("the body did not arrive in time")),
    }
}
