//! Ten thousand requests of garbage in a row, on the wire and inside TLS; then the server is well.

use std::time::Duration;

use e2e::{Cluster, Outcome, connect};
use futures::{StreamExt, stream};
use kube::Client;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Garbage requests over a good connection.
const INSIDE: u64 = 8_000;

/// Connections that never speak TLS.
const OUTSIDE: u64 = 2_000;

/// Senders at once.
const SENDERS: usize = 32;

const METHODS: [&str; 7] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "NONSENSE",
];

const PIECES: [&str; 16] = [
    "apis",
    "api",
    "v1",
    "stoa.dev",
    "tasks",
    "namespaces",
    "default",
    "%00",
    "..",
    "offers",
    "accept",
    "transactions",
    "watch",
    "status",
    "%F0%9F%92%A9",
    "members",
];

const MEDIA: [&str; 6] = [
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/vnd.kubernetes.protobuf",
    "nonsense",
];

/// Sends it all. No answer may be a server error, and none may be a success that writes.
pub(super) async fn survived(cluster: &Cluster) -> Outcome<()> {
    let client = cluster.client("s1").await?;
    let answers: Vec<_> = stream::iter(0..INSIDE)
        .map(|seed| inside(&client, seed))
        .buffer_unordered(SENDERS)
        .collect()
        .await;
    let wrong: Vec<_> = answers.into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} wrong answers, among them: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );

    let address = cluster.api_address("s1");
    stream::iter(0..OUTSIDE)
        .for_each_concurrent(SENDERS, |seed| outside(&address, seed))
        .await;
    connect::get_text(&client, "/readyz").await.map(drop)
}

/// One request of garbage; what is wrong with the answer, if anything.
async fn inside(client: &Client, seed: u64) -> Option<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let method = METHODS[random.random_range(0..METHODS.len())];
    let pieces =
        (0..random.random_range(0..7)).map(|_| PIECES[random.random_range(0..PIECES.len())]);
    let mut path = format!("/garbage-or-not/{}", pieces.collect::<Vec<_>>().join("/"));
    // Deletes stay out of places that exist; everything else may hit anything.
    if method != "DELETE" {
        path = path.replacen("/garbage-or-not", "", 1);
    }
    path.push_str(&query(&mut random));
    let mut body = vec![0; random.random_range(0..200)];
    random.fill_bytes(&mut body);
    let media = MEDIA[random.random_range(0..MEDIA.len())];
    // A watch has no end by itself: its head is what counts here.
    let sent = connect::write(client, method, &path, media, body);
    match tokio::time::timeout(Duration::from_secs(30), sent).await {
        Ok(Ok(answer)) if answer.status.is_server_error() => Some(format!(
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        )),
        Ok(Ok(answer)) if answer.status.is_success() && !["GET", "OPTIONS"].contains(&method) => {
            Some(format!(
                "{method} {path}: {} {}",
                answer.status,
                answer.text()
            ))
        }
        Ok(Ok(_)) => None,
        Ok(Err(fault)) => Some(format!("{method} {path}: {fault}")),
        Err(_) => Some(format!("{method} {path}: no answer")),
    }
}

fn query(random: &mut StdRng) -> String {
    let queries = [
        "",
        "?",
        "?&&&",
        "?limit=-5",
        "?fieldSelector=%%%",
        "?labelSelector=!!!",
        "?resourceVersion=-1",
        "?watch=true&timeoutSeconds=1",
        "?continue=AAAA",
        "?dryRun=perhaps",
        "?fieldValidation=no",
    ];
    queries[random.random_range(0..queries.len())].to_owned()
}

/// One connection that sends random bytes, or half a greeting, and may hang up at once.
async fn outside(address: &str, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut bytes = vec![0; random.random_range(0..2_000)];
    random.fill_bytes(&mut bytes);
    if seed.is_multiple_of(3) {
        bytes.splice(0..0, [0x16, 0x03, 0x01]);
    }
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return;
    };
    // A server that hangs up early is within its rights.
    if stream.write_all(&bytes).await.is_ok() && seed.is_multiple_of(2) {
        let mut answer = [0; 64];
        let read = stream.read(&mut answer);
        drop(tokio::time::timeout(Duration::from_millis(200), read).await);
    }
}
