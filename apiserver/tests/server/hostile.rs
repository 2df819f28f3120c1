//! Strangers, forgers and a crowd that sends garbage: refused, and nobody else is harmed.

use apiserver::pki::{Authority, Subject, kubeconfig};
use kube::config::Kubeconfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::rig::{PATIENCE, Rig, now_s, raw};
use crate::socket::Door;

const YEAR_S: u64 = 366 * 24 * 60 * 60;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_forgers() {
    let rig = Rig::start().await;
    let ours = rig.authority();
    let other = Authority::create(now_s()).unwrap();
    let forged = other.issue(&Subject::Admin, &[], now_s()).unwrap();
    let expired = ours
        .issue(&Subject::Admin, &[], now_s() - 2 * YEAR_S)
        .unwrap();
    let premature = ours.issue(&Subject::Admin, &[], now_s() + YEAR_S).unwrap();
    let good = ours.issue(&Subject::Admin, &[], now_s()).unwrap();
    let token = |role| format!("Authorization: Bearer {role}\r\n");
    let get = |path: &str, header: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n")
    };
    const LIST: &str = "/apis/stoa.dev/v1/tasks";
    for (pair, request, code) in [
        (None, get("/version", ""), Some(200)),
        (None, get("/readyz", ""), Some(200)),
        (None, get(LIST, ""), Some(401)),
        (None, get("/apis", ""), Some(401)),
        (None, get("/nothing", ""), Some(401)),
        (
            None,
            get(
                LIST,
                "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n",
            ),
            Some(401),
        ),
        (None, get(LIST, &token("x.y.z")), Some(401)),
        (
            None,
            get(LIST, &token(&rig.handle.agent_token())),
            Some(403),
        ),
        (
            None,
            get(LIST, &token(&rig.handle.server_token())),
            Some(403),
        ),
        (Some(&good), get(LIST, ""), Some(200)),
        (
            Some(&good),
            get(LIST, "Impersonate-User: nobody\r\n"),
            Some(403),
        ),
        (
            Some(&good),
            get(&format!("{LIST}?resourceVersion=99999999"), ""),
            Some(504),
        ),
        (Some(&good), get(LIST, &token("x.y.z")), Some(401)),
        (Some(&forged), get(LIST, ""), None),
        (Some(&expired), get(LIST, ""), None),
        (Some(&premature), get(LIST, ""), None),
    ] {
        let answers = Door::with(&rig, pair).ask(request.as_bytes()).await;
        assert_eq!(answers.codes().first().copied(), code, "{request}");
    }
    let text = kubeconfig(&other, &good, &rig.handle.url());
    let client = rig.client(Kubeconfig::from_yaml(&text).unwrap()).await;
    let refused = client.apiserver_version().await;
    assert!(
        refused.is_err(),
        "a client that expects another authority must not talk to us"
    );
    rig.stop().await;
}

/// A small generator: the same garbage every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.roll(256) as u8).collect()
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len() as u64) as usize]
    }

    fn path(&mut self) -> String {
        const WORDS: &[&str] = &[
            "apis",
            "api",
            "stoa.dev",
            "v1",
            "namespaces",
            "default",
            "tasks",
            "watch",
            "status",
            "%2e%2e",
            "..",
            "%ff",
            "",
            "openapi",
            "v3",
            "members",
            "transactions",
            "join",
            "log",
            "x",
            "%00",
            "é",
            "agents",
            "customresourcedefinitions",
            "apiextensions.k8s.io",
            "offers",
            "accept",
        ];
        const QUERIES: &[&str] = &[
            "",
            "?",
            "?&",
            "?limit=-1",
            "?limit=99999999999999999999",
            "?continue=zzzz",
            "?watch=maybe",
            "?labelSelector=((",
            "?fieldSelector=%zz",
            "?resourceVersion=-5",
            "?dryRun=x",
            "?pretty=1",
            "?timeoutSeconds=1&watch=1&resourceVersion=1",
        ];
        let words: Vec<_> = (0..self.roll(9)).map(|_| self.pick(WORDS)).collect();
        format!("/{}{}", words.join("/"), self.pick(QUERIES))
    }

    fn body(&mut self) -> Vec<u8> {
        let length = self.roll(200);
        match self.roll(6) {
            0 => Vec::new(),
            1 => self.bytes(length),
            2 => b"[".repeat(10_000),
            3 => b"{\"a\":".repeat(5_000),
            4 => br#"{"apiVersion":"stoa.dev/v1","kind":"Task","metadata":{"name":"x"},"spec":{"resources":{"cpus":"1e999999999"}}}"#.to_vec(),
            _ => b"a: &a [*a, *a]\n".to_vec(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_garbage_requests() {
    let rig = Rig::start().await;
    let client = rig.admin().await;
    let mut dice = Dice(42);
    let before = raw(&client, "GET", "/apis/stoa.dev/v1/tasks", &[], "")
        .await
        .1;
    for _ in 0..9_600 {
        let method = dice.pick(&[
            "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW",
        ]);
        let media = dice.pick(&[
            "application/json",
            "application/yaml",
            "application/merge-patch+json",
            "application/json-patch+json",
            "application/apply-patch+yaml",
            "application/vnd.kubernetes.protobuf",
            "text/html",
            ";;;",
        ]);
        let path = dice.path();
        let Ok(request) = http::Request::builder()
            .method(method)
            .uri(&path)
            .header("content-type", media)
            .header(
                "accept",
                dice.pick(&[
                    "*/*",
                    "application/json",
                    "application/yaml",
                    "a/b;q=x",
                    ",,,",
                ]),
            )
            .body(kube::client::Body::from(dice.body()))
        else {
            continue;
        };
        // The answer's head is all that is read: a watch may well go on.
        let answer = tokio::time::timeout(PATIENCE, client.send(request))
            .await
            .expect("an answer in time");
        if let Ok(response) = answer {
            assert_ne!(response.status(), 500, "{method} {path} {media}");
        }
    }
    raw_sockets(&rig, &mut dice).await;
    let (code, after) = raw(&client, "GET", "/apis/stoa.dev/v1/tasks", &[], "").await;
    assert_eq!(code, 200);
    assert_eq!(after["items"], before["items"], "garbage changed something");
    assert_eq!(raw(&client, "GET", "/readyz", &[], "").await.0, 200);
    rig.stop().await;
}

/// Bytes that are no TLS, TLS that carries no HTTP, and connections that say nothing.
async fn raw_sockets(rig: &Rig, dice: &mut Dice) {
    let pair = rig
        .authority()
        .issue(&Subject::Admin, &[], now_s())
        .unwrap();
    let door = Door::with(rig, Some(&pair));
    let mut silent = Vec::new();
    for n in 0..400 {
        let length = dice.roll(2_000);
        let bytes = dice.bytes(length);
        if n % 2 == 0 {
            let mut tcp = TcpStream::connect(rig.handle.address()).await.unwrap();
            // The server may close while we still write.
            let _refused = tcp.write_all(&bytes).await;
            silent.push(tcp);
        } else if let Ok(mut tls) = door.dial().await {
            let _refused = tls.write_all(&bytes).await;
        }
    }
    assert_eq!(silent.len(), 200);
}
