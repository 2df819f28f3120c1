//! Connections that have not said whose they are: a few from each address, and no more.

use apiserver::pki::Subject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{PATIENCE, Rig, now_s};
use crate::socket::Door;

const MOST: usize = 3;

const ASK: &str = "GET /readyz HTTP/1.1\r\nHost: x\r\n";

/// True if somebody answers over a new connection with these headers, which is kept.
async fn is_served(door: &Door, headers: &str) -> Option<impl Sized + use<>> {
    let mut stream = door.dial().await.ok()?;
    let request = format!("{ASK}{headers}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let mut read = [0; 12];
    stream.read_exact(&mut read).await.ok()?;
    assert_eq!(&read, b"HTTP/1.1 200");
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_one_address_are_few() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.csv");
    std::fs::write(&file, "l0w,bob,8\n").unwrap();
    let rig = Rig::with(dir, |options| {
        options.token_auth_file = Some(file);
        options.limits.strangers = MOST;
    })
    .await;
    let strangers = Door::with(&rig, None);
    let admin = rig.authority().issue(&Subject::Admin, &[], now_s());
    let admins = Door::with(&rig, Some(&admin.unwrap()));
    let token = "Authorization: Bearer l0w\r\n";
    let mut known = Vec::new();
    for _ in 0..MOST * 3 {
        known.push(
            is_served(&admins, "")
                .await
                .expect("a certificate says who"),
        );
        known.push(is_served(&strangers, token).await.expect("a token, too"));
    }
    let mut open = Vec::new();
    for _ in 0..MOST {
        open.push(is_served(&strangers, "").await.expect("some strangers"));
    }
    assert!(is_served(&strangers, "").await.is_none(), "too many");
    assert!(
        strangers.knock().await.is_ok(),
        "closed at once, not refused"
    );
    drop(open);
    let again = async { while is_served(&strangers, "").await.is_none() {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    drop(known);
    rig.stop().await;
}
