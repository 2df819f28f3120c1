//! Follows one kind: a list, then changes; a new list when the watch cannot be resumed.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::event::{Event, Seen};

/// Objects asked for at a time: a page of 500 tasks is about a megabyte.
const PAGE: u32 = 500;

/// Pause after a failure, so that a server in trouble is not pressed.
const PAUSE: Duration = Duration::from_millis(200);

/// Why following stopped.
enum Lost {
    /// The watch cannot be resumed from where it was: list again.
    Expired,
    /// Nobody listens any more.
    Closed,
    /// Try again from the same place.
    Failed(kube::Error),
}

/// What the core may be sent.
pub(super) type Inbox = mpsc::Sender<Event>;

/// Follows a kind until nobody listens.
pub(super) async fn follow<K>(api: Api<K>, wrap: fn(Seen<K>) -> Event, inbox: Inbox)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    loop {
        match list(&api, wrap, &inbox).await {
            Ok(version) => {
                if watch(&api, wrap, &inbox, version).await.is_none() {
                    return;
                }
            }
            Err(Lost::Closed) => return,
            Err(Lost::Expired) => {}
            Err(Lost::Failed(error)) => {
                tracing::debug!(kind = %K::kind(&()), %error, "list failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if inbox.is_closed() {
            return;
        }
    }
}

/// Lists everything, page by page, and returns the version of the list.
async fn list<K>(api: &Api<K>, wrap: fn(Seen<K>) -> Event, inbox: &Inbox) -> Result<String, Lost>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    send(inbox, wrap(Seen::Reset)).await?;
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await.map_err(lost)?;
        for object in page.items {
            send(inbox, wrap(Seen::Item(Box::new(object)))).await?;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => {
                let version = page.metadata.resource_version.unwrap_or_default();
                send(inbox, wrap(Seen::Synced(version.parse().unwrap_or(0)))).await?;
                return Ok(version);
            }
        }
    }
}

/// Watches on from `version` until the place is lost; `None`: nobody listens.
async fn watch<K>(
    api: &Api<K>,
    wrap: fn(Seen<K>) -> Event,
    inbox: &Inbox,
    mut version: String,
) -> Option<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    loop {
        match once(api, wrap, inbox, &mut version).await {
            Ok(()) => {}
            Err(Lost::Expired) => return Some(()),
            Err(Lost::Closed) => return None,
            Err(Lost::Failed(error)) => {
                tracing::debug!(kind = %K::kind(&()), %error, "watch failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn once<K>(
    api: &Api<K>,
    wrap: fn(Seen<K>) -> Event,
    inbox: &Inbox,
    version: &mut String,
) -> Result<(), Lost>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stream = api
        .watch(&WatchParams::default(), version)
        .await
        .map_err(lost)?;
    let mut stream = pin!(stream);
    while let Some(event) = stream.next().await {
        match event.map_err(lost)? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                advance(version, &object);
                send(inbox, wrap(Seen::Item(Box::new(object)))).await?;
            }
            WatchEvent::Deleted(object) => {
                advance(version, &object);
                send(inbox, wrap(Seen::Gone(Box::new(object)))).await?;
            }
            WatchEvent::Bookmark(bookmark) => {
                version.clone_from(&bookmark.metadata.resource_version);
            }
            WatchEvent::Error(status) => return Err(lost(kube::Error::Api(status))),
        }
    }
    Ok(())
}

fn advance<K: Resource>(version: &mut String, object: &K) {
    if let Some(newer) = object.resource_version() {
        *version = newer;
    }
}

async fn send(inbox: &Inbox, event: Event) -> Result<(), Lost> {
    inbox.send(event).await.map_err(|_closed| Lost::Closed)
}

fn lost(error: kube::Error) -> Lost {
    let expired = matches!(&error, kube::Error::Api(status) if status.code == 410);
    if expired {
        Lost::Expired
    } else {
        Lost::Failed(error)
    }
}
