//! Watches over WebSocket: one text frame an event, pings answered, an end that is said.

use apiserver::pki::Subject;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::revocations::{certificate, revoke};
use crate::rig::{PATIENCE, Rig, raw};
use crate::socket::Door;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: (&str, &str) = ("content-type", "application/json");
const HELLO: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What is answered to this request over a connection of HTTP/1.1, up to the end of its head.
async fn shake(door: &Door, path: &str, headers: &str) -> (String, TlsStream<TcpStream>) {
    let mut stream = door.dial().await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut read = Vec::new();
    let head = async {
        while !read.ends_with(b"\r\n\r\n") {
            read.push(stream.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, head).await.unwrap();
    (String::from_utf8(read).unwrap().to_lowercase(), stream)
}

struct Socket(WebSocketStream<TlsStream<TcpStream>>);

impl Socket {
    async fn open(door: &Door, path: &str) -> Self {
        let (head, stream) = shake(door, path, HELLO).await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(
            head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
            "{head}"
        );
        Self(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }

    async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.0.next());
        next.await.expect("a frame in time").map(Result::unwrap)
    }

    /// The event of the next frame.
    async fn event(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("one event"),
            other => panic!("{other:?}"),
        }
    }

    async fn closes(&mut self) {
        let last = self.next().await;
        assert!(matches!(last, Some(Message::Close(_)) | None), "{last:?}");
    }
}

async fn make(admin: &kube::Client, path: &str, object: Value) {
    let (code, answer) = raw(admin, "POST", path, &[JSON], object.to_string()).await;
    assert_eq!(code, 201, "{answer}");
}

fn named(event: &Value) -> (&str, &str) {
    (
        event["type"].as_str().unwrap(),
        event["object"]["metadata"]["name"].as_str().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_one_by_one() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let door = Door::of(&rig, &Subject::Admin);
    for name in ["a", "b"] {
        let map = json!({"metadata": {"name": name, "labels": {"t": "1"}}, "data": {"k": "ü\n"}});
        make(&admin, MAPS, map).await;
    }
    let path = format!("{MAPS}?watch=true&labelSelector=t%3D1");
    let mut socket = Socket::open(&door, &path).await;
    for name in ["a", "b"] {
        let event = socket.event().await;
        assert_eq!(named(&event), ("ADDED", name));
        assert_eq!(event["object"]["data"]["k"], "ü\n");
    }
    socket.0.send(Message::Ping("x".into())).await.unwrap();
    let pong = socket.next().await;
    assert_eq!(pong, Some(Message::Pong("x".into())));
    // Whatever else one says is ignored.
    socket.0.send(Message::text("hello")).await.unwrap();
    let path = format!("{MAPS}/a");
    assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
    assert_eq!(named(&socket.event().await), ("DELETED", "a"));
    socket.0.close(None).await.unwrap();
    socket.closes().await;

    let short = format!("{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=999999999");
    Socket::open(&door, &short).await.closes().await;
    let too_old = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=999999999"
    );
    let mut socket = Socket::open(&door, &too_old).await;
    let event = socket.event().await;
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(504))
    );
    socket.closes().await;
    // A server that stops does not wait for them.
    let mut open = Socket::open(
        &door,
        &format!("{MAPS}?watch=true&resourceVersion=999999999"),
    )
    .await;
    let stopped = tokio::spawn(rig.stop());
    open.closes().await;
    drop(open);
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_watch_gets_one() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let pair = certificate(&rig.authority(), "jane", 60, 3600);
    let jane = Door::with(&rig, Some(&pair));
    let path = format!("{MAPS}?watch=true&resourceVersion=999999999");
    let strangers = Door::with(&rig, None);
    let admins = Door::of(&rig, &Subject::Admin);
    let evil = format!("{HELLO}Origin: https://evil.example\r\n");
    let own = format!("{HELLO}Origin: https://localhost\r\nSec-WebSocket-Protocol: v1.x, v2.x\r\n");
    let half = HELLO.replace("13", "8");
    let list = MAPS.to_owned();
    for (door, path, headers, start) in [
        (&jane, &path, HELLO, "http/1.1 403 "),
        (&strangers, &path, HELLO, "http/1.1 401 "),
        (&admins, &path, &half, "http/1.1 400 "),
        (&admins, &path, &evil, "http/1.1 403 "),
        (&admins, &path, &own, "http/1.1 101 "),
        (&admins, &path, "", "http/1.1 200 "),
        (&admins, &list, HELLO, "http/1.1 200 "),
    ] {
        let (head, _) = shake(door, path, headers).await;
        assert!(head.starts_with(start), "{headers}: {head}");
        let spoken = head.contains("sec-websocket-protocol: v1.x\r\n");
        assert_eq!(spoken, headers == own, "{head}");
    }
    let binding = json!({
        "metadata": {"name": "jane"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "jane"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    make(&admin, bindings, binding).await;
    let mut socket = Socket::open(&jane, &path).await;
    revoke(&admin, "jane", json!({"user": "jane"})).await;
    let event = socket.event().await;
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(401))
    );
    socket.closes().await;
    rig.stop().await;
}
