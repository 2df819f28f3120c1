//! A crowd of one user's requests: it waits in its own queue, and others do not.

use std::time::Duration;

use apiserver::fair::Shape;
use apiserver::pki::Subject;
use apiserver::rate::Rate;
use futures::future::join_all;

use crate::rig::{PATIENCE, Rig, raw};

const LIST: &str = "/apis/stoa.dev/v1/tasks";

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_user_does_not_starve_others() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::with(dir, |options| {
        options.limits.requests = Shape {
            seats: 2,
            flow_seats: 1,
            waiting: 64,
            flow_waiting: 8,
        };
        options.limits.turn = PATIENCE;
        options.limits.user_watches = 2;
    })
    .await;
    let noisy = rig.as_subject(&Subject::Admin).await;
    let quiet = rig.as_subject(&Subject::Server("s9".to_owned())).await;
    let crowd = join_all((0..100).map(|_| raw(&noisy, "GET", LIST, &[], "")));
    let calm = async {
        for _ in 0..50 {
            let (code, _) = raw(&quiet, "GET", LIST, &[], "").await;
            assert_eq!(code, 200, "somebody else is refused");
        }
    };
    let (answers, ()) = tokio::join!(crowd, calm);
    let served = answers.iter().filter(|(code, _)| *code == 200).count();
    assert!(answers.iter().all(|(code, _)| matches!(code, 200 | 429)));
    assert!(
        served >= 9,
        "what has a place in the queue is served: {served}"
    );
    for (_, refusal) in answers.iter().filter(|(code, _)| *code == 429) {
        assert_eq!(refusal["reason"], "TooManyRequests");
        assert_eq!(refusal["details"]["retryAfterSeconds"], 1);
    }
    watches(&noisy).await;
    rig.stop().await;
}

async fn watches(client: &kube::Client) {
    let watch = || async {
        let request = http::Request::get(format!("{LIST}?watch=true&timeoutSeconds=60"))
            .body(kube::client::Body::empty())
            .unwrap();
        client.send(request).await.unwrap()
    };
    let (first, second) = (watch().await, watch().await);
    assert_eq!(
        (first.status(), second.status()),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    assert_eq!(watch().await.status(), http::StatusCode::TOO_MANY_REQUESTS);
    drop(second);
    let free = async {
        while watch().await.status() != http::StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, free)
        .await
        .expect("a watch that ended makes room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_be_slowed_down() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::with(dir, |options| {
        options.limits.rate = Some(Rate {
            per_second: 1,
            burst: 3,
        });
        options.limits.turn = Duration::ZERO;
    })
    .await;
    let admin = rig.admin().await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(raw(&admin, "GET", LIST, &[], "").await.0);
    }
    assert_eq!(codes[..3], [200, 200, 200]);
    assert!(codes.contains(&429));
    rig.stop().await;
}
