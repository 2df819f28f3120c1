//! The client before another's server: hyper's, with little room, and one of a few bytes that reads late.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use apiserver::http2::frame::{self, HEAD, Head};
use apiserver::pki::{self, Authority, Subject};
use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Ask, Dialer, JSON, Lane, Lines, now_s};
use crate::{Outcome, wait};

/// Nothing here takes long, but the machine may be busy.
const LONG: Duration = Duration::from_secs(60);

const STREAMS: u32 = 3;
const WINDOW: u32 = 1_000;

/// What a server tells of its callers.
struct Seen {
    begun: Semaphore,
    given_up: Semaphore,
    /// Lets a watch say its next line.
    go: Semaphore,
}

impl Seen {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Semaphore::new(0),
            given_up: Semaphore::new(0),
            go: Semaphore::new(0),
        })
    }
}

/// Counts who goes without an answer.
struct GivenUp(Arc<Seen>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.add_permits(1);
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Body>, hyper::Error> {
    let whole = |bytes: Bytes| Full::new(bytes).boxed_unsync();
    let path = request.uri().path().to_owned();
    let mut response = Response::new(match path.trim_start_matches('/') {
        "echo" => whole(request.into_body().collect().await?.to_bytes()),
        "missing" => whole("there is nothing".into()),
        "never" => {
            let _given_up = GivenUp(Arc::clone(&seen));
            seen.begun.add_permits(1);
            std::future::pending().await
        }
        "watch" => {
            let lines = futures::stream::iter(["a\n", "b\nc", "\n"]).then(move |text| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.go.acquire().await.unwrap().forget();
                    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
                }
            });
            StreamBody::new(lines).boxed_unsync()
        }
        bytes => whole(vec![b'x'; bytes.parse().unwrap()].into()),
    });
    if path == "/missing" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

async fn served(stream: TlsStream<TcpStream>, seen: Arc<Seen>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
    let served = Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .max_frame_size(20_000)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    drop(served);
}

/// One connection to a server, which is a task.
async fn connected<F: Future<Output = ()> + Send + 'static>(
    serve: impl FnOnce(TlsStream<TcpStream>) -> F + Send + 'static,
) -> Outcome<(Lane, JoinHandle<()>)> {
    let now_s = now_s()?;
    let authority = Authority::create(now_s)?;
    let server = Subject::Server("far".to_owned());
    let pair = authority.issue(&server, &["127.0.0.1".to_owned()], now_s)?;
    let mut config = pki::peer_server(&authority, &pair)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(acceptor.accept(stream).await.unwrap()).await;
    });
    let dialer = Dialer::signed(&authority, &server, now_s)?.pinging(Duration::from_millis(50));
    Ok((dialer.dial(&address).await?, task))
}

fn post(bytes: usize) -> Ask {
    let body = vec![b'x'; bytes].into();
    Ask::new(Method::POST, "/echo".to_owned(), JSON, body)
}

fn get(path: &str) -> Ask {
    Ask::get(path.to_owned())
}

async fn in_time<T>(future: impl Future<Output = T>) -> Outcome<T> {
    wait::at_most("this", LONG, future).await
}

async fn many_callers() -> Outcome<()> {
    let (lane, server) = connected(|stream| served(stream, Seen::new())).await?;
    // The settings of the server are known once it has answered.
    assert_eq!(lane.call(get("/1"), StatusCode::OK).await?, 1);
    let mut callers = JoinSet::new();
    for caller in 0..50 {
        let lane = lane.clone();
        callers.spawn(async move {
            for turn in 0..20 {
                let bytes = (caller * 977 + turn * 131) % 5_000;
                assert_eq!(lane.call(post(bytes), StatusCode::OK).await?, bytes);
                let path = format!("/{bytes}");
                assert_eq!(lane.call(get(&path), StatusCode::OK).await?, bytes);
            }
            Ok(())
        });
    }
    let done: Outcome<()> = in_time(callers.join_all()).await?.into_iter().collect();
    done?;
    let large = lane.call(get("/30000000"), StatusCode::OK);
    assert_eq!(in_time(large).await??, 30_000_000);
    let missing = lane.call(get("/missing"), StatusCode::OK);
    let fault = in_time(missing).await?.unwrap_err();
    assert_eq!(fault.to_string(), "404 Not Found: there is nothing");
    drop(lane);
    // The last of us went: so does the connection.
    Ok(in_time(server).await??)
}

