//! The way to the servers: a `kube::Client` over whichever of them answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::Body;
use tower::{BoxError, Service};
use tracing::debug;

use super::identity::Identity;
use super::tls;

/// The servers known, and the one in use.
#[derive(Clone, Debug)]
pub(crate) struct Servers(Arc<Mutex<List>>);

#[derive(Debug)]
struct List {
    /// As the agent was started with: never forgotten, for what was learned may be out of date.
    configured: Vec<String>,
    all: Vec<String>,
    current: usize,
}

impl Servers {
    pub(crate) fn new(configured: &[String]) -> Self {
        let trimmed = configured
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned());
        let configured: Vec<String> = trimmed.collect();
        let all = configured.clone();
        Self(Arc::new(Mutex::new(List {
            configured,
            all,
            current: 0,
        })))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut List) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The server in use, as `https://host:port`.
    pub(crate) fn current(&self) -> String {
        self.with(|list| list.all.get(list.current).cloned().unwrap_or_default())
    }

    pub(crate) fn count(&self) -> usize {
        self.with(|list| list.all.len())
    }

    /// Goes on to the next server, unless somebody else has left `failed` already.
    pub(crate) fn leave(&self, failed: &str) {
        self.with(|list| {
            if list.all.get(list.current).is_some_and(|url| url == failed) {
                list.current = (list.current + 1) % list.all.len();
            }
        });
    }

    /// Takes note of the servers there are now.
    pub(crate) fn learn(&self, learned: &[String]) {
        if learned.is_empty() {
            return;
        }
        self.with(|list| {
            let current = list.all.get(list.current).cloned();
            let mut all = learned.to_vec();
            all.extend(
                list.configured
                    .iter()
                    .filter(|url| !learned.contains(url))
                    .cloned(),
            );
            list.current = all
                .iter()
                .position(|url| Some(url) == current.as_ref())
                .unwrap_or(0);
            list.all = all;
        });
    }
}

/// Sends each request to the server in use, and to the next where that is out of reach.
#[derive(Clone)]
struct Transport {
    client: HyperClient<HttpsConnector<HttpConnector>, Body>,
    servers: Servers,
}

/// Time for a TCP connection; in one data centre a tenth of this is long.
const CONNECT: Duration = Duration::from_secs(2);

/// Time until an answer begins: longer than an election of a leader takes.
const ANSWER: Duration = Duration::from_secs(15);

/// A dead connection is noticed after this long without, and this long waiting for, a sign of life.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_WAIT: Duration = Duration::from_secs(5);

/// A client of the servers under this identity.
pub(crate) fn client(identity: &Identity, servers: Servers) -> Result<kube::Client, rustls::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls::calling(identity)?)
        .https_only()
        .with_server_name_resolver(FixedServerNameResolver::new(tls::server_name()))
        .enable_http1()
        .enable_http2()
        .wrap_connector(http);
    let client = HyperClient::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_WAIT)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    Ok(kube::Client::new(Transport { client, servers }, "default"))
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.send(request).await })
    }
}

impl Transport {
    /// Tries every server once. A request that may have arrived is not sent again from here: its
    /// sender knows whether that is safe.
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        let (parts, body) = request.into_parts();
        let mut last = None;
        for _ in 0..self.servers.count() {
            let server = self.servers.current();
            let body = body
                .try_clone()
                .ok_or("a streamed body cannot be sent twice")?;
            let mut request = Request::from_parts(parts.clone(), body);
            *request.uri_mut() = absolute(&server, parts.uri.path_and_query())?;
            match tokio::time::timeout(ANSWER, self.client.request(request)).await {
                Ok(Ok(answer)) if answer.status() != StatusCode::SERVICE_UNAVAILABLE => {
                    return Ok(answer);
                }
                Ok(Ok(answer)) => {
                    self.servers.leave(&server);
                    last = Some(Ok(answer));
                }
                Ok(Err(error)) => {
                    debug!(server, %error, "cannot reach the server");
                    self.servers.leave(&server);
                    if !error.is_connect() {
                        return Err(error.into());
                    }
                    // What a server said tells more than that another is out of reach.
                    if !matches!(last, Some(Ok(_))) {
                        last = Some(Err(error.into()));
                    }
                }
                Err(elapsed) => {
                    self.servers.leave(&server);
                    return Err(elapsed.into());
                }
            }
        }
        last.unwrap_or_else(|| Err("no server is known".into()))
    }
}

fn absolute(server: &str, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
    let mut parts = server.parse::<Uri>()?.into_parts();
    parts.scheme.get_or_insert(Scheme::HTTPS);
    parts.path_and_query = Some(
        path.cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    Ok(Uri::from_parts(parts)?)
}

/// Pauses between tries: doubling, never longer than `max_ms`, spread so that agents do not march.
#[derive(Debug)]
pub(crate) struct Backoff {
    next_ms: u64,
    max_ms: u64,
}

impl Backoff {
    pub(crate) const fn new(max_ms: u64) -> Self {
        Self {
            next_ms: 100,
            max_ms,
        }
    }

    pub(crate) async fn pause(&mut self) {
        let half = self.next_ms / 2;
        let pause_ms = half + super::clock::jitter(half + 1);
        self.next_ms = (self.next_ms * 2).min(self.max_ms);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }

    pub(crate) const fn reset(&mut self) {
        self.next_ms = 100;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_rotate_and_learned_ones_come_first() {
        let servers = Servers::new(&["https://a:1/".to_owned(), "https://b:1".to_owned()]);
        assert_eq!(servers.current(), "https://a:1");
        servers.leave("https://a:1");
        servers.leave("https://a:1");
        assert_eq!(servers.current(), "https://b:1");
        servers.learn(&["https://c:1".to_owned(), "https://b:1".to_owned()]);
        assert_eq!(
            (servers.current().as_str(), servers.count()),
            ("https://b:1", 3)
        );
        servers.leave("https://b:1");
        assert_eq!(servers.current(), "https://a:1");
    }

    #[test]
    fn requests_go_to_the_server_in_use() {
        let path = PathAndQuery::from_static("/apis?x=y");
        assert_eq!(
            absolute("https://a:1", Some(&path)).unwrap(),
            "https://a:1/apis?x=y"
        );
    }
}
