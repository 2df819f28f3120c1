//! The API's listener: TLS, identity by certificate, HTTP/1.1 and HTTP/2, and bounds on all that a
//! stranger could hold: connections, handshakes, heads.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::FutureExt;
use http::header::UPGRADE;
use hyper::body::Incoming;
use hyper::server::conn::http1;
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
use super::gather::Gather;
use super::http2::{self, Asker, Patience};
use super::socket::{Keep, Line};
use crate::http2::request::HEAD_BYTES;
use crate::pki;

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
        let door = Arc::new(Door {
            acceptor: TlsAcceptor::from(tls),
            front,
            limits,
            shutdown,
            tasks: TaskTracker::new(),
        });
        while let Some((stream, peer, permit)) = accept(&tcp, &room, &door.shutdown).await {
            let Some(stranger) = crowd.enter(peer.ip()) else {
                tracing::debug!(%peer, "closed: too many connections from there say not whose they are");
                continue;
            };
            let keep = Keep {
                permit: Arc::new(permit),
                tasks: door.tasks.clone(),
            };
            let own = Arc::clone(&door);
            door.tasks.spawn(own.admit(stream, (peer, stranger), keep));
        }
        drop(tcp);
        door.tasks.close();
        door.tasks.wait().await;
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

struct Door {
    acceptor: TlsAcceptor,
    front: Front,
    limits: Limits,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Door {
    /// Shakes hands; what follows is a task of its own, as small as its protocol allows.
    async fn admit(self: Arc<Self>, stream: TcpStream, from: (SocketAddr, Stranger), keep: Keep) {
        // Small answers must not wait for a full packet.
        let _best_effort = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(self.limits.handshake, self.acceptor.accept(stream));
        let stream = tokio::select! {
            () = self.shutdown.cancelled() => return,
            stream = handshake => stream,
        };
        match stream {
            Ok(Ok(stream)) => Self::serve(self, stream, from, keep),
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("TLS handshake took too long"),
        }
    }

    /// The protocol is what the handshake agreed on: looking for it in the first bytes would wait
    /// for a silent client without bound.
    fn serve(
        self: Arc<Self>,
        stream: TlsStream<TcpStream>,
        (peer, stranger): (SocketAddr, Stranger),
        keep: Keep,
    ) {
        let session = stream.get_ref().1;
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let asker = Asker {
            front: self.front.clone(),
            origin: Arc::new(Origin::network(
                peer,
                certificate.and_then(pki::certified),
                stranger,
            )),
        };
        let tasks = self.tasks.clone();
        if session.alpn_protocol() == Some(b"h2") {
            let patience = Patience {
                head: self.limits.head,
                drain: self.limits.drain,
            };
            let shutdown = self.shutdown.clone();
            let connection = http2::Connection::new(stream, asker, patience, shutdown);
            tasks.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection ended");
                }
                drop(keep);
            });
        } else {
            tasks.spawn(async move {
                self.http1(stream, asker, keep).await;
            });
        }
    }

    async fn http1(&self, stream: TlsStream<TcpStream>, asker: Asker, keep: Keep) {
        let stream = Gather::new(stream);
        let straight = stream.straight();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            if request.headers().contains_key(UPGRADE) {
                let line = Line::new(straight.clone(), keep.clone());
                request.extensions_mut().insert(line);
            }
            // Boxed, since what waits for it is moved about.
            Box::pin(asker.ask(request).map(Ok::<_, Infallible>))
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(HEAD_BYTES);
        let turns = stream.turns();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection.with_upgrades());
        let ended = tokio::select! {
            ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx)) => Some(ended),
            () = turns.stalled(self.limits.head) => None,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let ended = poll_fn(|cx| turns.poll(connection.as_mut(), cx));
                tokio::time::timeout(self.limits.drain, ended).await.ok()
            }
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "connection ended"),
            None => tracing::debug!("connection cut: nothing moved on it any more"),
        }
    }
}
