//! One connection to a member, etcd's or ours, shared by as many callers as like.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::grpc::message::{Answer, Get, Put};
use crate::{Fault, Outcome, fault, grpc};

/// Which state a read may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged before the call.
    Linearizable,
    /// Whatever the asked member has.
    Serializable,
}

/// What a read of one key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The store's revision.
    pub revision: u64,
    /// Length of the value.
    pub value_bytes: usize,
}

/// A connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    send: SendRequest<Full<Bytes>>,
    put: Uri,
    range: Uri,
}

impl Client {
    /// Connects over plain HTTP/2; the connection ends with the last clone.
    ///
    /// # Errors
    /// When nobody listens there, or not for HTTP/2.
    pub async fn connect(addr: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(grpc::WINDOW_BYTES)
            .initial_connection_window_size(grpc::WINDOW_BYTES)
            .initial_max_send_streams(1_000)
            .handshake(TokioIo::new(stream))
            .await?;
        // How a connection ends is told to its callers.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            send,
            put: uri(addr, grpc::PUT)?,
            range: uri(addr, grpc::RANGE)?,
        })
    }

    /// Stores the value; the revision it got.
    ///
    /// # Errors
    /// When the member does not say that it is stored; it may be all the same.
    pub async fn put(&mut self, key: &[u8], value: &[u8]) -> Outcome<u64> {
        let answer = self.call(self.put.clone(), Put::encode(key, value)).await?;
        Ok(answer.revision)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When the member cannot answer.
    pub async fn get(&mut self, key: &[u8], consistency: Consistency) -> Outcome<Option<Found>> {
        let serializable = consistency == Consistency::Serializable;
        let message = Get::encode(key, serializable);
        let answer = self.call(self.range.clone(), message).await?;
        let found = Found {
            revision: answer.revision,
            value_bytes: answer.value_bytes,
        };
        Ok((answer.count > 0).then_some(found))
    }

    async fn call(&mut self, uri: Uri, message: Bytes) -> Outcome<Answer> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.reserve(2);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(grpc::CONTENT_TYPE));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let response = self.send.send_request(request).await?;
        let frame = read(response).await?;
        Ok(Answer::decode(&frame)?)
    }
}

fn uri(addr: SocketAddr, path: &str) -> Outcome<Uri> {
    Ok(format!("http://{addr}{path}").parse()?)
}

/// The body of an answer whose status says that all is well.
async fn read(response: Response<Incoming>) -> Outcome<Bytes> {
    fault::ensure(response.status().is_success(), || {
        format!("HTTP status {}", response.status())
    })?;
    // An error without a body has its status among the headers.
    let mut status = status(response.headers())?;
    let mut body = response.into_body();
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        if let Some(trailers) = frame.trailers_ref() {
            status = self::status(trailers)?;
        } else if let Ok(data) = frame.into_data() {
            whole = joined(whole, data);
        }
    }
    fault::ensure(status == Status::Well, || {
        "the answer ended without a grpc-status".to_owned()
    })?;
    Ok(whole)
}

/// Answers nearly always come in one piece, which is not copied.
fn joined(before: Bytes, data: Bytes) -> Bytes {
    if before.is_empty() {
        return data;
    }
    let mut both = BytesMut::from(before);
    both.extend_from_slice(&data);
    both.freeze()
}

#[derive(PartialEq, Eq)]
enum Status {
    Unsaid,
    Well,
}

fn status(headers: &HeaderMap) -> Outcome<Status> {
    match headers.get(grpc::STATUS) {
        None => Ok(Status::Unsaid),
        Some(status) if status == "0" => Ok(Status::Well),
        Some(status) => {
            let message = headers.get(grpc::MESSAGE);
            Err(Fault::new(format!(
                "grpc-status {}: {}",
                String::from_utf8_lossy(status.as_bytes()),
                message.map_or("".into(), |m| String::from_utf8_lossy(m.as_bytes()))
            )))
        }
    }
}
