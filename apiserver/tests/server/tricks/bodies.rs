//! Requests hidden in bodies and behind the end of a connection; and what is framed well, which is served.

use serde_json::json;

use super::smuggling::{MAPS, hides_nothing, quick, shape};
use super::{TENANT, admins, get, post, smuggled, stranger, town};
use crate::rig::raw;
use crate::socket::Door;

/// The hidden request is a body, or stands where the connection has ended.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_look_like_requests() {
    let (rig, admin) = town(quick).await;
    let hidden = smuggled();
    let length = hidden.len();
    let own = "/api/v1/namespaces/a/configmaps/own";
    let with = |method: &str, path: &str, headers: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{hidden}"
        )
    };
    let long = "Content-Length: 4000000\r\n";
    for (what, bytes) in [
        ("a body of GET", with("GET", own, "")),
        ("a body of HEAD", with("HEAD", own, "")),
        ("a body of OPTIONS", with("OPTIONS", own, "")),
        ("a body of nothing", with("GET", "/nothing", "")),
        (
            "a body of a stranger",
            with("POST", MAPS, "Authorization: Bearer x\r\n"),
        ),
        (
            "a body of no media",
            with("POST", MAPS, "Content-Type: text/html\r\n"),
        ),
        ("a body of no method", with("BREW", own, "")),
        (
            "a body of no version",
            with("GET", own, "").replacen("HTTP/1.1", "HTTP/2.0", 1),
        ),
        ("a body too long", shape(long, &hidden)),
        (
            "what follows the last request",
            format!("GET {own} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n{hidden}"),
        ),
        (
            "what follows the last request of HTTP/1.0",
            format!("GET {own} HTTP/1.0\r\nHost: x\r\n\r\n{hidden}"),
        ),
        ("what follows HTTP/0.9", format!("GET {own}\r\n{hidden}")),
        ("what follows no request", format!("\0\r\n\r\n{hidden}")),
        (
            "what follows a preface",
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"),
        ),
        (
            "what a line feed ends",
            format!("GET {own} HTTP/1.1\nHost: x\nConnection: close\n\n{hidden}"),
        ),
        (
            "a space in the target",
            format!("GET {own} x HTTP/1.1\r\nHost: x\r\n\r\n{hidden}"),
        ),
        (
            "a tab in the target",
            format!("GET\t{own}\tHTTP/1.1\r\nHost: x\r\n\r\n{hidden}"),
        ),
        (
            "a bare return",
            format!("GET {own} HTTP/1.1\rHost: x\r\r{hidden}"),
        ),
    ] {
        let codes = [200, 400, 401, 404, 405, 408, 413, 415, 505];
        hides_nothing(&rig, &admin, what, &bytes, &codes).await;
    }
    rig.stop().await;
}

/// And the same server takes two requests in a row for what they are.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_framed_well_is_served() {
    let (rig, admin) = town(|_| {}).await;
    let door = admins(&rig);
    let own = "GET /api/v1/namespaces/a/configmaps/own HTTP/1.1\r\nHost: x\r\n\r\n";
    let body = json!({"metadata": {"name": "chunked"}}).to_string();
    let (head, tail) = body.split_at(7);
    let chunks = format!(
        "7;a=b\r\n{head}\r\n{:X}\r\n{tail}\r\n0\r\nX-Trailer: y\r\n\r\n",
        tail.len()
    );
    let chunked = shape("Transfer-Encoding: chunked\r\n", &chunks);
    let in_row = [own, &chunked, "\r\n", own, &post("last")].concat();
    let answers = door.ask(in_row.as_bytes()).await;
    assert_eq!(answers.codes(), [200, 201, 200, 201], "{}", answers.text());
    for name in ["chunked", "last"] {
        let code = raw(&admin, "GET", &format!("{MAPS}/{name}"), &[], "")
            .await
            .0;
        assert_eq!(code, 200, "{name}");
    }
    expects(&door, &stranger(&rig)).await;
    rig.stop().await;
}

/// A body is asked for only of those who may send it.
async fn expects(door: &Door, stranger: &Door) {
    let waits = |name: &str| post(name).replacen("Host", "Expect: 100-continue\r\nHost", 1);
    let answers = door.ask(waits("asked").as_bytes()).await;
    assert_eq!(answers.codes(), [100, 201], "{}", answers.text());
    let answers = stranger.ask(waits("smuggled").as_bytes()).await;
    assert_eq!(answers.codes(), [401], "{}", answers.text());
    let odd = post("odd").replacen("Host", "Expect: the-unexpected\r\nHost", 1);
    let answers = door.ask(odd.as_bytes()).await;
    assert!(
        matches!(answers.codes()[..], [201 | 417]),
        "{}",
        answers.text()
    );
    let get = get(stranger, "/version", "Expect: 100-continue\r\n").await;
    assert_eq!(get.codes(), [200]);
    let tenants = post("tenants").replacen("Host", &format!("{TENANT}Host"), 1);
    assert_eq!(stranger.ask(tenants.as_bytes()).await.codes(), [201]);
}
