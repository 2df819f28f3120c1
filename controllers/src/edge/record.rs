//! Writes core/v1 Events for people: one object for each reason and object, its count bumped.
//! Best effort, outside the hot path.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event as Message, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;

use crate::effect::Record;

/// Distinct messages whose counts are remembered.
const KNOWN_MAX: usize = 1_024;

/// Records until the sender is gone.
pub(super) async fn record(client: Client, mut records: mpsc::Receiver<Record>) {
    let mut counts: BTreeMap<String, i32> = BTreeMap::new();
    while let Some(record) = records.recv().await {
        if counts.len() >= KNOWN_MAX {
            counts.clear();
        }
        let name = name(&record);
        let count = counts
            .entry(name.clone())
            .and_modify(|count| *count += 1)
            .or_insert(1);
        if let Err(error) = write(&client, &record, name, *count).await {
            tracing::debug!(%error, "event not recorded");
        }
    }
}

/// Same object and reason, same name.
fn name(record: &Record) -> String {
    let uid = record.uid.get(..8).unwrap_or(&record.uid);
    format!("{}.{}.{uid}", record.name, record.reason.to_lowercase())
}

async fn write(
    client: &Client,
    record: &Record,
    name: String,
    count: i32,
) -> Result<(), kube::Error> {
    let namespace = if record.namespace.is_empty() {
        "default"
    } else {
        &record.namespace
    };
    let api: Api<Message> = Api::namespaced(client.clone(), namespace);
    let now = Time(super::service::clock());
    if count > 1 {
        let patch = json!({ "count": count, "lastTimestamp": now, "message": record.message });
        let patched = api
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        if patched.is_ok() {
            return Ok(());
        }
    }
    match api
        .create(
            &PostParams::default(),
            &message(record, namespace, name, count, now),
        )
        .await
    {
        // An earlier leader wrote it.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

fn message(record: &Record, namespace: &str, name: String, count: i32, now: Time) -> Message {
    Message {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(manifests::kinds::API_VERSION.to_owned()),
            kind: Some(record.kind.to_owned()),
            name: Some(record.name.clone()),
            namespace: Some(record.namespace.clone()).filter(|ns| !ns.is_empty()),
            uid: Some(record.uid.clone()),
            ..ObjectReference::default()
        },
        reason: Some(record.reason.to_owned()),
        message: Some(record.message.clone()),
        type_: Some(if record.warning { "Warning" } else { "Normal" }.to_owned()),
        source: Some(EventSource {
            component: Some("stoa-controllers".to_owned()),
            ..EventSource::default()
        }),
        count: Some(count),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        ..Message::default()
    }
}
