//! HTTP/2 that no decent client speaks: malformed requests are not requests, broken connections end,
//! and floods are theirs alone.

use apiserver::pki::Subject;

use super::{THEIRS, admins, get, stranger, town, unharmed};
use crate::frames::{
    CONTINUATION, Conversation, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RESET, SETTINGS,
    WINDOW, block, frame, request,
};
use crate::rig::{PATIENCE, Rig, raw};
use crate::socket::Door;

const OWN: &str = "/api/v1/namespaces/a/configmaps/own";
const B: &str = "/api/v1/namespaces/b/configmaps/x";
const MAPS: &str = "/api/v1/namespaces/a/configmaps";
const TENANT: (&str, &str) = ("authorization", "Bearer tenant-token");
const NARROW: (&str, &str) = ("authorization", "Bearer narrow-token");

/// What the first stream of a connection is answered with.
async fn answer(door: &Door, headers: &[(&str, &str)], body: Option<&str>) -> String {
    let mut talk = Conversation::begin(door.dial().await.unwrap())
        .await
        .unwrap();
    let end = if body.is_none() { END_STREAM } else { 0 };
    let mut bytes = frame(HEADERS, END_HEADERS | end, 1, &block(headers));
    if let Some(body) = body {
        bytes.extend(frame(DATA, END_STREAM, 1, body.as_bytes()));
    }
    talk.send(&bytes).await.unwrap();
    String::from_utf8_lossy(&talk.until_end(1).await).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_none() {
    let (rig, admin) = town(|_| {}).await;
    let door = stranger(&rig).http2();
    let own = request("GET", OWN, &[TENANT]);
    assert!(answer(&door, &own, None).await.contains("\"ConfigMap\""));
    let and = |more: &[(&'static str, &'static str)]| [&own[..], more].concat();
    let but = |name: &str, value: &'static str| {
        let change = |(own, old): &(&'static str, &'static str)| match *own == name {
            true => (*own, value),
            false => (*own, *old),
        };
        own.iter().map(change).collect::<Vec<_>>()
    };
    let without = |name: &str| {
        let rest = own.iter().filter(|(own, _)| *own != name);
        rest.copied().collect::<Vec<_>>()
    };
    for headers in [
        [&[(":path", B)], &own[..]].concat(),
        and(&[(":path", B)]),
        [&[(":method", "DELETE")], &own[..]].concat(),
        and(&[(":method", "DELETE")]),
        [&[(":authority", "x")], &own[..]].concat(),
        [&[(":scheme", "http")], &own[..]].concat(),
        [&[("x", "y")], &own[..]].concat(),
        [&[(":status", "200")], &own[..]].concat(),
        [&[(":unknown", "x")], &own[..]].concat(),
        [&[(":protocol", "websocket")], &own[..]].concat(),
        without(":path"),
        without(":method"),
        but(":path", ""),
        but(":path", "api/v1/namespaces/a/configmaps/own"),
        but(":path", "/api/v1/namespaces/a/configmaps/own x"),
        but(":path", "/api/v1/namespaces/a/configmaps/own\r\nx: y"),
        but(":method", ""),
        but(":method", "GET /api HTTP/1.1\r\nx:"),
        and(&[("Impersonate-User", "tenant")]),
        and(&[("", "x")]),
        and(&[("a b", "x")]),
        and(&[("x:", "y")]),
        and(&[("x\r\ny", "z")]),
        and(&[("x", "y\r\nimpersonate-user: tenant")]),
        and(&[("x", "y\nz")]),
        and(&[("x", "y\0z")]),
        and(&[("connection", "close")]),
        and(&[("transfer-encoding", "chunked")]),
        and(&[("proxy-connection", "close")]),
        and(&[("upgrade", "h2c")]),
        and(&[("te", "gzip")]),
        and(&[TENANT]),
        and(&[NARROW]),
        and(&[("host", "x"), ("host", "y")]),
    ] {
        let text = answer(&door, &headers, None).await;
        assert!(!text.contains("\"ConfigMap\""), "{headers:?}: {text}");
        assert!(!text.contains(THEIRS), "{headers:?}: {text}");
    }
    for headers in [
        and(&[("host", "b.example")]),
        and(&[("x-http-method-override", "DELETE"), ("x-original-url", B)]),
        but(":authority", "b.example:1"),
        but(":scheme", "http"),
        but(":path", "/api/v1/namespaces/a/configmaps/own?x=/../../b"),
    ] {
        let text = answer(&door, &headers, None).await;
        assert!(text.contains("\"name\":\"own\""), "{headers:?}: {text}");
    }
    assert_eq!(raw(&admin, "GET", OWN, &[], "").await.0, 200);
    bodies(&rig, &admin).await;
    rig.stop().await;
}

