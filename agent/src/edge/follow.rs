//! Follows the tasks bound to this agent: list, then watch, and list again when history is gone.

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use kube::ResourceExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use manifests::kinds::Task;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::connect::Backoff;
use crate::task::{Event, Seen};

/// Why a watch ended.
enum Ended {
    /// In order: it goes on from the last version.
    Resume,
    /// Its history is gone: only a list tells what is so.
    Relist,
}

/// A watch is asked for this long, and given up a little later: a server that has vanished
/// without a word is then found out even where pings do not reach.
const WATCH_S: u32 = 280;
const WATCH_MAX: Duration = Duration::from_secs(290);

/// Longest pause between tries; a new leader is there within two.
const PAUSE_MAX_MS: u64 = 2_000;

/// Delivers every version of every task of this agent, for ever.
pub(crate) async fn follow(client: kube::Client, agent: String, events: mpsc::Sender<Event>) {
    let tasks: Api<Task> = Api::all(client);
    let fields = format!("spec.agent={agent}");
    let mut backoff = Backoff::new(PAUSE_MAX_MS);
    loop {
        // Without a version a list shows everything acknowledged, on whatever server.
        match tasks.list(&ListParams::default().fields(&fields)).await {
            Ok(list) => {
                backoff.reset();
                let version = list.metadata.resource_version.unwrap_or_default();
                info!(tasks = list.items.len(), version, "synchronised");
                let all = list.items.into_iter().filter_map(Seen::new).collect();
                if events.send(Event::Synced(all)).await.is_err() {
                    return;
                }
                watch(&tasks, &fields, version, &events, &mut backoff).await;
            }
            Err(error) => {
                warn!(error = %super::join::chain(&error), "cannot list tasks; trying again");
                backoff.pause().await;
            }
        }
    }
}

/// Watches from a version on, over any number of connections, until a list is needed.
async fn watch(
    tasks: &Api<Task>,
    fields: &str,
    mut version: String,
    events: &mpsc::Sender<Event>,
    backoff: &mut Backoff,
) {
    loop {
        let before = version.clone();
        let one = one_watch(tasks, fields, &mut version, events);
        match tokio::time::timeout(WATCH_MAX, one).await {
            Ok(Ok(Ended::Resume)) if version != before => backoff.reset(),
            // Whoever ends watches as soon as they begin is not asked as fast as it answers.
            Ok(Ok(Ended::Resume)) => backoff.pause().await,
            Ok(Ok(Ended::Relist)) => return backoff.pause().await,
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => {
                return backoff.pause().await;
            }
            Ok(Err(error)) => {
                debug!(error = %super::join::chain(&error), "the watch broke; trying again");
                backoff.pause().await;
            }
            Err(_elapsed) => {}
        }
    }
}

async fn one_watch(
    tasks: &Api<Task>,
    fields: &str,
    version: &mut String,
    events: &mpsc::Sender<Event>,
) -> kube::Result<Ended> {
    let params = WatchParams::default().fields(fields).timeout(WATCH_S);
    let mut stream = pin!(tasks.watch(&params, version).await?);
    while let Some(event) = stream.try_next().await? {
        let event = match event {
            WatchEvent::Added(task) | WatchEvent::Modified(task) => {
                *version = task.resource_version().unwrap_or_default();
                Seen::new(task).map(|seen| Event::Seen(Box::new(seen)))
            }
            WatchEvent::Deleted(task) => {
                *version = task.resource_version().unwrap_or_default();
                task.metadata.uid.map(Event::Gone)
            }
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                None
            }
            WatchEvent::Error(status) => {
                debug!(%status.message, status.code, "the watch ended");
                return Ok(Ended::Relist);
            }
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return Ok(Ended::Relist);
        }
    }
    Ok(Ended::Resume)
}
