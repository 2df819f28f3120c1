//! Requests whose end two readers would see in different places: whatever lies behind the end that one
//! of them sees is never taken for a request by the other.

use super::{admins, smuggled, town, unharmed};
use crate::rig::Rig;

pub(super) const MAPS: &str = "/api/v1/namespaces/a/configmaps";

/// A POST with these headers of framing, and this behind its head.
pub(super) fn shape(headers: &str, body: &str) -> String {
    format!(
        "POST {MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

/// The hidden request is neither executed nor answered.
pub(super) async fn hides_nothing(
    rig: &Rig,
    admin: &kube::Client,
    what: &str,
    bytes: &str,
    codes: &[u16],
) {
    let answers = admins(rig).ask(bytes.as_bytes()).await;
    let found = answers.codes();
    assert!(found.len() <= 1, "{what}: {}", answers.text());
    let expected = found.first().is_none_or(|code| codes.contains(code));
    assert!(expected, "{what}: {}", answers.text());
    unharmed(admin, what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_contradict_each_other() {
    let (rig, admin) = town(quick).await;
    let hidden = smuggled();
    let length = hidden.len();
    for lengths in [
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0, {length}\r\n"),
        format!("Content-Length: {length}, {length}\r\n"),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: +0\r\n".to_owned(),
        "Content-Length: 0x0\r\n".to_owned(),
        "Content-Length: 0_0\r\n".to_owned(),
        "Content-Length: 0 0\r\n".to_owned(),
        "Content-Length: 0;a\r\n".to_owned(),
        "Content-Length: \r\n".to_owned(),
        "Content-Length: x\r\n".to_owned(),
        "Content-Length: 1e1\r\n".to_owned(),
        "Content-Length: 18446744073709551616\r\n".to_owned(),
        "Content-Length: 18446744073709551615\r\n".to_owned(),
        "Content-Length : 0\r\n".to_owned(),
        "Content-Length\t: 0\r\n".to_owned(),
        "Content-Length\0: 0\r\n".to_owned(),
        "Content-Length: 0\0\r\n".to_owned(),
        "Content-Length:\r\n 0\r\n".to_owned(),
        format!("Content-Length: 0\r\n Content-Length: {length}\r\n"),
        format!("Content-Length: 0\rContent-Length: {length}\r\n"),
        "Content-Length: 0\r\nX\r\n".to_owned(),
        "Content-Length: 0\r\n: x\r\n".to_owned(),
    ] {
        let bytes = shape(&lengths, &hidden);
        hides_nothing(&rig, &admin, &lengths, &bytes, &[400, 413, 431]).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codings_that_are_not_the_one_we_know() {
    let (rig, admin) = town(quick).await;
    let hidden = smuggled();
    let ended = format!("0\r\n\r\n{hidden}");
    for headers in [
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: chunked;q=0\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding\u{b}: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\0Transfer-Encoding: chunked\r\n",
    ] {
        for body in [&hidden, &ended] {
            hides_nothing(&rig, &admin, headers, &shape(headers, body), &[400]).await;
        }
    }
    let old = shape("Transfer-Encoding: chunked\r\n", &ended).replace("HTTP/1.1", "HTTP/1.0");
    hides_nothing(&rig, &admin, "HTTP/1.0", &old, &[400]).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codings_and_lengths_together() {
    let (rig, admin) = town(quick).await;
    let ended = format!("0\r\n\r\n{}", smuggled());
    let whole = format!("Content-Length: {}\r\n", ended.len());
    let (short, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let close = "Connection: close\r\n";
    for headers in [
        &[&whole, chunked][..],
        &[short, chunked],
        &[chunked, short],
        &[chunked, &whole],
        &[chunked, "Content-Length: x\r\n"],
        // What these hide is a body.
        &["Transfer-Encoding: identity\r\n", chunked, close],
        &["Transfer_Encoding: chunked\r\n", &whole, close],
        &["Connection: Content-Length, close\r\n", &whole],
    ] {
        let headers = headers.concat();
        hides_nothing(&rig, &admin, &headers, &shape(&headers, &ended), &[400]).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_are_none() {
    let (rig, admin) = town(quick).await;
    let hidden = smuggled();
    for chunks in [
        "-1\r\n",
        "+0\r\n\r\n",
        "0x0\r\n\r\n",
        "0 0\r\n\r\n",
        " 0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "\n",
        "x\r\n",
        "fffffffffffffffff\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{} 0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "2\r{}\r\n0\r\n\r\n",
        "2;a\n{}\r\n0\r\n\r\n",
        "2;a=\"\r\n{}\r\n0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0;\0\r\n\r\n",
    ] {
        let headers = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
        let bytes = shape(headers, &format!("{chunks}{hidden}"));
        hides_nothing(&rig, &admin, chunks, &bytes, &[400, 413, 422]).await;
    }
    let extension = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let endless = shape(
        "Transfer-Encoding: chunked\r\nConnection: close\r\n",
        &extension,
    );
    hides_nothing(&rig, &admin, "a long extension", &endless, &[400]).await;
    let trailers: String = (0..50_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let chunks = format!("2\r\n{{}}\r\n0\r\n{trailers}\r\n");
    let endless = shape(
        "Transfer-Encoding: chunked\r\nConnection: close\r\n",
        &chunks,
    );
    hides_nothing(&rig, &admin, "many trailers", &endless, &[400, 422]).await;
    rig.stop().await;
}

/// Whoever promises more than he sends is waited for, but not long.
pub(super) fn quick(options: &mut apiserver::Options) {
    options.limits.head = std::time::Duration::from_millis(500);
    options.limits.body = std::time::Duration::from_millis(500);
}
