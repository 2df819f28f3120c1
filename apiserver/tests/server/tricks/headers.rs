//! Headers that claim to know who asks, and headers without measure.

use apiserver::pki::Subject;

use super::{PROXY, TENANT, admins, get, stranger, town, unharmed};
use crate::rig::raw;
use crate::socket::{Answers, Door};

const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// The code, and who the server thinks is asking.
async fn whoami(door: &Door, headers: &str) -> (u16, String) {
    let request = format!(
        "POST {WHOAMI} HTTP/1.1\r\nHost: x\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    let answers = door.ask(request.as_bytes()).await;
    let text = answers.text();
    let after = text.split_once("\"username\":\"");
    let name = after.and_then(|(_, rest)| rest.split('"').next());
    (answers.codes()[0], name.unwrap_or_default().to_owned())
}

const AS_TENANT: &str = "Impersonate-User: tenant\r\n";
const AS_ADMIN: &str = "Impersonate-User: admin\r\n";
const UNKNOWN: &str = "Authorization: Bearer no-token\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_said_once() {
    let (rig, _admin) = town(|_| {}).await;
    let nobody = stranger(&rig);
    for (headers, code, name) in [
        (&[TENANT][..], 201, "tenant"),
        (&[TENANT, UNKNOWN], 401, ""),
        (&[UNKNOWN, TENANT], 401, ""),
        (&[TENANT, TENANT], 401, ""),
        (&["Authorization : Bearer tenant-token\r\n"], 400, ""),
        (&["Proxy-Authorization: Bearer tenant-token\r\n"], 401, ""),
        (&["Cookie: token=tenant-token\r\n"], 401, ""),
    ] {
        let found = whoami(&nobody, &headers.concat()).await;
        assert_eq!(found, (code, name.to_owned()), "{headers:?}");
    }
    // A token outranks the certificate, and a bad one does not fall back to it.
    let admin = admins(&rig);
    for (headers, code, name) in [
        (&[][..], 201, "admin"),
        (&[TENANT], 201, "tenant"),
        (&[TENANT, PROXY], 401, ""),
        (&[UNKNOWN], 401, ""),
        (&["Authorization:\r\n"], 401, ""),
        (&["Authorization: Basic YWRtaW46\r\n"], 401, ""),
    ] {
        let found = whoami(&admin, &headers.concat()).await;
        assert_eq!(found, (code, name.to_owned()), "{headers:?}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acts_as_another_needs_the_right_to_all_of_him() {
    let (rig, _admin) = town(|_| {}).await;
    let nobody = stranger(&rig);
    assert_eq!(whoami(&admins(&rig), AS_TENANT).await.1, "tenant");
    let group = "Impersonate-Group: system:masters\r\n";
    for (headers, code, name) in [
        (&[PROXY, AS_TENANT][..], 201, "tenant"),
        (&[PROXY, AS_ADMIN], 403, ""),
        (&[PROXY, AS_TENANT, AS_ADMIN], 403, ""),
        (&[PROXY, AS_ADMIN, AS_TENANT], 403, ""),
        (&[PROXY, AS_TENANT, group], 403, ""),
        (&[PROXY, AS_TENANT, "Impersonate-Uid: 0\r\n"], 403, ""),
        (&[PROXY, AS_TENANT, "Impersonate-Roles: x\r\n"], 403, ""),
        (&[TENANT, AS_ADMIN], 403, ""),
        (&[TENANT, "IMPERSONATE-USER: admin\r\n"], 403, ""),
        (&[TENANT, "Impersonate_User: admin\r\n"], 201, "tenant"),
        (&[TENANT, "X-Impersonate-User: admin\r\n"], 201, "tenant"),
        (&[AS_ADMIN], 401, ""),
    ] {
        let found = whoami(&nobody, &headers.concat()).await;
        assert_eq!(found, (code, name.to_owned()), "{headers:?}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proxies_claim_is_not_heard() {
    let (rig, _admin) = town(|_| {}).await;
    let nobody = stranger(&rig);
    for claim in [
        "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n",
        "X_Remote_User: admin\r\n",
        "X-Forwarded-User: admin\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n",
        "X-Forwarded-Client-Cert: Subject=\"CN=admin,O=system:masters\"\r\n",
        "X-SSL-Client-S-DN: CN=admin,O=system:masters\r\nX-Client-Verify: SUCCESS\r\n",
        "Forwarded: for=127.0.0.1;by=admin\r\nX-Real-IP: 127.0.0.1\r\nVia: 1.1 admin\r\n",
        "X-Original-URL: /version\r\nX-Rewrite-URL: /version\r\n",
        "Connection: Authorization\r\n",
    ] {
        let found = whoami(&nobody, &format!("{TENANT}{claim}")).await;
        assert_eq!(found, (201, "tenant".to_owned()), "{claim}");
        assert_eq!(whoami(&nobody, claim).await.0, 401, "{claim}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_change_the_request_elsewhere_change_nothing_here() {
    let (rig, admin) = town(|_| {}).await;
    let door = stranger(&rig);
    let own = "/api/v1/namespaces/a/configmaps/own";
    for header in [
        "X-HTTP-Method-Override: DELETE\r\n",
        "X-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n",
        "X-Original-URL: /api/v1/namespaces/b/secrets\r\n",
        "X-Rewrite-URL: /api/v1/namespaces/b/secrets\r\n",
        "X-Forwarded-Host: b\r\nX-Forwarded-Prefix: /api/v1/namespaces/b\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ] {
        let answers = get(&door, own, &format!("{TENANT}{header}")).await;
        assert_eq!(answers.codes(), [200], "{header}");
        assert!(answers.text().contains("\"name\":\"own\""), "{header}");
    }
    assert_eq!(raw(&admin, "GET", own, &[], "").await.0, 200);
    for (hosts, code) in [
        ("Host: x\r\n", 200),
        ("Host: b.example:1\r\n", 200),
        ("Host:\r\n", 200),
        ("", 400),
        ("Host: x\r\nHost: x\r\n", 400),
        ("Host: x\r\nHost: y\r\n", 400),
    ] {
        let request = format!("GET {own} HTTP/1.1\r\n{hosts}{TENANT}Connection: close\r\n\r\n");
        assert_eq!(
            door.ask(request.as_bytes()).await.codes(),
            [code],
            "{hosts}"
        );
    }
    rig.stop().await;
}

/// Refused, or the connection was closed before the refusal could be read.
fn refused(answers: &Answers) -> bool {
    let codes = answers.codes();
    codes.iter().all(|code| matches!(code, 400 | 414 | 431)) && codes.len() < 2
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_a_measure() {
    let (rig, admin) = town(|_| {}).await;
    let (door, witness) = (stranger(&rig), Door::of(&rig, &Subject::Admin));
    // What is read at once may go beyond the limit, but not so far.
    let long = "x".repeat(256 << 10);
    let many: String = (0..5_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let huge = "x".repeat(8 << 20);
    for (what, target, headers) in [
        ("a long value", "/version", format!("X: {long}\r\n")),
        ("a long name", "/version", format!("{long}: x\r\n")),
        ("many headers", "/version", many),
        (
            "a long token",
            "/version",
            format!("Authorization: Bearer {long}\r\n"),
        ),
        ("a long path", &*format!("/version/{long}"), String::new()),
        ("a long query", &*format!("/version?{long}"), String::new()),
        ("eight megabytes", "/version", format!("X: {huge}\r\n")),
    ] {
        let answers = get(&door, target, &headers).await;
        assert!(refused(&answers), "{what}: {}", answers.text());
        assert_eq!(
            get(&witness, "/apis", "").await.codes(),
            [200],
            "after {what}"
        );
    }
    let method = format!("{long} / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(refused(&door.ask(method.as_bytes()).await));
    unharmed(&admin, "long heads").await;
    rig.stop().await;
}