/// Bodies of another length than was said, and rights that come too late.
async fn bodies(rig: &Rig, admin: &kube::Client) {
    let door = admins(rig).http2();
    let json = ("content-type", "application/json");
    let body = r#"{"metadata":{"name":"smuggled"}}"#;
    for length in [
        "0",
        "2",
        "31",
        "33",
        "-1",
        "x",
        "99999999999999999999",
        "4000000",
    ] {
        let headers = request("POST", MAPS, &[json, ("content-length", length)]);
        _ = answer(&door, &headers, Some(body)).await;
        unharmed(admin, length).await;
    }
    let twice = [json, ("content-length", "32"), ("content-length", "2")];
    _ = answer(&door, &request("POST", MAPS, &twice), Some(body)).await;
    unharmed(admin, "two lengths").await;

    let dialled = stranger(rig).http2().dial().await.unwrap();
    let mut talk = Conversation::begin(dialled).await.unwrap();
    let late = [
        frame(
            HEADERS,
            END_HEADERS,
            1,
            &block(&request("POST", MAPS, &[json])),
        ),
        frame(DATA, 0, 1, body.as_bytes()),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[TENANT])),
    ];
    talk.send(&late.concat()).await.unwrap();
    let text = String::from_utf8_lossy(&talk.until_end(1).await).into_owned();
    assert!(text.contains("\"code\":401"), "{text}");
    unharmed(admin, "trailers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_end() {
    let (rig, _admin) = town(|_| {}).await;
    let door = admins(&rig).http2();
    let own = block(&request("GET", OWN, &[]));
    let end = END_HEADERS | END_STREAM;
    for (what, bytes) in [
        ("data of no stream", frame(DATA, END_STREAM, 1, b"x")),
        ("headers of the connection", frame(HEADERS, end, 0, &own)),
        ("a server's stream", frame(HEADERS, end, 2, &own)),
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "a window beyond all",
            frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255]),
        ),
        ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
        ("a window of nothing", frame(WINDOW, 0, 0, &[0; 4])),
        ("a reset of nothing", frame(RESET, 0, 1, &[0; 4])),
        (
            "a continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &own),
        ),
        ("a promise", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a frame too large", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("an index of nothing", frame(HEADERS, end, 1, &[0x80])),
        (
            "an index of what is not there",
            frame(HEADERS, end, 1, &[0xff, 0x80, 0x01]),
        ),
        (
            "a table beyond all",
            frame(HEADERS, end, 1, &[0x3f, 0xe1, 0xff, 0xff, 0x07]),
        ),
        ("half a header", frame(HEADERS, end, 1, &[0, 10, b'x'])),
        ("an endless number", frame(HEADERS, end, 1, &[0xff; 32])),
        (
            "another frame among the headers",
            [
                frame(HEADERS, END_STREAM, 1, &own),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
        ),
    ] {
        let dialled = door.dial().await.unwrap();
        let mut talk = Conversation::begin(dialled).await.unwrap();
        // It may have closed already.
        _ = talk.send(&bytes).await;
        tokio::time::timeout(PATIENCE, talk.closes())
            .await
            .expect(what);
    }
    assert_eq!(get(&admins(&rig), OWN, "").await.codes(), [200]);
    rig.stop().await;
}

/// Sends this again and again, and reads nothing, until the server cuts it off.
async fn flood(door: &Door, first: &[u8], again: impl Fn(u32) -> Vec<u8>) {
    let mut talk = Conversation::begin(door.dial().await.unwrap())
        .await
        .unwrap();
    let sent = async {
        talk.send(first).await?;
        for round in 0.. {
            talk.send(&again(round)).await?;
        }
        Ok::<(), std::io::Error>(())
    };
    let sent = tokio::time::timeout(PATIENCE * 2, sent).await;
    assert!(sent.expect("it is cut").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_cut_and_others_served() {
    let (rig, admin) = town(|options| {
        options.limits.head = std::time::Duration::from_secs(1);
    })
    .await;
    let door = admins(&rig).http2();
    let get_own = block(&request("GET", OWN, &[]));
    let streams = |round: u32| (0..100).map(move |n| (round * 100 + n) * 2 + 1);
    let resets = |round| {
        let pair = |stream| {
            let begin = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_own);
            [begin, frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
        };
        streams(round).flat_map(pair).collect()
    };
    let many = |bytes: Vec<u8>| move |_| bytes.repeat(200);
    let half = frame(HEADERS, END_STREAM, 1, &get_own);
    let more = frame(CONTINUATION, 0, 1, &block(&[("x", "y")]));
    let floods = async {
        tokio::join!(
            flood(&door, &[], resets),
            flood(&door, &[], many(frame(PING, 0, 0, &[0; 8]))),
            flood(&door, &[], many(frame(SETTINGS, 0, 0, &[]))),
            flood(&door, &half, many(more.clone())),
            flood(&door, &half, many(frame(CONTINUATION, 0, 1, &[]))),
            flood(&door, &[], many(frame(DATA, 0, 1, &[]))),
        )
    };
    let witness = Door::of(&rig, &Subject::Server("s9".to_owned()));
    let others = async {
        loop {
            assert_eq!(get(&witness, OWN, "").await.codes(), [200]);
        }
    };
    tokio::select! {
        _ = floods => {}
        () = others => {}
    }
    let long = "x".repeat(70 << 10);
    measure(&door, &block(&request("GET", OWN, &[("x", &long)]))).await;
    let many: Vec<(&str, &str)> = (0..5_000).map(|_| ("x", "y")).collect();
    measure(&door, &block(&request("GET", OWN, &many))).await;
    assert_eq!(raw(&admin, "GET", OWN, &[], "").await.0, 200);
    rig.stop().await;
}

/// A block of headers beyond measure is no request.
async fn measure(door: &Door, block: &[u8]) {
    let mut talk = Conversation::begin(door.dial().await.unwrap())
        .await
        .unwrap();
    let (first, rest) = block.split_at(16_000);
    let mut bytes = frame(HEADERS, END_STREAM, 1, first);
    let count = rest.chunks(16_000).count();
    for (n, chunk) in rest.chunks(16_000).enumerate() {
        let flags = if n + 1 == count { END_HEADERS } else { 0 };
        bytes.extend(frame(CONTINUATION, flags, 1, chunk));
    }
    _ = talk.send(&bytes).await;
    let text = String::from_utf8_lossy(&talk.until_end(1).await).into_owned();
    assert!(!text.contains("\"ConfigMap\""), "{text}");
}
