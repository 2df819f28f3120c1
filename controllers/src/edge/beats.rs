//! Asks when every agent was last heard from, as often as the core wishes.

use std::time::Duration;

use kube::Client;
use manifests::wire::HeartbeatAges;
use tokio::sync::watch;

use super::watch::Inbox;
use crate::event::Event;

const PATH: &str = "/apis/stoa.dev/v1/heartbeats";

/// Polls until nobody listens. A new pace holds at once.
pub(super) async fn poll(
    client: Client,
    epoch: u64,
    inbox: Inbox,
    mut pace: watch::Receiver<Duration>,
) {
    loop {
        if let Some(beats) = ask(&client, epoch).await
            && inbox.send(Event::Heartbeats(beats)).await.is_err()
        {
            return;
        }
        let pause = *pace.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = pace.changed() => if changed.is_err() { return },
        }
    }
}

async fn ask(client: &Client, epoch: u64) -> Option<HeartbeatAges> {
    let request = http::Request::get(PATH).body(Vec::new()).ok()?;
    match client.request::<HeartbeatAges>(request).await {
        // Of another term: somebody else is about to act on it.
        Ok(beats) => (beats.epoch == epoch).then_some(beats),
        Err(error) => {
            tracing::debug!(%error, "heartbeats not known");
            None
        }
    }
}
