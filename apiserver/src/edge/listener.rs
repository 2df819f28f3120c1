//! The API's listener: TLS, identity by certificate, HTTP/1.1 and HTTP/2, and bounds on all that a
//! stranger could hold: connections, handshakes, heads.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::FutureExt;
use http::header::UPGRADE;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::Limits;
use super::crowd::{Crowd, Stranger};
use super::front::{Front, Origin};
use super::gather::{Gather, Turns};
use super::pulse::Pulse;
use super::socket::{Keep, Line};
use super::streams::Streams;
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
        let crowd = Crowd::new(limits.strangers);
        let connection = Arc::new(Connection {
            acceptor: TlsAcceptor::from(tls),
            front,
            limits,
            shutdown,
        });
        let tasks = TaskTracker::new();
        while let Some((stream, peer, permit)) = accept(&tcp, &room, &connection.shutdown).await {
            let Some(stranger) = crowd.enter(peer.ip()) else {
                tracing::debug!(%peer, "closed: too many connections from there say not whose they are");
                continue;
            };
            let connection = Arc::clone(&connection);
            let keep = Keep {
                permit: Arc::new(permit),
                tasks: tasks.clone(),
            };
            tasks.spawn(async move { connection.serve(stream, (peer, stranger), keep).await });
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
    async fn serve(&self, stream: TcpStream, from: (SocketAddr, Stranger), keep: Keep) {
        // Small answers must not wait for a full packet.
        let _best_effort = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(self.limits.handshake, self.acceptor.accept(stream));
        let stream = tokio::select! {
            () = self.shutdown.cancelled() => return,
            stream = handshake => stream,
        };
        match stream {
            Ok(Ok(stream)) => self.http(stream, from, keep).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn http(
        &self,
        stream: TlsStream<TcpStream>,
        (peer, stranger): (SocketAddr, Stranger),
        keep: Keep,
    ) {
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let certificate = certificate.and_then(pki::certified);
        let origin = Arc::new(Origin::network(peer, certificate, stranger));
        let http2 = session.alpn_protocol() == Some(b"h2");
        let stream = Gather::new(stream);
        let straight = stream.straight();
        let pulse = Pulse::default();
        let own = pulse.clone();
        let service =
            service_fn(move |request: http::Request<Incoming>| {
                let beat = own.begin();
                let mut request = request.map(Body::new);
                if !http2 && request.headers().contains_key(UPGRADE) {
                    let line = Line::new(straight.clone(), keep.clone());
                    request.extensions_mut().insert(line);
                }
                let answer = self.front.clone().answer(Arc::clone(&origin), request);
                // Boxed, since what waits for it is moved about.
                Box::pin(answer.map(|response| {
                    Ok::<_, Infallible>(response.map(|body| beat.until_sent(body)))
                }))
            });
        let turns = stream.turns();
        let io = TokioIo::new(stream);
        // The protocol is what the handshake agreed on: looking for it in the first bytes would wait
        // for a silent client without bound.
        let ended = if http2 {
            let connection = self.http2().serve_connection(io, service);
            let idle = pulse.idle(self.limits.head);
            self.drive(
                connection,
                http2::Connection::graceful_shutdown,
                turns,
                (&pulse, idle),
            )
            .await
        } else {
            let connection = self.http1().serve_connection(io, service).with_upgrades();
            let end = http1::UpgradeableConnection::graceful_shutdown;
            // It looks at the time between two requests itself.
            let idle = std::future::pending();
            self.drive(connection, end, turns, (&pulse, idle)).await
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "connection ended"),
            None => tracing::debug!("connection cut: nothing moved on it any more"),
        }
    }

    /// Runs a connection to its end; none: it was cut. `end` lets it take no more requests: at
    /// shutdown, or when it was idle for too long, as HTTP/2 would let a silent client be for ever.
    async fn drive<C, E>(
        &self,
        connection: C,
        end: impl Fn(Pin<&mut C>),
        turns: Turns<TlsStream<TcpStream>>,
        (pulse, idle): (&Pulse, impl Future<Output = ()>),
    ) -> Option<Result<(), E>>
    where
        C: Future<Output = Result<(), E>>,
    {
        let mut connection = std::pin::pin!(connection);
        let over = async {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = idle => {}
            }
        };
        tokio::select! {
            ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => return Some(ended),
            () = turns.stalled(self.limits.head) => return None,
            () = over => {}
        }
        end(connection.as_mut());
        tokio::select! {
            ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => Some(ended),
            () = self.given_up(pulse) => None,
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

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_BYTES as usize);
        builder
    }

    fn http2(&self) -> http2::Builder<Streams> {
        let limit = self.limits.head;
        let mut builder = http2::Builder::new(Streams { limit });
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES)
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        builder
    }
}
