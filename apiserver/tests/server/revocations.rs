//! Revocations: what is revoked is refused on every replica, on connections that are open and on new
//! ones, and nobody else is.

use apiserver::pki::{Authority, Pair, Subject, certified};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::rig::{PATIENCE, Rig, now_s, raw};
use crate::socket::Door;

pub(crate) const PATH: &str = "/apis/stoa.dev/v1/revocations";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A client certificate for a user, made `ago_s` seconds ago, for this long.
pub(crate) fn certificate(authority: &Authority, user: &str, ago_s: u64, lasts_s: u64) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    let made_s = now_s() - ago_s;
    let certificate = authority.sign_client(&request, lasts_s, made_s, made_s ^ ago_s << 40 | 1);
    Pair {
        certificate: certificate.unwrap(),
        key: key.serialize_pem(),
    }
}

fn serial(pair: &Pair) -> String {
    certified(&pair.chain().unwrap()[0]).unwrap().serial
}

pub(crate) async fn revoke(admin: &kube::Client, name: &str, spec: Value) {
    let body = json!({"metadata": {"name": name}, "spec": spec});
    let (code, answer) = raw(admin, "POST", PATH, &[JSON], body.to_string()).await;
    assert_eq!(code, 201, "{answer}");
}

/// One connection of HTTP/1.1 that is kept.
struct Kept(TlsStream<TcpStream>);

impl Kept {
    async fn dial(rig: &Rig, pair: &Pair) -> Self {
        Self(Door::with(rig, Some(pair)).dial().await.unwrap())
    }

    /// The code of an answer; its body is read, too.
    async fn ask(&mut self, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
        let mut read = Vec::new();
        let head = loop {
            read.push(self.0.read_u8().await.unwrap());
            if read.ends_with(b"\r\n\r\n") {
                break String::from_utf8(read).unwrap().to_lowercase();
            }
        };
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        head[9..12].parse().unwrap()
    }

    async fn until(&mut self, path: &str, code: u16) {
        let turned = async { while self.ask(path).await != code {} };
        tokio::time::timeout(PATIENCE, turned).await.expect(path);
    }
}

/// Waits until this is what one is told.
async fn until(client: &kube::Client, headers: &[(&str, &str)], path: &str, code: u16) {
    let turned = async { while raw(client, "GET", path, headers, "").await.0 != code {} };
    tokio::time::timeout(PATIENCE, turned).await.expect(path);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_refused_on_every_replica_and_connection() {
    let first = Rig::start().await;
    let second = first.joined_by("s2").await;
    let third = first.joined_by("s3").await;
    let replicas = [&first, &second, &third];
    let lost = first.authority().issue(&Subject::Admin, &[], now_s() - 9);
    let lost = lost.unwrap();
    let list = "/api/v1/namespaces/default/configmaps?limit=1";
    let mut open = Vec::new();
    for rig in replicas {
        let mut kept = Kept::dial(rig, &lost).await;
        assert_eq!(kept.ask(list).await, 200);
        open.push(kept);
    }
    let admin = first.admin().await;
    let spec = json!({"serial": serial(&lost).to_uppercase(), "reason": "a laptop was lost"});
    revoke(&admin, "laptop", spec).await;
    assert_eq!(open[0].ask(list).await, 401, "at once where it was written");
    for (rig, kept) in replicas.into_iter().zip(&mut open) {
        kept.until(list, 401).await;
        assert_eq!(Kept::dial(rig, &lost).await.ask(list).await, 401);
        assert_eq!(Kept::dial(rig, &lost).await.ask("/readyz").await, 401);
        let own = rig.admin().await;
        assert_eq!(raw(&own, "GET", list, &[], "").await.0, 200, "others");
    }
    let (code, _) = raw(&admin, "DELETE", &format!("{PATH}/laptop"), &[], "").await;
    assert_eq!(code, 200);
    for kept in &mut open {
        kept.until(list, 200).await;
    }
    drop(open);
    third.stop().await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_loses_what_he_was_given_until_then() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let authority = rig.authority();
    let whoami = "/api/v1/namespaces/kube-system/secrets";
    let old = rig
        .with_pair(&certificate(&authority, "jane", 600, 3600))
        .await;
    let new = rig
        .with_pair(&certificate(&authority, "jane", 60, 3600))
        .await;
    let joe = rig
        .with_pair(&certificate(&authority, "joe", 600, 3600))
        .await;
    for client in [&old, &new, &joe] {
        assert_eq!(raw(client, "GET", whoami, &[], "").await.0, 403);
    }
    let before = jiff_text(now_s() - 300);
    revoke(&admin, "j", json!({"user": "jane", "issuedBefore": before})).await;
    assert_eq!(raw(&old, "GET", whoami, &[], "").await.0, 401);
    assert_eq!(raw(&new, "GET", whoami, &[], "").await.0, 403);
    revoke(&admin, "k", json!({"user": "jane"})).await;
    assert_eq!(raw(&new, "GET", whoami, &[], "").await.0, 401);
    assert_eq!(raw(&joe, "GET", whoami, &[], "").await.0, 403);

    let agent = rig.as_subject(&Subject::Agent("a1".into())).await;
    let own = "/apis/stoa.dev/v1/agents/a1";
    assert_eq!(raw(&agent, "GET", own, &[], "").await.0, 404);
    revoke(&admin, "a1", json!({"user": "stoa:agent:a1"})).await;
    assert_eq!(raw(&agent, "GET", own, &[], "").await.0, 401);
    rig.stop().await;
}

fn jiff_text(second: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(second).unwrap());
    time.unwrap().to_string()
}

