//! Follows one kind: a list, then changes; a new list when the watch cannot be resumed.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::api::{Api, DynamicObject, ListParams, ObjectList, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::event::{Event, Seen};

/// Objects asked for at a time: a page of 500 tasks is about a megabyte.
const PAGE: u32 = 500;

/// Pause after a failure, so that a server in trouble is not pressed.
const PAUSE: Duration = Duration::from_millis(200);

/// Short enough that the watch is not cut for being slow at ten thousand writes a second.
const HEADS_REST: Duration = Duration::from_millis(20);

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

/// Where objects come from: whole, or their metadata alone.
pub(super) trait Feed: Sync {
    /// What is seen of each.
    type Item: ResourceExt + Clone + Debug + DeserializeOwned + Send + 'static;

    /// A page.
    fn list(
        &self,
        params: &ListParams,
    ) -> impl Future<Output = Result<ObjectList<Self::Item>, kube::Error>> + Send;

    /// What changes after a version.
    fn watch(
        &self,
        version: &str,
    ) -> impl Future<Output = Result<Changes<Self::Item>, kube::Error>> + Send;

    /// How long is rested after what there was has been taken in, so that the next time there is more at once.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }

    /// For the log.
    fn name(&self) -> &str;
}

/// A stream of changes.
pub(super) type Changes<T> = BoxStream<'static, Result<WatchEvent<T>, kube::Error>>;

impl<K> Feed for Api<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    type Item = K;

    async fn list(&self, params: &ListParams) -> Result<ObjectList<K>, kube::Error> {
        Self::list(self, params).await
    }

    async fn watch(&self, version: &str) -> Result<Changes<K>, kube::Error> {
        let changes = Self::watch(self, &WatchParams::default(), version).await?;
        Ok(changes.boxed())
    }

    fn name(&self) -> &str {
        self.resource_url()
    }
}

/// Only the metadata of objects of any kind.
pub(super) struct Heads(pub(super) Api<DynamicObject>);

impl Feed for Heads {
    type Item = PartialObjectMeta;

    async fn list(&self, params: &ListParams) -> Result<ObjectList<Self::Item>, kube::Error> {
        self.0.list_metadata(params).await
    }

    async fn watch(&self, version: &str) -> Result<Changes<Self::Item>, kube::Error> {
        let changes = self
            .0
            .watch_metadata(&WatchParams::default(), version)
            .await?;
        Ok(changes.boxed())
    }

    /// Nobody waits for what owner references bring about, and every write of anybody comes this way.
    fn rest(&self) -> Duration {
        HEADS_REST
    }

    fn name(&self) -> &str {
        self.0.resource_url()
    }
}

/// Follows a kind until nobody listens.
pub(super) async fn follow<F: Feed>(
    feed: F,
    wrap: impl Fn(Seen<F::Item>) -> Event + Send + Sync,
    inbox: Inbox,
) {
    loop {
        match list(&feed, &wrap, &inbox).await {
            Ok(version) => {
                if watch(&feed, &wrap, &inbox, version).await.is_none() {
                    return;
                }
            }
            Err(Lost::Closed) => return,
            Err(Lost::Expired) => {}
            Err(Lost::Failed(error)) => {
                tracing::debug!(kind = feed.name(), %error, "list failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
        if inbox.is_closed() {
            return;
        }
    }
}

/// Lists everything, page by page, and returns the version of the list.
async fn list<F: Feed>(
    feed: &F,
    wrap: impl Fn(Seen<F::Item>) -> Event,
    inbox: &Inbox,
) -> Result<String, Lost> {
    send(inbox, wrap(Seen::Reset)).await?;
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = feed.list(&params).await.map_err(lost)?;
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
async fn watch<F: Feed>(
    feed: &F,
    wrap: impl Fn(Seen<F::Item>) -> Event,
    inbox: &Inbox,
    mut version: String,
) -> Option<()> {
    loop {
        match once(feed, &wrap, inbox, &mut version).await {
            Ok(()) => {}
            Err(Lost::Expired) => return Some(()),
            Err(Lost::Closed) => return None,
            Err(Lost::Failed(error)) => {
                tracing::debug!(kind = feed.name(), %error, "watch failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn once<F: Feed>(
    feed: &F,
    wrap: impl Fn(Seen<F::Item>) -> Event,
    inbox: &Inbox,
    version: &mut String,
) -> Result<(), Lost> {
    let mut changes = feed.watch(version).await.map_err(lost)?;
    while let Some(event) = changes.next().await {
        take(event, &wrap, inbox, version).await?;
        if feed.rest().is_zero() {
            continue;
        }
        while let Some(Some(event)) = changes.next().now_or_never() {
            take(event, &wrap, inbox, version).await?;
        }
        tokio::time::sleep(feed.rest()).await;
    }
    Ok(())
}

async fn take<K: ResourceExt + Clone>(
    event: Result<WatchEvent<K>, kube::Error>,
    wrap: impl Fn(Seen<K>) -> Event,
    inbox: &Inbox,
    version: &mut String,
) -> Result<(), Lost> {
    match event.map_err(lost)? {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            advance(version, &object);
            send(inbox, wrap(Seen::Item(Box::new(object)))).await
        }
        WatchEvent::Deleted(object) => {
            advance(version, &object);
            send(inbox, wrap(Seen::Gone(Box::new(object)))).await
        }
        WatchEvent::Bookmark(bookmark) => {
            version.clone_from(&bookmark.metadata.resource_version);
            Ok(())
        }
        WatchEvent::Error(status) => Err(lost(kube::Error::Api(status))),
    }
}

fn advance<K: ResourceExt>(version: &mut String, object: &K) {
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
