//! Clients that take their time: they hold a connection each, and not for long.

use std::future::Future;
use std::time::Duration;

use apiserver::Options;
use futures::future::join_all;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::{AbortHandle, JoinSet};

use super::{TENANT, admins, get, make, stranger, town};
use crate::frames::{
    Conversation, END_HEADERS, END_STREAM, HEADERS, PREFACE, RESET, block, frame, request,
};
use crate::rig::PATIENCE;
use crate::socket::Door;

const CONNECTIONS: usize = 8;

const MAPS: &str = "/api/v1/namespaces/a/configmaps";

/// How slow clients write.
const PACE: Duration = Duration::from_millis(20);

/// Room for few, and little time.
fn narrow(options: &mut Options) {
    let limit = Duration::from_millis(500);
    options.limits.connections = CONNECTIONS;
    options.limits.handshake = limit * 2;
    options.limits.head = limit;
    options.limits.body = limit;
    options.limits.drain = limit;
}

/// All connections there may be are held like this; and yet somebody else is served, once they are cut.
async fn are_cut<F, S>(what: &str, door: &Door, hold: impl Fn() -> F)
where
    F: Future<Output = std::io::Result<S>>,
{
    let held = join_all((0..CONNECTIONS).map(|_| hold())).await;
    let served = async {
        // On a busy machine a decent client, too, may be too slow for such limits.
        while get(door, "/readyz", "").await.codes() != [200] {}
    };
    tokio::time::timeout(PATIENCE, served).await.expect(what);
    drop(held);
}

/// A connection that has sent this, and then says nothing.
async fn said(door: &Door, bytes: &[u8]) -> std::io::Result<impl AsyncWrite + use<>> {
    let mut stream = door.dial().await?;
    stream.write_all(bytes).await?;
    stream.flush().await?;
    Ok(stream)
}

/// Keeps on writing these bytes, one at a time; dropping it ends that.
struct Trickle(AbortHandle);

