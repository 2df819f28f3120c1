//! The API's listener: TLS, identity by certificate, HTTP/1.1 and HTTP/2, and bounds on all that a
//! stranger could hold: connections, handshakes, heads.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::FutureExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Limits;
use super::front::{Front, Origin};
use super::gather::Gather;
use super::pulse::Pulse;
use crate::pki;

/// Bytes of a request's head, on both protocols.
const HEAD_BYTES: u32 = 64 << 10;

/// Streams on one HTTP/2 connection: a controller may well hold a watch for each of many kinds.
const STREAMS: u32 = 512;

/// Bytes of one answer that wait to be sent. The thousand watchers of a busy kind may each have so much.
const SEND_BYTES: usize = 128 << 10;

/// An HTTP/2 peer is asked this often whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// Pause after a failed accept: the usual reason is that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves connections.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) front: Front,
    pub(crate) limits: Limits,
}

impl Listener {
    /// Serves until `shutdown`, then lets open connections finish what they are at.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Self {
            tcp,
            tls,
            front,
            limits,
        } = self;
        let room = Arc::new(Semaphore::new(limits.connections));
        let connection = Arc::new(Connection {
            acceptor: TlsAcceptor::from(tls),
            front,
            limits,
            shutdown,
        });
        let tasks = TaskTracker::new();
        while let Some((stream, peer, permit)) = accept(&tcp, &room, &connection.shutdown).await {
            let connection = Arc::clone(&connection);
            tasks.spawn(async move {
                connection.serve(stream, peer).await;
                drop(permit);
            });
        }
        drop(tcp);
        tasks.close();
        tasks.wait().await;
    }
}

/// The next connection, once there is room for it; none at shutdown.
async fn accept(
    tcp: &TcpListener,
    room: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        let permit = Arc::clone(room).acquire_owned().await.ok()?;
        loop {
            match tcp.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, permit)),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        next = next => next,
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    front: Front,
    limits: Limits,
    shutdown: CancellationToken,
}

impl Connection {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Small answers must not wait for a full packet.
        let _best_effort = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(self.limits.handshake, self.acceptor.accept(stream));
        let stream = tokio::select! {
            () = self.shutdown.cancelled() => return,
            stream = handshake => stream,
        };
        match stream {
            Ok(Ok(stream)) => self.http(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn http(&self, stream: TlsStream<TcpStream>, peer: SocketAddr) {
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.and_then(pki::certified);
        let origin = Arc::new(Origin::network(peer, certificate));
        let http2 = session.alpn_protocol() == Some(b"h2");
        let pulse = Pulse::default();
        let own = pulse.clone();
        let service =
            service_fn(move |request: http::Request<Incoming>| {
                let beat = own.begin();
                let answer = self
                    .front
                    .clone()
                    .answer(Arc::clone(&origin), request.map(Body::new));
                // Boxed, since what waits for it is moved about.
                Box::pin(answer.map(|response| {
                    Ok::<_, Infallible>(response.map(|body| beat.until_sent(body)))
                }))
            });
        let builder = self.builder(http2);
        let stream = Gather::new(stream);
        let turns = stream.turns();
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => Some(ended),
            () = turns.stalled(self.limits.head) => None,
            () = self.over(&pulse, http2) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => Some(ended),
                    () = self.given_up(&pulse) => None,
                }
            }
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(error, "connection ended"),
            None => tracing::debug!("connection cut: nothing moved on it any more"),
        }
    }

    /// Waits until the connection is to take no more requests. HTTP/1.1 itself looks at the time
    /// between two requests; HTTP/2 would wait for ever for a client that says nothing.
    async fn over(&self, pulse: &Pulse, http2: bool) {
        let idle = async {
            match http2 {
                true => pulse.idle(self.limits.head).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = idle => {}
        }
    }

    /// Waits until nobody waits any longer for the end of a connection that takes no more requests.
    async fn given_up(&self, pulse: &Pulse) {
        let late = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.limits.drain).await;
        };
        tokio::select! {
            () = late => {}
            () = pulse.idle(self.limits.drain) => {}
        }
    }

    /// The protocol is what the handshake agreed on: looking for it in the first bytes would wait
    /// for a silent client without bound.
    fn builder(&self, http2: bool) -> auto::Builder<TokioExecutor> {
        let builder = auto::Builder::new(TokioExecutor::new());
        let mut builder = if http2 {
            builder.http2_only()
        } else {
            builder.http1_only()
        };
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_BYTES as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES)
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        builder
    }
}
