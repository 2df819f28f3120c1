//! Signs of life, and the servers learned from their answers.

use std::time::Duration;

use http::Request;
use manifests::wire::{Heartbeat, HeartbeatAck};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::connect::{Backoff, Servers};
use super::register::{Facts, ensure_registered};

/// Longest pause between tries to register.
const PAUSE_MAX_MS: u64 = 5_000;

/// Registers, then beats for ever; registers again when the servers know the agent no longer.
pub(crate) async fn beat(client: kube::Client, facts: Facts, servers: Servers, every_ms: u64) {
    register(&client, &facts).await;
    let mut ticks = interval(Duration::from_millis(every_ms.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match send(&client, &facts).await {
            Ok(ack) => servers.learn(&ack.servers),
            Err(kube::Error::Api(status)) if status.code == 404 => register(&client, &facts).await,
            Err(error) => {
                warn!(error = %super::join::chain(&error), "a heartbeat found no server");
            }
        }
    }
}

async fn register(client: &kube::Client, facts: &Facts) {
    let mut backoff = Backoff::new(PAUSE_MAX_MS);
    while let Err(error) = ensure_registered(client, facts).await {
        warn!(error = %super::join::chain(&error), "cannot register; trying again");
        backoff.pause().await;
    }
    info!(agent = facts.name, address = facts.address, "registered");
}

async fn send(client: &kube::Client, facts: &Facts) -> kube::Result<HeartbeatAck> {
    let body = serde_json::to_vec(&Heartbeat {
        boot_id: facts.boot_id.clone(),
    });
    let request = Request::post(format!("/apis/stoa.dev/v1/agents/{}/heartbeat", facts.name))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.map_err(kube::Error::SerdeError)?)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}