impl Drop for Trickle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn trickle(door: &Door, first: &str, again: &'static [u8]) -> std::io::Result<Trickle> {
    let mut stream = door.dial().await?;
    stream.write_all(first.as_bytes()).await?;
    let writes = async move {
        let mut pace = tokio::time::interval(PACE);
        for byte in again.iter().cycle() {
            pace.tick().await;
            if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    };
    Ok(Trickle(tokio::spawn(writes).abort_handle()))
}

fn begun(more: &str) -> String {
    format!("POST {MAPS} HTTP/1.1\r\nHost: x\r\n{more}Content-Type: application/json\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_in_tls_or_http1_is_cut() {
    let (rig, _admin) = town(narrow).await;
    let door = &stranger(&rig);
    let admin = &admins(&rig);
    are_cut("silence", door, || door.knock()).await;
    are_cut("half a handshake", door, || async {
        let mut tcp = door.knock().await?;
        tcp.write_all(&[0x16, 3, 1, 2, 0, 1]).await?;
        Ok(tcp)
    })
    .await;
    are_cut("silence in TLS", door, || said(door, b"")).await;
    are_cut("half a head", door, || {
        said(door, b"GET / HTTP/1.1\r\nHost")
    })
    .await;
    are_cut("a head by bytes", door, || {
        trickle(door, "GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n")
    })
    .await;
    are_cut("silence after an answer", door, || {
        said(door, b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
    })
    .await;
    let sized = format!("{}Content-Length: 9000\r\n\r\n", begun(""));
    let chunked = format!("{}Transfer-Encoding: chunked\r\n\r\n", begun(""));
    let expects = format!(
        "{}Expect: 100-continue\r\nContent-Length: 9000\r\n\r\n",
        begun("")
    );
    for (who, door) in [("an administrator", admin), ("a stranger", door)] {
        for head in [&sized, &chunked, &expects] {
            are_cut(who, admin, || said(door, head.as_bytes())).await;
        }
        are_cut(who, admin, || trickle(door, &sized, b" ")).await;
        are_cut(who, admin, || trickle(door, &chunked, b"1\r\n \r\n")).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_in_http2_is_cut() {
    let (rig, _admin) = town(narrow).await;
    let strangers = &stranger(&rig);
    let door = &strangers.http2();
    are_cut("silence", strangers, || said(door, b"")).await;
    are_cut("half a preface", strangers, || said(door, &PREFACE[..9])).await;
    are_cut("a preface alone", strangers, || said(door, PREFACE)).await;
    let begin = || async { Conversation::begin(door.dial().await?).await };
    are_cut("a hello alone", strangers, begin).await;
    let headers = block(&request(
        "POST",
        MAPS,
        &[("content-type", "application/json")],
    ));
    are_cut("half a head", strangers, || async {
        let mut talk = begin().await?;
        talk.send(&frame(HEADERS, 0, 1, &headers)).await?;
        Ok(talk)
    })
    .await;
    let admin = &admins(&rig).http2();
    for door in [admin, door] {
        are_cut("half a body", strangers, || async {
            let mut talk = Conversation::begin(door.dial().await?).await?;
            talk.send(&frame(HEADERS, END_HEADERS, 1, &headers)).await?;
            Ok(talk)
        })
        .await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut() {
    let (rig, admin) = town(narrow).await;
    for n in 0..20 {
        let large =
            json!({"metadata": {"name": format!("m{n}")}, "data": {"k": "x".repeat(50_000)}});
        make(&admin, MAPS, large).await;
    }
    let door = &admins(&rig);
    // Far more than what lies between here and there.
    let lists = format!("GET {MAPS} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(64);
    are_cut("lists that nobody reads", door, || async {
        let mut stream = door.dial_narrow().await?;
        stream.write_all(lists.as_bytes()).await?;
        stream.flush().await?;
        Ok(stream)
    })
    .await;
    rig.stop().await;
}

/// One stream that nobody reads is reset, and lets go of what it held; the connection goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_is_reset() {
    let (rig, admin) = town(|options| {
        options.limits.head = Duration::from_secs(1);
    })
    .await;
    let large = json!({"metadata": {"name": "large"}, "data": {"k": "x".repeat(900_000)}});
    make(&admin, MAPS, large).await;
    let door = admins(&rig).http2();
    let mut talk = Conversation::begin(door.dial().await.unwrap())
        .await
        .unwrap();
    let get = |stream: u32, path: &str| {
        let headers = block(&request("GET", path, &[]));
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers)
    };
    let watch = format!("{MAPS}?watch=true&resourceVersion=0");
    let one = format!("{MAPS}/large");
    // The window of the connection is enough for none of them, and is never opened.
    for (stream, path) in [(1, MAPS), (3, one.as_str()), (5, watch.as_str())] {
        talk.send(&get(stream, path)).await.unwrap();
    }
    let mut open = vec![1, 3, 5];
    while !open.is_empty() {
        let came = talk.next().await.expect("the connection goes on");
        if came.kind == RESET {
            open.retain(|stream| *stream != came.stream);
        }
    }
    let idle = format!("{MAPS}?watch=true&resourceVersion=999999999");
    talk.send(&get(7, &idle)).await.unwrap();
    let answered = talk.next().await.expect("it still answers");
    assert_eq!((answered.kind, answered.stream), (HEADERS, 7));
    rig.stop().await;
}

/// A watch is long, and no slow client: it stays, though nothing happens on its connection.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_news_is_not_cut() {
    let (rig, admin) = town(narrow).await;
    let path = format!("{MAPS}?watch=true&timeoutSeconds=60");
    let request = http::Request::get(path).body(kube::client::Body::empty());
    let response = admin.send(request.unwrap()).await.unwrap();
    let mut watch = response.into_body();
    let door = stranger(&rig);
    let mut slow = JoinSet::new();
    for _ in 0..3 {
        let door = door.clone();
        slow.spawn(async move { said(&door, b"").await.map(drop) });
    }
    // Others come and go, for much longer than anybody may idle.
    let until = tokio::time::Instant::now() + Duration::from_secs(2);
    let mut served = 0;
    while tokio::time::Instant::now() < until {
        served += usize::from(get(&door, MAPS, TENANT).await.codes() == [200]);
    }
    assert!(served > 0, "others are served");
    make(&admin, MAPS, json!({"metadata": {"name": "news"}})).await;
    let news = async {
        let mut text = String::new();
        while !text.contains("\"name\":\"news\"") {
            let frame = watch.frame().await.expect("the watch goes on").unwrap();
            text += &String::from_utf8_lossy(frame.data_ref().unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, news)
        .await
        .expect("news in time");
    rig.stop().await;
}
