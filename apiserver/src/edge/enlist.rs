//! Joining a running cluster as a server: the client side of `POST .../join`.
//!
//! The joiner knows nobody yet. The token names the SHA-256 of the cluster's CA certificate, and
//! the token is sent only over a connection whose chain ends in that certificate.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use manifests::token::JoinToken;
use manifests::wire::{JoinRequest, JoinResponse};

use crate::pki;

/// Adding a member takes the leader a moment, and longer while there is none.
const PATIENCE: Duration = Duration::from_secs(30);

const ANSWER_BYTES: usize = 1 << 20;

/// Why a server cannot join.
#[derive(Debug, thiserror::Error)]
pub enum EnlistError {
    /// The token is malformed.
    #[error("--token: {0}")]
    Token(#[from] manifests::token::TokenError),
    /// TLS cannot be set up.
    #[error("cannot prepare the connection")]
    Tls(#[from] pki::PkiError),
    /// The URL is malformed.
    #[error("--join {0:?} is no URL of a server, such as https://host:7443")]
    Url(String),
    /// The server does not answer, or is not the one the token is for.
    #[error("{url} does not answer as a server of the token's cluster: {detail}")]
    Unreachable {
        /// Where it was sent.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The server refuses.
    #[error("{url} refuses ({code}): {message}")]
    Refused {
        /// Who refuses.
        url: String,
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
}

/// Asks the server at `url` for a place in its cluster.
///
/// # Errors
/// The token or URL is malformed, or the server cannot be trusted, reached or persuaded.
pub(crate) async fn enlist(
    url: &str,
    token: &str,
    request: &JoinRequest,
) -> Result<JoinResponse, EnlistError> {
    let parsed = JoinToken::parse(token)?;
    let target = format!("{}/apis/stoa.dev/v1/join", url.trim_end_matches('/'));
    let body = serde_json::to_vec(request).unwrap_or_default();
    let message = Request::post(&target)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", token.trim()))
        .body(Full::new(Bytes::from(body)))
        .map_err(|_invalid| EnlistError::Url(url.to_owned()))?;
    if message.uri().scheme_str() != Some("https") {
        return Err(EnlistError::Url(url.to_owned()));
    }
    let (code, answer) = tokio::time::timeout(PATIENCE, send(&parsed, message))
        .await
        .map_err(|_elapsed| "no answer in time".to_owned())
        .and_then(|sent| sent.map_err(|error| chain(error.as_ref())))
        .map_err(|detail| EnlistError::Unreachable {
            url: url.to_owned(),
            detail,
        })?;
    let refused = |message: String| EnlistError::Refused {
        url: url.to_owned(),
        code,
        message,
    };
    if code != 200 {
        let status: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer).into_owned();
        return Err(refused(
            status["message"].as_str().map_or(text, str::to_owned),
        ));
    }
    serde_json::from_slice(&answer).map_err(|error| refused(error.to_string()))
}

type SendError = Box<dyn std::error::Error + Send + Sync>;

async fn send(token: &JoinToken, message: Request<Full<Bytes>>) -> Result<(u16, Bytes), SendError> {
    let tls = pki::joining_client(&token.ca_hash)?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let response = client.request(message).await?;
    let code = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_BYTES)
        .collect()
        .await?;
    Ok((code, body.to_bytes()))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let links = std::iter::successors(Some(error), |error| error.source());
    links
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
