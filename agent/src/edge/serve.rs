//! The agent's own HTTPS endpoint: logs, for servers of the cluster alone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::debug;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::home::Home;
use super::logs::{Log, Wanted, Which};
use crate::task::RunId;

/// Most connections at a time: a few for each server, with room for followers.
const CONNECTIONS_MAX: usize = 256;

/// A stranger that does not finish its handshake is not waited for.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Pause after the machine refused a connection (no descriptors left).
const REFUSED: Duration = Duration::from_millis(100);

/// The organisation in the certificates of servers.
const SERVERS: &str = "stoa:servers";

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, tls: Arc<rustls::ServerConfig>, home: Arc<Home>) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let router = router(home);
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, acceptor, router).await {
                        debug!(%peer, %error, "connection");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                debug!(%error, "cannot accept a connection");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let is_server = certificate.is_some_and(|certificate| is_of_servers(certificate));
    // Agents and people have certificates of the same CA, and no business here.
    let router = if is_server {
        router
    } else {
        Router::new().fallback(strangers)
    };
    let builder = Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(router);
    let served = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
    served.map_err(io::Error::other)
}

async fn strangers() -> (StatusCode, &'static str) {
    (
        StatusCode::FORBIDDEN,
        "only servers of the cluster may ask an agent\n",
    )
}

fn is_of_servers(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| {
        let mut groups = parsed.subject().iter_organization();
        groups.any(|group| group.as_str().is_ok_and(|group| group == SERVERS))
    })
}

fn router(home: Arc<Home>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/v1/tasks/{uid}/{attempt}/log", get(log))
        .with_state(home)
}

/// Query of a log, in Kubernetes' spelling.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogQuery {
    follow: Option<String>,
    tail_lines: Option<u64>,
    limit_bytes: Option<u64>,
    stream: Option<Which>,
}

async fn log(
    State(home): State<Arc<Home>>,
    Path((uid, attempt)): Path<(String, u32)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let Some(id) = RunId::new(&uid, attempt) else {
        return (StatusCode::BAD_REQUEST, "not a task's uid\n").into_response();
    };
    let dir = home.run(&id);
    if !dir.path().exists() {
        let message = format!("this agent has no run {id}; its files may have been collected\n");
        return (StatusCode::NOT_FOUND, message).into_response();
    }
    let wanted = Wanted {
        which: query.stream.unwrap_or_default(),
        // As in Kubernetes, `follow` alone and `follow=true` say the same.
        follow: query
            .follow
            .is_some_and(|text| !matches!(text.as_str(), "false" | "0")),
        tail_lines: query.tail_lines,
        limit_bytes: query.limit_bytes,
    };
    match Log::open(&home.sandbox(&id), dir.path(), wanted) {
        Ok(log) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            (kind, Body::from_stream(log.into_stream())).into_response()
        }
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("cannot read the log: {error}\n"),
        )
            .into_response(),
    }
}
