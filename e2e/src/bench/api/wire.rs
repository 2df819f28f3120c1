//! One HTTP/2 connection over TLS, shared by as many callers as like.
//!
//! Our own, because client and servers share the machine: whatever the client spends is in every figure. What is asked
//! goes to the socket from where it is asked, many at once where many were answered at once; of an answer nothing is kept
//! but its length. `cut.rs`, `head.rs` and `session.rs` are pure; `link.rs` and `reader.rs` join them to a socket.

mod callers;
mod cut;
mod head;
mod link;
mod reader;
mod session;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apiserver::pki::{Authority, Subject};
use bytes::Bytes;
use http::{Method, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Outcome, fault};
use callers::Wanted;
use link::{Answer, Hold};

pub(super) const JSON: &str = "application/json";

pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

const H2: &[u8] = b"h2";

/// Makes connections that show one certificate.
#[derive(Clone)]
pub(super) struct Dialer {
    tls: TlsConnector,
    /// Ask an idle server this often whether it is there.
    ping: Option<Duration>,
}

impl Dialer {
    /// With the identity that the authority in this folder gives to the subject.
    pub(super) fn new(pki: &Path, subject: &Subject) -> Outcome<Self> {
        let now_s = now_s()?;
        Self::signed(&Authority::load_or_create(pki, now_s)?, subject, now_s)
    }

    pub(super) fn signed(authority: &Authority, subject: &Subject, now_s: u64) -> Outcome<Self> {
        let pair = authority.issue(subject, &[], now_s)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(pair.chain()?, pair.private_key()?)?;
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            ping: None,
        })
    }

    /// The same, pinging servers as agents do.
    pub(super) fn pinging(self, every: Duration) -> Self {
        Self {
            ping: Some(every),
            ..self
        }
    }

    /// Connects. The connection ends with the last clone of the lane, and the last watch over it.
    pub(super) async fn dial(&self, address: &str) -> Outcome<Lane> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned())?;
        let stream = self.tls.connect(name, stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        fault::ensure(agreed == Some(H2), || format!("{address} speaks no HTTP/2"))?;
        Ok(Lane(Hold::start(stream, address, self.ping)))
    }

    /// So many connections, spread over the addresses.
    pub(super) async fn dial_all(&self, addresses: &[String], count: usize) -> Outcome<Vec<Lane>> {
        let mut lanes = Vec::with_capacity(count);
        for address in addresses.iter().cycle().take(count) {
            lanes.push(self.dial(address).await?);
        }
        Ok(lanes)
    }
}

/// Seconds since 1970, which certificates begin before.
pub(super) fn now_s() -> Outcome<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(now.as_secs())
}

/// A connection. Clones share it.
#[derive(Clone)]
pub(super) struct Lane(Arc<Hold>);

/// A request as its parts; the lane knows whom to send it to.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) media: &'static str,
    pub(super) body: Bytes,
    pub(super) gzip: bool,
}

impl Ask {
    pub(super) fn get(path: String) -> Self {
        Self::new(Method::GET, path, "", Bytes::new())
    }

    pub(super) fn new(method: Method, path: String, media: &'static str, body: Bytes) -> Self {
        Self {
            method,
            path,
            media,
            body,
            gzip: false,
        }
    }
}

impl Lane {
    /// Asks, and throws the answer away once its status is as it should be; how long it was.
    pub(super) async fn call(&self, ask: Ask, expected: StatusCode) -> Outcome<usize> {
        self.0.ask(ask, Wanted::Length(expected))?.length().await
    }
}

/// The body of a watch, followed line by line; lines themselves are not looked into.
pub(super) struct Lines(Answer);

impl Lines {
    pub(super) async fn open(lane: &Lane, path: String) -> Outcome<Self> {
        let mut answer = lane.0.ask(Ask::get(path), Wanted::Lines)?;
        let status = answer.status().await?;
        fault::ensure(status == StatusCode::OK, || format!("a watch got {status}"))?;
        Ok(Self(answer))
    }

    /// How many lines ended in what came since the last time; none at the end.
    pub(super) async fn next(&mut self) -> Outcome<Option<usize>> {
        self.0.lines().await
    }
}

#[cfg(test)]
mod tests;