/// What a bearer is told who asks for what only administrators see.
async fn bearer(rig: &Rig, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let path = "/api/v1/namespaces/kube-system/secrets";
    let stranger = rig.stranger().await;
    raw(&stranger, "GET", path, &[("authorization", &bearer)], "")
        .await
        .0
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_one_by_one_and_all_of_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.csv");
    std::fs::write(&file, "l0w,bob,8\n").unwrap();
    let rig = Rig::with(dir, |options| options.token_auth_file = Some(file)).await;
    let admin = rig.admin().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let robot = json!({"metadata": {"name": "robot"}}).to_string();
    assert_eq!(raw(&admin, "POST", accounts, &[JSON], robot).await.0, 201);
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let path = format!("{accounts}/robot/token");
        let (_, answer) = raw(&admin, "POST", &path, &[JSON], "{}").await;
        tokens.push(answer["status"]["token"].as_str().unwrap().to_owned());
    }
    for token in &tokens {
        assert_eq!(bearer(&rig, token).await, 403);
    }
    revoke(&admin, "one", json!({"token": jti(&tokens[0])})).await;
    assert_eq!(bearer(&rig, &tokens[0]).await, 401);
    assert_eq!(bearer(&rig, &tokens[1]).await, 403);
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = json!({"spec": {"token": tokens[0]}}).to_string();
    let (_, answer) = raw(&admin, "POST", path, &[JSON], review).await;
    assert_eq!(answer["status"]["authenticated"], Value::Null, "{answer}");
    let user = "system:serviceaccount:default:robot";
    revoke(&admin, "all", json!({"user": user})).await;
    assert_eq!(bearer(&rig, &tokens[1]).await, 401);

    assert_eq!(bearer(&rig, "l0w").await, 403);
    revoke(&admin, "bob", json!({"user": "bob"})).await;
    assert_eq!(bearer(&rig, "l0w").await, 401, "it does not say since when");

    join_tokens(&rig, &admin).await;
    rig.stop().await;
}

fn jti(token: &str) -> String {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
    let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

async fn join_tokens(rig: &Rig, admin: &kube::Client) {
    use manifests::token::{JoinRole, JoinToken};
    let stranger = rig.stranger().await;
    let join = async |token: &str| {
        let csr = Authority::throwaway_request().unwrap();
        let body = json!({"role": "agent", "name": "a9", "csr": csr}).to_string();
        let bearer = format!("Bearer {token}");
        let headers = [JSON, ("authorization", bearer.as_str())];
        let path = "/apis/stoa.dev/v1/join";
        raw(&stranger, "POST", path, &headers, body).await.0
    };
    let (one, other) = (rig.handle.agent_token(), rig.handle.agent_token());
    let nonce = JoinToken::parse(&one).unwrap().nonce;
    assert_eq!(join(&one).await, 200);
    revoke(admin, "join-one", json!({"token": nonce})).await;
    assert_eq!(join(&one).await, 401);
    // What is not signed can be rewritten, and helps nobody.
    let rewritten = format!("{}{}", &one[..one.len() - 64], "0".repeat(64));
    assert_eq!(join(&rewritten).await, 401);
    assert_eq!(join(&other).await, 200);
    revoke(admin, "joiners", json!({"user": "stoa:joiner:agent"})).await;
    assert_eq!(join(&other).await, 401);
    let now_s = now_s();
    let later = rig
        .authority()
        .mint(JoinRole::Agent, (now_s + 60, now_s + 600), 1);
    assert_eq!(join(&later).await, 200, "made later");
    assert_ne!(bearer(rig, &rig.handle.server_token()).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_checked_and_never_changes() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    for spec in [
        json!({}),
        json!({"serial": "xyz"}),
        json!({"serial": "1", "user": "u"}),
        json!({"token": ""}),
        json!({"user": "u", "issuedBefore": "soon"}),
        json!({"serial": "1", "issuedBefore": "2026-01-01T00:00:00Z"}),
    ] {
        let body = json!({"metadata": {"name": "x"}, "spec": spec});
        let (code, answer) = raw(&admin, "POST", PATH, &[JSON], body.to_string()).await;
        assert_eq!(code, 422, "{spec}: {answer}");
    }
    revoke(&admin, "x", json!({"serial": "0a:1B"})).await;
    let merge = ("content-type", "application/merge-patch+json");
    let other = json!({"spec": {"serial": "2"}}).to_string();
    let path = format!("{PATH}/x");
    let (code, answer) = raw(&admin, "PATCH", &path, &[merge], other).await;
    assert_eq!(code, 422, "{answer}");
    for (user, code) in [("nobody", 403), ("system:serviceaccount:default:x", 403)] {
        let body = json!({"metadata": {"name": "y"}, "spec": {"user": "admin"}}).to_string();
        let headers = [JSON, ("impersonate-user", user)];
        let (found, answer) = raw(&admin, "POST", PATH, &headers, body).await;
        assert_eq!(found, code, "{user}: {answer}");
    }
    until(&admin, &[], PATH, 200).await;
    rig.stop().await;
}
