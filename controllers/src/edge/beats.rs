//! Asks each second when every agent was last heard from.

use std::time::Duration;

use kube::Client;
use manifests::wire::HeartbeatAges;

use super::watch::Inbox;
use crate::event::Event;

const PATH: &str = "/apis/stoa.dev/v1/heartbeats";

/// Well below any sensible agent timeout.
const EVERY: Duration = Duration::from_secs(1);

/// Polls until nobody listens. The first answer comes at once, so that agents that registered are
/// ready without a second's wait.
pub(super) async fn poll(client: Client, epoch: u64, inbox: Inbox) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(request) = http::Request::get(PATH).body(Vec::new()) else {
            return;
        };
        let beats = match client.request::<HeartbeatAges>(request).await {
            Ok(beats) if beats.epoch == epoch => beats,
            Ok(_another_term) => continue,
            Err(error) => {
                tracing::debug!(%error, "heartbeats not known");
                continue;
            }
        };
        if inbox.send(Event::Heartbeats(beats)).await.is_err() {
            return;
        }
    }
}
