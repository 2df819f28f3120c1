//! Follows the heads of all objects that are not ours, for owner references: which kinds there are
//! says discovery, asked anew whenever a definition changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, Error};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::watch::{self, Heads, Inbox};
use crate::event::Event;
use crate::model::{Owner, Sort, Thing};

/// Discovery is asked at least this often.
const EVERY: Duration = Duration::from_secs(60);

/// Definitions often come several at once, and failures should not be repeated at once.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows until nobody listens.
pub(super) async fn follow(client: Client, inbox: Inbox) {
    let changed = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    let mut followed: BTreeMap<Arc<Sort>, AbortHandle> = BTreeMap::new();
    let mut known: Option<Vec<Arc<Sort>>> = None;
    while !inbox.is_closed() {
        match sorts(&client).await {
            Ok(sorts) if known.as_ref() != Some(&sorts) => {
                known = Some(sorts.clone());
                followed.retain(|sort, task| {
                    let kept = sorts.contains(sort);
                    if !kept {
                        task.abort();
                    }
                    kept
                });
                let foreign: Vec<_> = sorts.iter().filter(|s| !s.is_ours()).cloned().collect();
                if inbox.send(Event::Sorts(sorts)).await.is_err() {
                    return;
                }
                for sort in foreign {
                    followed.entry(Arc::clone(&sort)).or_insert_with(|| {
                        tasks.spawn(one(client.clone(), sort, inbox.clone(), changed.clone()))
                    });
                }
            }
            Ok(_same) => {}
            Err(error) => {
                tracing::debug!(%error, "discovery failed");
                changed.notify_one();
            }
        }
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
        tokio::time::sleep(PAUSE).await;
        while tasks.try_join_next().is_some() {}
    }
}

async fn one(client: Client, sort: Arc<Sort>, inbox: Inbox, changed: Arc<Notify>) {
    let defines = sort.kind == "CustomResourceDefinition";
    let feed = Heads(Api::all_with(client, &resource(&sort)));
    let wrap = |seen| {
        if defines {
            changed.notify_one();
        }
        Event::Head(Arc::clone(&sort), seen)
    };
    watch::follow(feed, wrap, inbox).await;
}

/// Every kind whose objects can be followed and deleted, in a fixed order.
async fn sorts(client: &Client) -> Result<Vec<Arc<Sort>>, Error> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let resources = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::recommended_resources);
    let fit = resources.filter(|(_, capabilities)| {
        [verbs::LIST, verbs::WATCH, verbs::DELETE]
            .iter()
            .all(|verb| capabilities.supports_operation(verb))
    });
    let mut sorts: Vec<_> = fit
        .map(|(resource, capabilities)| {
            Arc::new(Sort {
                api_version: resource.api_version,
                kind: resource.kind,
                plural: resource.plural,
                namespaced: capabilities.scope == Scope::Namespaced,
            })
        })
        .collect();
    sorts.sort();
    Ok(sorts)
}

fn resource(sort: &Sort) -> ApiResource {
    let version = sort.api_version.rsplit('/').next().unwrap_or_default();
    let kind = GroupVersionKind::gvk(sort.group(), version, &sort.kind);
    ApiResource::from_gvk_with_plural(&kind, &sort.plural)
}

/// Looks owners up: there means there under the same uid.
pub(super) async fn verify(client: &Client, owners: Vec<Owner>) -> Vec<(Owner, Option<bool>)> {
    let mut seen = Vec::with_capacity(owners.len());
    for owner in owners {
        let there = match head(client, &owner.thing).await {
            Ok(uid) => Some(uid.as_ref() == Some(&owner.uid)),
            Err(error) => {
                tracing::debug!(owner = %owner.thing.key, %error, "owner not looked up");
                None
            }
        };
        seen.push((owner, there));
    }
    seen
}

/// The uid of what is there now.
async fn head(client: &Client, thing: &Thing) -> Result<Option<String>, Error> {
    let (client, resource) = (client.clone(), resource(&thing.sort));
    let api: Api<DynamicObject> = if thing.sort.namespaced {
        Api::namespaced_with(client, &thing.key.namespace, &resource)
    } else {
        Api::all_with(client, &resource)
    };
    let head = api.get_metadata_opt(&thing.key.name).await?;
    Ok(head.and_then(|head| head.metadata.uid))
}
