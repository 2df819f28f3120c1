//! Watches over WebSocket (RFC 6455), as kube-apiserver has them: one text frame an event. Only
//! connections of HTTP/1.1 can become one; HTTP/2 knows nothing of it.
//!
//! The lines of a watch are taken from the very body that would have been sent; here they are framed,
//! the client is asked now and then whether it is still there, and whatever it says is ignored.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::task::TaskTracker;

use super::gather::Straight;
use crate::status::Failure;

/// What RFC 6455 §1.3 adds to the client's key.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client is asked this often whether it is still there, and has as long again to say so.
const PING: Duration = Duration::from_secs(30);

/// How long a client may take to say goodbye, too.
const GOODBYE: Duration = Duration::from_secs(2);

/// Bytes of whatever a client sends: nothing of it is wanted.
const HEARD_BYTES: usize = 16 << 10;

/// A browser's way to send a bearer token. Here tokens come as headers, and must not be sent back.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";

/// What a connection holds as long as it lasts, whatever is spoken over it.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
    pub(crate) tasks: TaskTracker,
}

/// The connection under a request that asks for another protocol.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    straight: Straight<TlsStream<TcpStream>>,
    keep: Keep,
}

/// A request for a WebSocket that can be had.
#[derive(Debug)]
pub(crate) struct Call {
    upgrade: OnUpgrade,
    line: Line,
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
}

impl Line {
    pub(crate) fn new(straight: Straight<TlsStream<TcpStream>>, keep: Keep) -> Self {
        Self { straight, keep }
    }
}

/// What the request says of a WebSocket; none: it wants none, or cannot have one.
///
/// # Errors
/// 400 for half a handshake, 403 for one that another site's page makes.
pub(crate) fn call(request: &Request) -> Result<Option<Call>, Failure> {
    let headers = request.headers();
    if !lists(headers, &header::UPGRADE, "websocket") {
        return Ok(None);
    }
    let extensions = request.extensions();
    let (Some(line), Some(upgrade)) = (extensions.get::<Line>(), extensions.get::<OnUpgrade>())
    else {
        return Ok(None);
    };
    check_origin(headers)?;
    let (accept, protocol) = handshake(headers)?;
    Ok(Some(Call {
        upgrade: upgrade.clone(),
        line: line.clone(),
        accept,
        protocol,
    }))
}

/// A browser lets any page open a WebSocket anywhere, and shows the user's certificate there without
/// asking. It says whose page it is; what a page had to be given first, a token, it may use.
fn check_origin(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let site = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let is_own = site.is_some_and(|(_, site)| host.is_some_and(|host| host == site));
    match is_own || headers.contains_key(header::AUTHORIZATION) {
        true => Ok(()),
        false => Err(Failure::forbidden_text(
            "a page of another site may only open a WebSocket with a bearer token",
        )),
    }
}

/// The answer to the client's key, and the protocol that is spoken, if it asked for any.
fn handshake(headers: &HeaderMap) -> Result<(HeaderValue, Option<HeaderValue>), Failure> {
    let wrong = |text: &str| Failure::bad_request(format!("WebSocket handshake: {text}"));
    if !lists(headers, &header::CONNECTION, "upgrade") {
        return Err(wrong("the header Connection must say Upgrade"));
    }
    let one = |name: HeaderName| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none())
    };
    if one(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(wrong("the header Sec-WebSocket-Version must say 13"));
    }
    let key = one(header::SEC_WEBSOCKET_KEY).filter(|key| {
        let decoded = STANDARD.decode(key.as_bytes());
        decoded.is_ok_and(|nonce| nonce.len() == 16)
    });
    let key =
        key.ok_or_else(|| wrong("the header Sec-WebSocket-Key must be 16 bytes in base64"))?;
    let text = [key.as_bytes(), MAGIC].concat();
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
    let accept = HeaderValue::from_str(&STANDARD.encode(hash));
    let accept = accept.map_err(Failure::internal)?;
    let words = words(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    let protocol = words.into_iter().find(|word| !word.starts_with(BEARER));
    let protocol = protocol.and_then(|word| HeaderValue::from_str(&word).ok());
    Ok((accept, protocol))
}

fn words(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let words = lines.flat_map(|line| line.split(','));
    let words = words.map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let words = words(headers, name);
    words.iter().any(|word| word.eq_ignore_ascii_case(wanted))
}

