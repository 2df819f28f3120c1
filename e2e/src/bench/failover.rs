//! Time from SIGKILL of the leader to the next acknowledged write, as a client of the others sees it.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::bench::figure::{Bar, Figure, milliseconds, percentile};
use crate::{Cluster, Fault, Outcome, objects};

/// Longest one attempt at a write may take before another is made.
const ATTEMPT_MAX: Duration = Duration::from_millis(300);

/// Longest the survivors may take altogether.
const ACK_MAX: Duration = Duration::from_secs(30);

/// Kills the leader `kills` times; each time the cluster is whole again before the next.
///
/// # Errors
/// When writes do not come back, or the killed server does not.
pub async fn measure(cluster: &mut Cluster, kills: usize) -> Outcome<Vec<Figure>> {
    let mut samples = Vec::new();
    create_target(&cluster.client("s1").await?).await?;
    for trial in 0..kills {
        let leader = cluster.leader().await?;
        let survivors = survivors(cluster, &leader).await?;
        let killed = Instant::now();
        cluster.kill(&leader).await?;
        first_ack(&survivors, trial).await?;
        samples.push(killed.elapsed());
        cluster.restart(&leader)?;
        cluster.servers_ready().await?;
        cluster.whole().await?;
    }
    let figure = |name, percent, bar| {
        Figure::new(name, milliseconds(percentile(&samples, percent)), "ms", bar)
    };
    Ok(vec![
        figure(
            "SIGKILL of the leader to next acked write, p50",
            50,
            Bar::None,
        ),
        figure(
            "SIGKILL of the leader to next acked write, worst",
            100,
            Bar::AtMost(1_000.0),
        ),
    ])
}

async fn create_target(client: &Client) -> Outcome<()> {
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "failover"}}))?;
    Api::namespaced(client.clone(), objects::NAMESPACE)
        .create(&PostParams::default(), &map)
        .await?;
    Ok(())
}

async fn survivors(cluster: &Cluster, leader: &str) -> Outcome<Vec<Api<ConfigMap>>> {
    let mut apis = Vec::new();
    for name in cluster.server_names().iter().filter(|name| *name != leader) {
        let api: Api<ConfigMap> = Api::namespaced(cluster.client(name).await?, objects::NAMESPACE);
        // The connection stands before the clock runs.
        api.get("failover").await?;
        apis.push(api);
    }
    Ok(apis)
}

/// Returns at the first write that any survivor acknowledges.
async fn first_ack(survivors: &[Api<ConfigMap>], trial: usize) -> Outcome<()> {
    let writers: FuturesUnordered<_> = survivors
        .iter()
        .map(|api| Box::pin(write_until_acked(api, trial)))
        .collect();
    let mut writers = writers;
    match tokio::time::timeout(ACK_MAX, writers.next()).await {
        Ok(Some(())) => Ok(()),
        Ok(None) => Err(Fault::new("there is no survivor")),
        Err(_) => Err(Fault::new(format!(
            "no write was acknowledged for {ACK_MAX:?}"
        ))),
    }
}

async fn write_until_acked(api: &Api<ConfigMap>, trial: usize) {
    for attempt in 0_u32.. {
        // A value of its own each time: a write that changes nothing might be acknowledged cheaply.
        let patch = Patch::Merge(json!({"data": {"value": format!("{trial}.{attempt}")}}));
        let params = PatchParams::default();
        let write = api.patch("failover", &params, &patch);
        match tokio::time::timeout(ATTEMPT_MAX, write).await {
            Ok(Ok(_)) => return,
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(_) => {}
        }
    }
}
