//! Frames of HTTP/2, written by hand: what no decent client would send. RFC 9113 §4 and §6; header
//! blocks are literals without an index, RFC 7541 §6.2.2.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::rig::PATIENCE;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What every client begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of these headers, exactly as they are written here.
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer of seven bits and more, RFC 7541 §5.1.
fn length(bytes: &mut Vec<u8>, length: usize) {
    const FULL: usize = 127;
    if length < FULL {
        bytes.push(length as u8);
        return;
    }
    bytes.push(FULL as u8);
    let mut rest = length - FULL;
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

/// The headers of a decent request, and these behind them.
pub(crate) fn request<'a>(
    method: &'a str,
    path: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let pseudo = [
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    pseudo.iter().chain(more).copied().collect()
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection that has said hello.
pub(crate) struct Conversation(pub(crate) TlsStream<TcpStream>);

impl Conversation {
    pub(crate) async fn begin(mut stream: TlsStream<TcpStream>) -> io::Result<Self> {
        stream.write_all(PREFACE).await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        Ok(Self(stream))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// The next frame; none once the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream,
                payload,
            })
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("a frame, or the end")
    }

    /// All the data of this stream, until it or the connection has ended.
    pub(crate) async fn until_end(&mut self, stream: u32) -> Vec<u8> {
        let mut data = Vec::new();
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                break;
            }
            if frame.stream != stream {
                continue;
            }
            if frame.kind == DATA {
                data.extend(&frame.payload);
            }
            let is_last = matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0;
            if is_last || frame.kind == RESET {
                break;
            }
        }
        data
    }

    /// Reads until the server closes.
    pub(crate) async fn closes(&mut self) {
        while self.next().await.is_some() {}
    }
}
