//! Waits until the agents that `up` has started are ready for work.

use std::collections::BTreeSet;
use std::time::Duration;

use manifests::kinds::{Agent, AgentPhase};
use manifests::wire::HeartbeatAges;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::plan::Plan;
use crate::cluster::{Ask, Cluster};

/// Longest wait. An agent that needs longer is told of, and the cluster used without it.
const LIMIT: Duration = Duration::from_secs(20);

/// Pause between two questions.
const POLL: Duration = Duration::from_millis(25);

/// The agents of the plan that are still not ready after a while; usually none.
pub(super) async fn missing(cluster: &Cluster, plan: &Plan) -> BTreeSet<String> {
    let deadline = Instant::now() + LIMIT;
    let all: BTreeSet<String> = plan.agents.iter().map(|agent| agent.name.clone()).collect();
    let mut missing = all.clone();
    while !missing.is_empty() {
        let ready = ready(cluster).await;
        missing = all.difference(&ready).cloned().collect();
        if Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    missing
}

/// Agents that are Ready, and heard by the present leader: a phase may be left from the last time
/// this cluster ran.
async fn ready(cluster: &Cluster) -> BTreeSet<String> {
    let heard: Option<HeartbeatAges> = read(cluster, "/apis/stoa.dev/v1/heartbeats").await;
    let heard: BTreeSet<String> = heard
        .into_iter()
        .flat_map(|ages| ages.items)
        .map(|age| age.agent)
        .collect();
    let agents: Option<kube::core::ObjectList<Agent>> =
        read(cluster, "/apis/stoa.dev/v1/agents").await;
    let agents = agents.into_iter().flat_map(|list| list.items);
    let phase = |agent: &Agent| agent.status.as_ref().map(|status| status.phase);
    agents
        .filter(|agent| phase(agent) == Some(AgentPhase::Ready))
        .filter_map(|agent| agent.metadata.name)
        .filter(|name| heard.contains(name))
        .collect()
}

/// None while nobody leads, for example.
async fn read<T: DeserializeOwned>(cluster: &Cluster, path: &str) -> Option<T> {
    let answer = cluster.send(Ask::get(path)).await.ok()?;
    serde_json::from_value(answer.value).ok()
}
