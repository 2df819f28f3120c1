//! Joining: a key, a request for its certificate, and the token that vouches for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use manifests::token::{JoinRole, JoinToken, TokenError};
use manifests::wire::{JoinRequest, JoinResponse};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is damaged.
    #[error("the join token cannot be read")]
    Token(#[from] TokenError),
    /// The token is for servers.
    #[error("the join token is one for servers; an agent joins with one for agents")]
    Role,
    /// The request for a certificate cannot be made.
    #[error("cannot make a request for a certificate")]
    Csr(#[from] rcgen::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The server has judged and refused.
    #[error("the server refuses: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// This server does not answer as it should; another, or a later try, may.
    #[error("{server}: {message}")]
    Unavailable {
        /// Its address.
        server: String,
        /// What went wrong.
        message: String,
    },
}

impl JoinError {
    /// True when the next try may go well.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Token(_) | Self::Role | Self::Csr(_) | Self::Tls(_) | Self::Refused { .. } => {
                false
            }
        }
    }
}

/// Bound of one attempt at one server.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Answers larger than this are no join answers.
const ANSWER_MAX: usize = 1 << 20;

/// Asks one server, given as `https://host:port`, for a certificate.
pub(crate) async fn join(
    server: &str,
    token: &str,
    key: &KeyPair,
    name: &str,
    address: &str,
) -> Result<JoinResponse, JoinError> {
    let parsed = JoinToken::parse(token)?;
    if parsed.role != JoinRole::Agent {
        return Err(JoinError::Role);
    }
    let request = JoinRequest {
        role: JoinRole::Agent.as_str().to_owned(),
        name: name.to_owned(),
        csr: CertificateParams::new(["stoa-agent".to_owned()])?
            .serialize_request(key)?
            .pem()?,
        address: address.to_owned(),
        peer_address: String::new(),
    };
    let config = Arc::new(tls::joining(&parsed.ca_hash)?);
    let unavailable = |message: String| JoinError::Unavailable {
        server: server.to_owned(),
        message,
    };
    let exchange = timeout(ATTEMPT, post(server, token, &request, config)).await;
    let exchange = exchange.map_err(|_elapsed| unavailable("no answer".to_owned()))?;
    let (status, body) = exchange.map_err(|e| unavailable(chain(&e)))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| unavailable(e.to_string()));
    }
    let message = message(status, &body);
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(unavailable(message));
    }
    Err(JoinError::Refused { message })
}

async fn post(
    server: &str,
    token: &str,
    body: &JoinRequest,
    config: Arc<rustls::ClientConfig>,
) -> io::Result<(StatusCode, Bytes)> {
    let authority = authority(server);
    let stream = TcpStream::connect(authority).await?;
    let stream = TlsConnector::from(config)
        .connect(tls::server_name(), stream)
        .await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri("/apis/stoa.dev/v1/join")
        .header(header::HOST, authority)
        .header(header::AUTHORIZATION, format!("Bearer {}", token.trim()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))
        .map_err(io::Error::other)?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX)
        .collect()
        .await
        .map_err(io::Error::other)?;
    driver.abort();
    Ok((status, body.to_bytes()))
}

/// `host:port` of `https://host:port/`.
fn authority(server: &str) -> &str {
    server
        .strip_prefix("https://")
        .unwrap_or(server)
        .trim_end_matches('/')
}

/// The message of a Kubernetes Status, or the bare code.
fn message(status: StatusCode, body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = parsed
        .as_ref()
        .and_then(|body| body.get("message")?.as_str());
    message.map_or_else(|| status.to_string(), str::to_owned)
}

/// An error with all its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
