//! One HTTP/2 connection over TLS, shared by as many callers as like.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apiserver::pki::{Authority, Subject};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Fault, Outcome, fault};

pub(super) const JSON: &str = "application/json";

pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// What Go's client grants: a stream this much at once, and a connection all there is.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// Streams a caller may open before the server has said how many it allows.
const STREAMS: usize = 512;

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
        config.alpn_protocols = vec![b"h2".to_vec()];
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

    /// Connects. The connection ends with the last clone of the lane.
    pub(super) async fn dial(&self, address: &str) -> Outcome<Lane> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned())?;
        let stream = self.tls.connect(name, stream).await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(STREAMS);
        if let Some(every) = self.ping {
            builder
                .keep_alive_interval(every)
                .keep_alive_while_idle(true);
        }
        let (send, connection) = builder.handshake(TokioIo::new(stream)).await?;
        // How a connection ends is told to its callers.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Lane {
            send,
            address: address.into(),
        })
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
pub(super) struct Lane {
    send: SendRequest<Full<Bytes>>,
    address: Arc<str>,
}

/// A request as its parts; the lane knows whom to send it to.
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

    fn request(self, address: &str) -> Outcome<Request<Full<Bytes>>> {
        let uri = Uri::builder()
            .scheme("https")
            .authority(address)
            .path_and_query(self.path)
            .build()?;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if !self.media.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        if self.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(request)
    }
}

impl Lane {
    /// The head of the answer; the rest is still to come.
    pub(super) async fn open(&mut self, ask: Ask) -> Outcome<Response<Incoming>> {
        let request = ask.request(&self.address)?;
        Ok(self.send.send_request(request).await?)
    }

    /// Asks, and throws the answer away once its status is as it should be; how long it was.
    pub(super) async fn call(&mut self, ask: Ask, expected: StatusCode) -> Outcome<usize> {
        let response = self.open(ask).await?;
        let status = response.status();
        let mut body = response.into_body();
        if status != expected {
            let text = body.collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(Fault::new(format!("{status}: {text}")));
        }
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(bytes)
    }
}

/// The body of a watch, followed line by line; lines themselves are not looked into.
pub(super) struct Lines(Incoming);

impl Lines {
    pub(super) async fn open(lane: &mut Lane, path: String) -> Outcome<Self> {
        let response = lane.open(Ask::get(path)).await?;
        let status = response.status();
        fault::ensure(status == StatusCode::OK, || format!("a watch got {status}"))?;
        Ok(Self(response.into_body()))
    }

    /// How many lines ended in the next piece; none at the end.
    pub(super) async fn next(&mut self) -> Outcome<Option<usize>> {
        let Some(frame) = self.0.frame().await else {
            return Ok(None);
        };
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
        Ok(Some(ends(data)))
    }
}

/// How many lines end here. Counted in bytes, which the compiler makes wide steps of: one by one, this alone was a
/// quarter of what the client did.
fn ends(data: &[u8]) -> usize {
    let few = |chunk: &[u8]| {
        chunk
            .iter()
            .map(|byte| u8::from(*byte == b'\n'))
            .sum::<u8>()
    };
    data.chunks(usize::from(u8::MAX))
        .map(|chunk| usize::from(few(chunk)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::ends;

    #[test]
    fn ends_of_lines() {
        for (text, expected) in [("", 0), ("a\nb\n", 2), ("\n".repeat(1_000).as_str(), 1_000)] {
            assert_eq!(ends(text.as_bytes()), expected);
        }
    }
}
