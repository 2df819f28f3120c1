//! Credentials that are forged, expired or revoked, each of its kind: they open nothing, whatever is
//! asked, and they are worse than none even for what answers to strangers.

use apiserver::authn::jws::Signer;
use apiserver::pki::{Authority, Pair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use manifests::token::{JoinRole, JoinToken};
use serde_json::{Value, json};

use crate::revocations::{certificate, revoke};
use crate::rig::{Rig, now_s, raw};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Every kind of thing that can be asked for.
const ASKED: [(&str, &str); 12] = [
    ("GET", "/api/v1/namespaces/default/configmaps"),
    ("GET", "/api/v1/namespaces/default/configmaps?watch=true"),
    ("POST", "/api/v1/namespaces/default/configmaps"),
    ("DELETE", "/api/v1/namespaces/default/configmaps/x"),
    ("POST", "/apis/stoa.dev/v1/transactions"),
    ("POST", "/apis/stoa.dev/v1/join"),
    ("GET", "/apis/stoa.dev/v1/namespaces/default/tasks/x/log"),
    ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews"),
    ("GET", "/apis"),
    ("GET", "/metrics"),
    ("GET", "/stoa/v1/snapshot"),
    ("GET", "/readyz"),
];

async fn opens_nothing(client: &kube::Client, why: &str, token: Option<&str>) {
    let bearer = token.map(|token| format!("Bearer {token}"));
    for (method, path) in ASKED {
        let mut headers = vec![JSON];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let (code, answer) = raw(client, method, path, &headers, "{}").await;
        assert_eq!(code, 401, "{why}: {method} {path}: {answer}");
    }
}

async fn make(admin: &kube::Client, path: &str, object: Value) -> Value {
    let (code, answer) = raw(admin, "POST", path, &[JSON], object.to_string()).await;
    assert_eq!(code, 201, "{path} {answer}");
    answer
}

fn bootstrap(id: &str, ends_s: u64) -> Value {
    let ends = Timestamp::from_second(i64::try_from(ends_s).unwrap()).unwrap();
    let encode = |text: &str| STANDARD.encode(text);
    json!({
        "metadata": {"name": format!("bootstrap-token-{id}")}, "type": "bootstrap.kubernetes.io/token",
        "data": {
            "token-id": encode(id), "token-secret": encode("0123456789abcdef"),
            "usage-bootstrap-authentication": encode("true"), "expiration": encode(&ends.to_string()),
        },
    })
}

/// The file is looked at once a second.
async fn line_gone(stranger: &kube::Client) {
    let gone = async {
        let bearer = [("authorization", "Bearer gone")];
        while raw(stranger, "GET", "/api", &bearer, "").await.0 != 401 {}
    };
    tokio::time::timeout(crate::rig::PATIENCE, gone)
        .await
        .unwrap();
    opens_nothing(stranger, "static, gone", Some("gone")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.csv");
    std::fs::write(
        &file,
        "gone,admin,1,\"system:masters\"\nlost,boss,2,\"system:masters\"\n",
    )
    .unwrap();
    let rig = Rig::with(dir, |options| options.token_auth_file = Some(file)).await;
    let (admin, stranger) = (rig.admin().await, rig.stranger().await);
    let (ours, theirs) = (rig.authority(), Authority::create(now_s()).unwrap());
    let now_s = now_s();

    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let robot = make(&admin, accounts, json!({"metadata": {"name": "robot"}})).await;
    let issuer = apiserver::authn::issuer::DEFAULT_URL;
    let claims = |jti: &str, ends_s: u64| {
        json!({
            "aud": [issuer], "iss": issuer, "sub": "system:serviceaccount:default:robot", "jti": jti,
            "iat": now_s - 900, "nbf": now_s - 900, "exp": ends_s,
            "kubernetes.io": {
                "namespace": "default",
                "serviceaccount": {"name": "robot", "uid": robot["metadata"]["uid"]},
            },
        })
    };
    let signer = |authority: &Authority| Signer::of(&authority.key_der().unwrap());
    let account = |authority: &Authority, jti: &str, ends_s: u64| {
        signer(authority).sign(&claims(jti, ends_s)).unwrap()
    };
    let join = |authority: &Authority, ends_s: u64, dice: u32| {
        authority.mint(JoinRole::Agent, (now_s - 900, ends_s), dice)
    };
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    make(&admin, secrets, bootstrap("aaaaaa", now_s - 60)).await;
    make(&admin, secrets, bootstrap("bbbbbb", now_s + 600)).await;
    let lost = JoinToken::parse(&join(&ours, now_s + 600, 7)).unwrap();
    for (name, spec) in [
        ("boss", json!({"user": "boss"})),
        ("account", json!({"token": "lost"})),
        ("bootstrap", json!({"user": "system:bootstrap:bbbbbb"})),
        ("join", json!({"token": lost.nonce})),
    ] {
        revoke(&admin, name, spec).await;
    }
    let path = rig.dir.path().join("tokens.csv");
    std::fs::write(path, "lost,boss,2,\"system:masters\"\n").unwrap();
    for (why, token) in [
        ("account, forged", account(&theirs, "x", now_s + 600)),
        ("account, expired", account(&ours, "x", now_s - 60)),
        ("account, revoked", account(&ours, "lost", now_s + 600)),
        ("join, forged", join(&theirs, now_s + 600, 1)),
        ("join, expired", join(&ours, now_s - 60, 1)),
        ("join, revoked", lost.to_string()),
        ("bootstrap, forged", "bbbbbb.fedcba9876543210".to_owned()),
        ("bootstrap, expired", "aaaaaa.0123456789abcdef".to_owned()),
        ("bootstrap, revoked", "bbbbbb.0123456789abcdef".to_owned()),
        ("static, forged", "gone2".to_owned()),
        ("static, revoked", "lost".to_owned()),
    ] {
        opens_nothing(&stranger, why, Some(&token)).await;
        // A token outranks the certificate, also one that says nothing.
        opens_nothing(&admin, why, Some(&token)).await;
    }
    line_gone(&stranger).await;
    let good = account(&ours, "good", now_s + 600);
    let bearer = format!("Bearer {good}");
    let (code, _) = raw(&stranger, "GET", "/api", &[("authorization", &bearer)], "").await;
    assert_eq!(code, 200, "the living are heard");
    rig.stop().await;
}

/// What is not of our authority, or not of this time, does not get through the handshake.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_every_kind() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let (ours, theirs) = (rig.authority(), Authority::create(now_s()).unwrap());
    let shakes = async |pair: &Pair| {
        let client = rig.with_pair(pair).await;
        let request = http::Request::get("/readyz").body(kube::client::Body::empty());
        client.send(request.unwrap()).await.is_ok()
    };
    assert!(
        !shakes(&certificate(&theirs, "jane", 60, 3600)).await,
        "forged"
    );
    assert!(
        !shakes(&certificate(&ours, "jane", 3600, 600)).await,
        "expired"
    );
    let good = certificate(&ours, "jane", 60, 3600);
    assert!(shakes(&good).await);
    revoke(&admin, "jane", json!({"user": "jane"})).await;
    opens_nothing(&rig.with_pair(&good).await, "revoked", None).await;
    rig.stop().await;
}