impl Call {
    /// Agrees, and sends what the watch's answer would have held. `patience`: how long a client may
    /// take nothing of it.
    pub(crate) fn answer(self, watch: Response, patience: Duration) -> Response {
        let Self {
            upgrade,
            line,
            accept,
            protocol,
        } = self;
        line.straight.begin();
        let body = watch.into_body();
        let Keep { permit, tasks } = line.keep;
        tasks.spawn(async move {
            match upgrade.await {
                Ok(upgraded) => converse(upgraded, body, patience).await,
                Err(error) => {
                    tracing::debug!(%error, "a WebSocket was agreed on and did not begin")
                }
            }
            drop(permit);
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

async fn converse(upgraded: Upgraded, body: Body, patience: Duration) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(HEARD_BYTES))
        .max_frame_size(Some(HEARD_BYTES));
    let socket = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
    let talk = Talk {
        patience,
        heard: Instant::now(),
    };
    if talk.run(&mut socket, body).await.is_some() {
        // It may have gone already.
        let _gone = tokio::time::timeout(GOODBYE, part(&mut socket)).await;
    }
}

/// Says goodbye, hears the other's, and ends what lies below.
async fn part(socket: &mut Socket) -> std::io::Result<()> {
    let goodbye = CloseFrame {
        code: CloseCode::Normal,
        reason: Utf8Bytes::default(),
    };
    // An error if the other said it first; the answer to that is sent by listening.
    let _said = socket.close(Some(goodbye)).await;
    while let Some(Ok(_)) = socket.next().await {}
    socket.get_mut().shutdown().await
}

struct Talk {
    patience: Duration,
    /// When the client last said anything.
    heard: Instant,
}

impl Talk {
    /// None: the client has gone, or does not read.
    async fn run(mut self, socket: &mut Socket, mut body: Body) -> Option<()> {
        let mut beats = tokio::time::interval_at(Instant::now() + PING, PING);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                piece = body.frame() => {
                    let Some(Ok(piece)) = piece else { return Some(()) };
                    if let Ok(lines) = piece.into_data() {
                        self.tell(socket, &lines).await?;
                    }
                }
                said = socket.next() => match said?.ok()? {
                    Message::Close(_) => return Some(()),
                    Message::Ping(_) | Message::Pong(_) | Message::Text(_)
                    | Message::Binary(_) | Message::Frame(_) => self.heard = Instant::now(),
                },
                now = beats.tick() => {
                    if now.duration_since(self.heard) > PING * 2 {
                        return None;
                    }
                    self.send(socket, Message::Ping(Bytes::new())).await?;
                }
            }
        }
    }

    /// Each line is an event.
    async fn tell(&self, socket: &mut Socket, lines: &Bytes) -> Option<()> {
        let lines = lines.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            // JSON is text; a piece that is none would be a fault of ours.
            let text = std::str::from_utf8(line).ok()?;
            self.send(socket, Message::text(text)).await?;
        }
        Some(())
    }

    async fn send(&self, socket: &mut Socket, message: Message) -> Option<()> {
        let sent = tokio::time::timeout(self.patience, socket.send(message));
        sent.await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_handshake_of_the_standard() {
        let (accept, protocol) = handshake(&headers(&GOOD)).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(protocol, None);
        let token = "base64url.bearer.authorization.k8s.io.eA, v1.x";
        let asks = [&GOOD[..], &[("sec-websocket-protocol", token)]].concat();
        let (_, protocol) = handshake(&headers(&asks)).unwrap();
        assert_eq!(protocol.unwrap(), "v1.x", "a token is not sent back");
    }

    #[test]
    fn pages_of_others() {
        for (lines, is_good) in [
            (&[("host", "h:1")][..], true),
            (&[("host", "h:1"), ("origin", "https://h:1")], true),
            (&[("host", "h:1"), ("origin", "https://h")], false),
            (&[("host", "h:1"), ("origin", "null")], false),
            (&[("origin", "https://evil.example")], false),
            (
                &[
                    ("host", "h:1"),
                    ("origin", "https://evil.example"),
                    ("authorization", "Bearer x"),
                ],
                true,
            ),
        ] {
            assert_eq!(check_origin(&headers(lines)).is_ok(), is_good, "{lines:?}");
        }
    }

    #[test]
    fn half_handshakes() {
        for (name, value) in [
            ("connection", "close"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", ""),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25j"),
            ("sec-websocket-key", "***"),
        ] {
            let mut lines = GOOD.to_vec();
            lines.retain(|(own, _)| *own != name);
            assert_eq!(handshake(&headers(&lines)).unwrap_err().code(), 400);
            lines.push((name, value));
            let failure = handshake(&headers(&lines)).unwrap_err();
            assert_eq!(failure.code(), 400, "{name}: {value}");
        }
        let twice = [&GOOD[..], &[("sec-websocket-version", "13")]].concat();
        assert!(handshake(&headers(&twice)).is_err());
    }
}
