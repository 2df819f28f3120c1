//! Bearer tokens through the front door: whom they speak for, and when they cease to.

use apiserver::authn::jws::Signer;
use apiserver::pki::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::rig::{Rig, now_s, raw};

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

async fn post(client: &kube::Client, path: &str, body: Value) -> (u16, Value) {
    raw(client, "POST", path, &[JSON], body.to_string()).await
}

async fn created(client: &kube::Client, path: &str, body: Value) -> Value {
    let (code, answer) = post(client, path, body).await;
    assert_eq!(code, 201, "{answer}");
    answer
}

/// What a bearer is told who asks for what only administrators see: 403 names the user.
async fn whoami(client: &kube::Client, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let path = "/api/v1/namespaces/kube-system/secrets";
    let (code, answer) = raw(client, "GET", path, &[("authorization", &bearer)], "").await;
    let message = answer["message"].as_str().unwrap_or_default();
    let name = message.split('"').nth(1).unwrap_or_default();
    (code, name.to_owned())
}

fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
}

async fn token(admin: &kube::Client, name: &str, spec: Value) -> Value {
    let path = format!("{ACCOUNTS}/{name}/token");
    created(admin, &path, json!({ "spec": spec })).await
}

fn text(answer: &Value) -> &str {
    answer["status"]["token"].as_str().unwrap()
}

const ROBOT: &str = "system:serviceaccount:default:robot";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_speaks_until_it_is_deleted() {
    let rig = Rig::start().await;
    let (admin, stranger) = (rig.admin().await, rig.stranger().await);
    created(&admin, ACCOUNTS, account("robot")).await;
    let answer = token(&admin, "robot", json!({})).await;
    assert_eq!(answer["kind"], "TokenRequest");
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    assert_eq!(
        answer["spec"]["audiences"],
        json!(["https://kubernetes.default.svc.cluster.local"])
    );
    let robot = || (403, ROBOT.to_owned());
    assert_eq!(whoami(&stranger, text(&answer)).await, robot());
    assert_eq!(
        whoami(&stranger, text(&answer)).await,
        robot(),
        "from memory"
    );

    reviews(&admin, text(&answer)).await;
    let labelled = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
    let merge = ("content-type", "application/merge-patch+json");
    let path = format!("{ACCOUNTS}/robot");
    assert_eq!(raw(&admin, "PATCH", &path, &[merge], labelled).await.0, 200);
    assert_eq!(
        whoami(&stranger, text(&answer)).await,
        robot(),
        "a change is no end"
    );

    assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
    assert_eq!(whoami(&stranger, text(&answer)).await.0, 401);
    created(&admin, ACCOUNTS, account("robot")).await;
    assert_eq!(
        whoami(&stranger, text(&answer)).await.0,
        401,
        "another of the same name"
    );
    rig.stop().await;
}

