//! Joining as an agent: whose name it is.

use apiserver::pki::{Authority, Pair, kubeconfig};
use kube::config::Kubeconfig;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::rig::{Rig, raw};

const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
const JSON: (&str, &str) = ("content-type", "application/json");
const AGENT: &str = "/apis/stoa.dev/v1/agents/a1";

async fn join(rig: &Rig, client: &kube::Client, csr: &str) -> (u16, Value) {
    let token = std::fs::read_to_string(rig.dir.path().join("data/tokens/agent")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let body = json!({"role": "agent", "name": "a1", "csr": csr}).to_string();
    let headers = [JSON, ("authorization", bearer.as_str())];
    raw(client, "POST", "/apis/stoa.dev/v1/join", &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_at_work_keeps_its_name() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let first = Authority::throwaway_request().unwrap();
    let second = Authority::throwaway_request().unwrap();
    assert_eq!(join(&rig, &admin, "nonsense").await.0, 400);
    assert_eq!(join(&rig, &admin, &first).await.0, 200);

    let agent = json!({"apiVersion": "stoa.dev/v1", "kind": "Agent", "metadata": {"name": "a1"}, "spec": {}});
    let path = "/apis/stoa.dev/v1/agents";
    let (code, answer) = raw(&admin, "POST", path, &[JSON], agent.to_string()).await;
    assert_eq!(code, 201, "{answer}");
    let (code, answer) = join(&rig, &admin, &second).await;
    assert_eq!(code, 409, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("another key"));
    assert_eq!(join(&rig, &admin, &first).await.0, 200, "renewal");

    let silent = json!({"status": {"phase": "Unreachable"}}).to_string();
    let path = format!("{AGENT}/status");
    let (code, answer) = raw(&admin, "PATCH", &path, &[MERGE], silent).await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(
        join(&rig, &admin, &second).await.0,
        200,
        "the old one is silent"
    );

    let back = json!({"status": {"phase": "Ready"}}).to_string();
    assert_eq!(raw(&admin, "PATCH", &path, &[MERGE], back).await.0, 200);
    assert_eq!(
        join(&rig, &admin, &first).await.0,
        409,
        "now the name is the second's"
    );
    assert_eq!(raw(&admin, "DELETE", AGENT, &[], "").await.0, 200);
    assert_eq!(
        join(&rig, &admin, &first).await.0,
        200,
        "the old one was deleted"
    );
    rig.stop().await;
}

/// Joins with a fresh key, which the client then shows.
async fn joined(rig: &Rig, through: &kube::Client) -> (kube::Client, String) {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let csr = request.pem().unwrap();
    let (code, answer) = join(rig, through, &csr).await;
    assert_eq!(code, 200, "{answer}");
    let pair = Pair {
        certificate: answer["certificate"].as_str().unwrap().to_owned(),
        key: key.serialize_pem(),
    };
    let text = kubeconfig(&rig.authority(), &pair, &rig.handle.url());
    let client = rig.client(Kubeconfig::from_yaml(&text).unwrap()).await;
    (client, csr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_passed_on_is_lost_to_the_old_key() {
    let rig = Rig::start().await;
    let admin = rig.admin().await;
    let (first, _) = joined(&rig, &admin).await;
    let agents = "/apis/stoa.dev/v1/agents";
    let agent = json!({"apiVersion": "stoa.dev/v1", "kind": "Agent", "metadata": {"name": "a1"}, "spec": {}});
    assert_eq!(raw(&first, "GET", "/api", &[], "").await.0, 200);

    // Two first joiners: only the later one may make the Agent object.
    let (second, csr) = joined(&rig, &admin).await;
    let (code, answer) = raw(&first, "POST", agents, &[JSON], agent.to_string()).await;
    assert_eq!(code, 401, "{answer}");
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("passed to another key")
    );
    let (code, answer) = raw(&second, "POST", agents, &[JSON], agent.to_string()).await;
    assert_eq!(code, 201, "{answer}");

    // A takeover from one who counts as gone, over connections that are open.
    let silent = json!({"status": {"phase": "Unreachable"}}).to_string();
    let path = format!("{AGENT}/status");
    assert_eq!(raw(&admin, "PATCH", &path, &[MERGE], silent).await.0, 200);
    assert_eq!(raw(&second, "GET", AGENT, &[], "").await.0, 200);
    let (third, _) = joined(&rig, &admin).await;
    assert_eq!(raw(&second, "GET", AGENT, &[], "").await.0, 401);
    assert_eq!(raw(&third, "GET", AGENT, &[], "").await.0, 200);
    assert_eq!(
        join(&rig, &second, &csr).await.0,
        200,
        "a token counts, whatever the certificate: nobody has been heard since"
    );
    assert_eq!(raw(&third, "GET", AGENT, &[], "").await.0, 401);
    assert_eq!(raw(&second, "GET", AGENT, &[], "").await.0, 200);
    rig.stop().await;
}
