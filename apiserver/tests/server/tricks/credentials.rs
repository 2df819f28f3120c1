//! Tokens where they do not belong, and tokens written oddly. What is forged, expired or revoked is in
//! `tokens.rs`, certificates are in `hostile.rs`.

use super::{get, stranger, town};

const OWN: &str = "/api/v1/namespaces/a/configmaps/own";

#[tokio::test(flavor = "multi_thread")]
async fn odd_bearers() {
    let (rig, _admin) = town(|_| {}).await;
    let door = stranger(&rig);
    let long = "x".repeat(48 << 10);
    for (value, code) in [
        ("Bearer tenant-token", 200),
        ("bearer tenant-token", 200),
        ("BEARER   tenant-token  ", 200),
        ("Bearer\ttenant-token", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer \t ", 401),
        ("tenant-token", 401),
        ("Bearertenant-token", 401),
        ("Token tenant-token", 401),
        ("Basic dGVuYW50OnRlbmFudC10b2tlbg==", 401),
        ("Bearer tenant-token tenant-token", 401),
        ("Bearer tenant-token, Bearer proxy-token", 401),
        ("Bearer tenant-token,proxy-token", 401),
        ("Bearer \"tenant-token\"", 401),
        ("Bearer tenant-toke", 401),
        ("Bearer tenant-token2", 401),
        ("Bearer TENANT-TOKEN", 401),
        ("Bearer tenant%2dtoken", 401),
        ("Bearer tenant", 401),
        ("Bearer 1", 401),
        ("Bearer \u{e9}", 401),
        ("Bearer ..", 401),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", 401),
        (&*format!("Bearer {long}"), 401),
        (&*format!("Bearer tenant-token{}", ".".repeat(9_000)), 401),
    ] {
        let answers = get(&door, OWN, &format!("Authorization: {value}\r\n")).await;
        assert_eq!(answers.codes(), [code], "{value}");
    }
    for query in [
        "access_token=tenant-token",
        "token=tenant-token",
        "bearer=tenant-token",
        "Authorization=Bearer%20tenant-token",
        "Impersonate-User=tenant",
    ] {
        let answers = get(&door, &format!("{OWN}?{query}"), "").await;
        assert_eq!(answers.codes(), [401], "{query}");
    }
    let protocol = "base64url.bearer.authorization.k8s.io.dGVuYW50LXRva2Vu";
    let socket = format!("Upgrade: websocket\r\nSec-WebSocket-Protocol: {protocol}\r\n");
    assert_eq!(get(&door, OWN, &socket).await.codes(), [401]);
    rig.stop().await;
}