async fn reviews(admin: &kube::Client, token: &str) {
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = |spec: Value| async move { created(admin, path, json!({ "spec": spec })).await };
    let good = review(json!({"token": token})).await;
    assert_eq!(good["status"]["authenticated"], true);
    assert_eq!(good["status"]["user"]["username"], ROBOT);
    let api = "https://kubernetes.default.svc.cluster.local";
    assert_eq!(good["status"]["audiences"], json!([api]));
    let ours = review(json!({"token": token, "audiences": ["x", api]})).await;
    assert_eq!(ours["status"]["audiences"], json!([api]));
    for spec in [
        json!({"token": "x"}),
        json!({"token": token, "audiences": ["x"]}),
    ] {
        let bad = review(spec).await;
        assert_eq!(bad["status"]["authenticated"], Value::Null);
        assert_eq!(bad["status"]["error"], "invalid bearer token");
    }
    let (code, answer) = post(admin, path, json!({"spec": {"audiences": ["x"]}})).await;
    assert!(matches!(code, 400 | 422), "{answer}");
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let own = created(admin, path, json!({})).await;
    assert_eq!(own["status"]["userInfo"]["username"], "admin");
    assert_eq!(own["status"]["userInfo"]["groups"][0], "system:masters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_ends_with_its_secret() {
    let rig = Rig::start().await;
    let (admin, stranger) = (rig.admin().await, rig.stranger().await);
    created(&admin, ACCOUNTS, account("robot")).await;
    let path = format!("{ACCOUNTS}/robot/token");
    let reference = json!({"kind": "Secret", "apiVersion": "v1", "name": "s"});
    let (code, answer) = post(
        &admin,
        &path,
        json!({"spec": {"boundObjectRef": reference}}),
    )
    .await;
    assert_eq!(
        (code, &answer["message"]),
        (404, &json!("secrets \"s\" not found"))
    );
    let secrets = "/api/v1/namespaces/default/secrets";
    created(&admin, secrets, json!({"metadata": {"name": "s"}})).await;
    let other = json!({"kind": "Secret", "apiVersion": "v1", "name": "s", "uid": "other"});
    assert_eq!(
        post(&admin, &path, json!({"spec": {"boundObjectRef": other}}))
            .await
            .0,
        409
    );
    let answer = token(&admin, "robot", json!({"boundObjectRef": reference})).await;
    assert_eq!(
        whoami(&stranger, text(&answer)).await,
        (403, ROBOT.to_owned())
    );
    assert_eq!(
        raw(&admin, "DELETE", &format!("{secrets}/s"), &[], "")
            .await
            .0,
        200
    );
    assert_eq!(whoami(&stranger, text(&answer)).await.0, 401);

    let (code, _) = post(&admin, &format!("{ACCOUNTS}/nobody/token"), json!({})).await;
    assert_eq!(code, 404);
    let (code, _) = raw(&admin, "GET", &path, &[], "").await;
    assert_eq!(code, 405);
    let robot = format!("Bearer {}", text(&answer));
    let (code, _) = raw(
        &stranger,
        "POST",
        &path,
        &[JSON, ("authorization", &robot)],
        "{}",
    )
    .await;
    assert_eq!(code, 401);
    rig.stop().await;
}

/// Claims as ours, for trying what happens to them.
fn claims(uid: &str, begins_s: u64, ends_s: u64) -> Value {
    let issuer = apiserver::authn::issuer::DEFAULT_URL;
    json!({
        "aud": [issuer], "iss": issuer, "sub": ROBOT, "jti": "x",
        "iat": begins_s, "nbf": begins_s, "exp": ends_s,
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "robot", "uid": uid}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_expired_tokens_say_nothing() {
    let rig = Rig::start().await;
    let (admin, stranger) = (rig.admin().await, rig.stranger().await);
    let robot = created(&admin, ACCOUNTS, account("robot")).await;
    let uid = robot["metadata"]["uid"].as_str().unwrap();
    let ours = Signer::of(&rig.authority().key_der().unwrap());
    let theirs = Signer::of(&Authority::create(now_s()).unwrap().key_der().unwrap());
    let now_s = now_s();
    let good = claims(uid, now_s, now_s + 600);
    let with = |pointer: &str, value: Value| {
        let mut claims = good.clone();
        *claims.pointer_mut(pointer).unwrap() = value;
        ours.sign(&claims).unwrap()
    };
    assert_eq!(whoami(&stranger, &ours.sign(&good).unwrap()).await.0, 403);
    let tampered = ours.sign(&good).unwrap().replace('.', ".A");
    for (why, token) in [
        ("another key", theirs.sign(&good).unwrap()),
        (
            "expired",
            ours.sign(&claims(uid, now_s - 700, now_s - 100)).unwrap(),
        ),
        (
            "not begun",
            ours.sign(&claims(uid, now_s + 500, now_s + 600)).unwrap(),
        ),
        (
            "another audience",
            with("/aud", json!(["https://elsewhere"])),
        ),
        ("another issuer", with("/iss", json!("https://elsewhere"))),
        (
            "another subject",
            with("/sub", json!("system:serviceaccount:kube-system:robot")),
        ),
        (
            "another account",
            with("/kubernetes.io/serviceaccount/uid", json!("u")),
        ),
        ("tampered", tampered),
        ("nonsense", "nonsense".to_owned()),
        (
            "a bootstrap token that is not",
            "abcdef.0123456789abcdef".to_owned(),
        ),
    ] {
        assert_eq!(whoami(&stranger, &token).await.0, 401, "{why}");
    }
    let document = raw(&admin, "GET", "/.well-known/openid-configuration", &[], "")
        .await
        .1;
    assert_eq!(
        document["id_token_signing_alg_values_supported"],
        json!(["ES256"])
    );
    assert!(
        document["jwks_uri"]
            .as_str()
            .unwrap()
            .ends_with("/openid/v1/jwks")
    );
    let keys = raw(&admin, "GET", "/openid/v1/jwks", &[], "").await.1;
    assert_eq!(keys, ours.key_set());
    assert_eq!(
        raw(&stranger, "GET", "/openid/v1/jwks", &[], "").await.0,
        401
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_and_bootstrap_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.csv");
    std::fs::write(&file, "t0p,alice,7,\"system:masters,others\"\nl0w,bob,8\n").unwrap();
    let rig = Rig::with(dir, |options| options.token_auth_file = Some(file)).await;
    let (admin, stranger) = (rig.admin().await, rig.stranger().await);
    assert_eq!(whoami(&stranger, "t0p").await.0, 200);
    assert_eq!(whoami(&stranger, "l0w").await, (403, "bob".to_owned()));
    assert_eq!(whoami(&stranger, "l0").await.0, 401);

    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let secret = json!({
        "metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token",
        "data": {
            "token-id": STANDARD.encode("abcdef"), "token-secret": STANDARD.encode("0123456789abcdef"),
            "usage-bootstrap-authentication": STANDARD.encode("true"),
        },
    });
    created(&admin, secrets, secret).await;
    let bootstrap = "abcdef.0123456789abcdef";
    for _ in 0..2 {
        let who = whoami(&stranger, bootstrap).await;
        assert_eq!(who, (403, "system:bootstrap:abcdef".to_owned()));
    }
    assert_eq!(whoami(&stranger, "abcdef.0123456789abcdee").await.0, 401);
    let path = format!("{secrets}/bootstrap-token-abcdef");
    assert_eq!(raw(&admin, "DELETE", &path, &[], "").await.0, 200);
    assert_eq!(whoami(&stranger, bootstrap).await.0, 401);
    rig.stop().await;
}
