//! Joining as an agent: whose name it is.

use apiserver::pki::Authority;
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
