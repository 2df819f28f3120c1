//! Deletes events that have had their time, once a minute.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::{Client, Error};
use manifests::bundle::Operation;

use super::fence::Fence;
use super::send::{Deposed, submit};
use super::service::now_ms;
use crate::effect::Answer;
use crate::expiry::{Aged, due};

const EVERY: Duration = Duration::from_secs(60);

/// Events asked for at a time.
const PAGE: u32 = 500;

/// Deletions in one transaction: nothing of weight should wait behind them.
const BATCH: usize = 256;

/// Sweeps until the run is over. `request_id` names the transactions of this run.
pub(super) async fn sweep(client: Client, fence: Fence, request_id: impl Fn(u64) -> String + Send) {
    let mut number = 0;
    loop {
        match aged(&client).await {
            Ok(events) => {
                for batch in due(events, now_ms()).chunks(BATCH) {
                    if delete(&client, &fence, &request_id, &mut number, batch.to_vec()).await
                        == Err(Deposed)
                    {
                        return;
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "events not listed"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn aged(client: &Client) -> Result<Vec<Aged>, Error> {
    let api: Api<Event> = Api::all(client.clone());
    let mut params = ListParams::default().limit(PAGE);
    let mut events = Vec::new();
    loop {
        let page = api.list(&params).await?;
        events.extend(page.items.iter().map(Aged::of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(events),
        }
    }
}

/// Deletes all of them but those that changed meanwhile.
async fn delete(
    client: &Client,
    fence: &Fence,
    request_id: &(impl Fn(u64) -> String + Send),
    number: &mut u64,
    mut operations: Vec<Operation>,
) -> Result<(), Deposed> {
    while !operations.is_empty() {
        *number += 1;
        let sent = submit(
            client,
            fence.guards(),
            request_id(*number),
            operations.clone(),
        );
        match sent.await? {
            Answer::Applied(_) => return Ok(()),
            Answer::Refused(refusal) => match refusal.at.filter(|at| *at < operations.len()) {
                Some(at) => _ = operations.remove(at),
                None => {
                    tracing::debug!(message = refusal.message, "events not deleted");
                    return Ok(());
                }
            },
        }
    }
    Ok(())
}