#[tokio::test]
async fn many_callers_share_a_connection() -> Outcome<()> {
    many_callers().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_callers_on_several_threads_share_a_connection() -> Outcome<()> {
    many_callers().await
}

#[tokio::test]
async fn who_waits_no_longer_makes_room() -> Outcome<()> {
    let seen = Seen::new();
    let far = Arc::clone(&seen);
    let (lane, _server) = connected(|stream| served(stream, far)).await?;
    let mut callers = JoinSet::new();
    // The settings of the server are known once it has answered.
    assert_eq!(lane.call(get("/1"), StatusCode::OK).await?, 1);
    for _ in 0..2 * STREAMS {
        let lane = lane.clone();
        callers.spawn(async move { lane.call(get("/never"), StatusCode::OK).await });
    }
    let all = in_time(seen.begun.acquire_many(STREAMS)).await?;
    all?.forget();
    assert_eq!(seen.begun.available_permits(), 0);
    callers.abort_all();
    assert!(callers.join_next().await.unwrap().is_err());
    while callers.join_next().await.is_some() {}
    in_time(seen.given_up.acquire_many(STREAMS))
        .await??
        .forget();
    let after = in_time(lane.call(get("/3"), StatusCode::OK)).await?;
    assert_eq!(after?, 3);
    Ok(())
}

#[tokio::test]
async fn a_watch_is_followed() -> Outcome<()> {
    let seen = Seen::new();
    let far = Arc::clone(&seen);
    let (lane, _server) = connected(|stream| served(stream, far)).await?;
    let fault = Lines::open(&lane, "/missing".to_owned()).await.err();
    assert_eq!(fault.unwrap().to_string(), "a watch got 404 Not Found");
    let mut lines = Lines::open(&lane, "/watch".to_owned()).await?;
    drop(lane);
    for count in [1, 1, 1] {
        seen.go.add_permits(1);
        assert_eq!(in_time(lines.next()).await??, Some(count));
    }
    assert_eq!(in_time(lines.next()).await??, None);
    Ok(())
}

#[tokio::test]
async fn a_server_that_goes_leaves_nobody_waiting() -> Outcome<()> {
    let seen = Seen::new();
    let far = Arc::clone(&seen);
    let (lane, server) = connected(|stream| served(stream, far)).await?;
    let other = lane.clone();
    let call = tokio::spawn(async move { other.call(get("/never"), StatusCode::OK).await });
    in_time(seen.begun.acquire()).await??.forget();
    server.abort();
    assert!(in_time(call).await??.is_err());
    let fault = lane.call(get("/1"), StatusCode::OK).await.unwrap_err();
    assert!(
        fault.to_string().contains("clos") || fault.to_string().contains("ended"),
        "{fault}"
    );
    Ok(())
}

/// More than the socket takes: the rest goes when there is room.
#[tokio::test]
async fn a_server_may_read_late() -> Outcome<()> {
    const BODY: usize = 64 << 20;
    let go = Arc::new(Semaphore::new(0));
    let far = Arc::clone(&go);
    let (lane, _server) = connected(|stream| late(stream, far, BODY)).await?;
    // The windows are known once the server has answered.
    lane.call(get("/"), StatusCode::OK).await?;
    let mut large = std::pin::pin!(lane.call(post(BODY), StatusCode::OK));
    let mut small = std::pin::pin!(lane.call(get("/"), StatusCode::OK));
    assert!(futures::poll!(&mut large).is_pending());
    assert!(futures::poll!(&mut small).is_pending());
    go.add_permits(1);
    in_time(async { futures::try_join!(large, small) }).await??;
    Ok(())
}

/// Answers the first request; the rest only when it may, and all of the second's body has come.
async fn late(mut stream: TlsStream<TcpStream>, go: Arc<Semaphore>, body: usize) {
    let mut said = Vec::new();
    frame::frame(&mut said, frame::SETTINGS, 0, 0, &[0, 4, 0x7f, 0, 0, 0]);
    frame::window(&mut said, 0, 1 << 30);
    stream.write_all(&said).await.unwrap();
    let mut preface = [0; frame::PREFACE.len()];
    stream.read_exact(&mut preface).await.unwrap();
    let mut left = body;
    for _ in 0..3 {
        let stream_number = loop {
            let mut head = [0; HEAD];
            stream.read_exact(&mut head).await.unwrap();
            let head = Head::read(&head).unwrap();
            let mut payload = vec![0; head.length];
            stream.read_exact(&mut payload).await.unwrap();
            if head.kind == frame::DATA {
                left -= head.length;
            }
            if matches!(head.kind, frame::DATA | frame::HEADERS) && head.has(frame::END_STREAM) {
                break head.stream;
            }
        };
        let mut said = Vec::new();
        let flags = frame::END_HEADERS | frame::END_STREAM;
        frame::frame(&mut said, frame::HEADERS, flags, stream_number, &[0x88]);
        stream.write_all(&said).await.unwrap();
        if stream_number == 1 {
            go.acquire().await.unwrap().forget();
        }
    }
    assert_eq!(left, 0);
    // Until the other end goes.
    drop(stream.read_to_end(&mut Vec::new()).await);
}
