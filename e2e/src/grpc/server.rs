//! Our store behind etcd's `Put` and `Range`, so that one client drives both systems over one wire.

use std::convert::Infallible;
use std::future::Ready;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use store::{Op, Store, Txn, TxnError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::grpc::message::{Answer, Get, Malformed, Put};
use crate::{Outcome, grpc};

/// Codes of gRPC.
const INVALID_ARGUMENT: u16 = 3;
const UNIMPLEMENTED: u16 = 12;
const UNAVAILABLE: u16 = 14;

/// Answers until `stop`; what is under way then is cut off.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    store: Store,
    stop: impl Future<Output = ()>,
) -> Outcome<()> {
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            accepted = listener.accept() => {
                let (stream, _peer) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(connection(stream, store.clone()));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, store: Store) {
    let service = service_fn(move |request| answer(store.clone(), request));
    let served = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(grpc::WINDOW_BYTES)
        .initial_connection_window_size(grpc::WINDOW_BYTES)
        .max_concurrent_streams(grpc::STREAMS_MAX)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A client that goes away is no fault of the server, and its calls have nobody to tell.
    drop(served);
}

type Body = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

/// Why a call did not end well: a code of gRPC and a sentence.
struct Refused(u16, String);

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self(INVALID_ARGUMENT, malformed.to_string())
    }
}

impl From<hyper::Error> for Refused {
    fn from(error: hyper::Error) -> Self {
        Self(INVALID_ARGUMENT, error.to_string())
    }
}

impl From<TxnError> for Refused {
    fn from(error: TxnError) -> Self {
        Self(UNAVAILABLE, error.to_string())
    }
}

async fn answer(store: Store, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (frame, trailers) = match called(&store, request).await {
        Ok(frame) => (frame, well()),
        Err(refused) => (Bytes::new(), ill(&refused)),
    };
    let body = Full::new(frame).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body);
    let content = HeaderValue::from_static(grpc::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, content);
    Ok(response)
}

async fn called(store: &Store, request: Request<Incoming>) -> Result<Bytes, Refused> {
    let (head, body) = request.into_parts();
    let frame = body.collect().await?.to_bytes();
    match head.uri.path() {
        grpc::PUT => put(store, Put::decode(&frame)?).await,
        grpc::RANGE => get(store, &Get::decode(&frame)?).await,
        other => Err(Refused(UNIMPLEMENTED, format!("no method {other}"))),
    }
}

async fn put(store: &Store, put: Put) -> Result<Bytes, Refused> {
    let txn = Txn {
        // The store draws one, as it does for every caller that has none.
        request_id: 0,
        stamp_ms: now_ms(),
        guards: Vec::new(),
        ops: vec![Op::Put {
            key: put.key,
            value: put.value,
        }],
    };
    let outcome = store.txn(txn).await?;
    Ok(Answer::encode_put(outcome.revision()))
}

async fn get(store: &Store, get: &Get) -> Result<Bytes, Refused> {
    if !get.serializable {
        store.barrier().await?;
    }
    let view = store.view();
    let item = view.get(&get.key);
    Ok(Answer::encode_get(view.revision(), item.as_ref()))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

fn well() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(grpc::STATUS, HeaderValue::from_static("0"));
    trailers
}

fn ill(Refused(code, message): &Refused) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(grpc::STATUS, HeaderValue::from(*code));
    if let Ok(message) = HeaderValue::from_str(message) {
        trailers.insert(grpc::MESSAGE, message);
    }
    trailers
}
