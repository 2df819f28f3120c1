//! Tells the servers: every batch of statuses is one transaction.

use http::Request;
use manifests::bundle::{Operation, Target, Transaction, TransactionResult, Verb};
use manifests::kinds::API_VERSION;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::clock;
use super::connect::Backoff;
use crate::task::{Answer, Event, Report};

/// Longest pause between tries at servers that do not answer; tasks that end meanwhile join the
/// next batch.
const PAUSE_MAX_MS: u64 = 2_000;

/// How often servers that say they are busy are asked the same at once. What lasts longer than
/// an election may well be the fault of one status, which must not hold up the others.
const BUSY_MAX: u32 = 5;

/// Sends batches for as long as there are any. Each report is answered: what the servers do not
/// take comes back as refused, and is sent again when its time has come.
pub(crate) async fn report(
    client: kube::Client,
    mut batches: mpsc::Receiver<Vec<Report>>,
    events: mpsc::Sender<Event>,
) {
    while let Some(batch) = batches.recv().await {
        debug!(statuses = batch.len(), "reporting");
        let answers = settle(&client, batch).await;
        if events.send(Event::Answered(answers)).await.is_err() {
            return;
        }
    }
}

/// A transaction is all or nothing, so when one status spoils it each goes alone.
async fn settle(client: &kube::Client, batch: Vec<Report>) -> Vec<(Report, Answer)> {
    match send(client, &batch, BUSY_MAX).await {
        Ok(versions) => {
            let taken = versions
                .into_iter()
                .map(|version| Answer::Taken { version });
            batch.into_iter().zip(taken).collect()
        }
        Err(_spoiled) if batch.len() > 1 => {
            let mut answers = Vec::with_capacity(batch.len());
            for report in batch {
                let answer = alone(client, &report).await;
                answers.push((report, answer));
            }
            answers
        }
        Err(answer) => batch
            .into_iter()
            .map(|report| (report, answer.clone()))
            .collect(),
    }
}

async fn alone(client: &kube::Client, report: &Report) -> Answer {
    match send(client, std::slice::from_ref(report), 1).await {
        Ok(versions) => versions
            .first()
            .map_or(Answer::Stale, |version| Answer::Taken { version: *version }),
        Err(answer) => answer,
    }
}

/// Sends one transaction until the servers judge it (busy ones up to `busy_max` times), always
/// under the same id, so that an answer that was lost does not make it apply twice. Answers with
/// the version of each object.
async fn send(client: &kube::Client, batch: &[Report], busy_max: u32) -> Result<Vec<u64>, Answer> {
    let mut backoff = Backoff::new(PAUSE_MAX_MS);
    let mut busy = 0;
    let body = serde_json::to_vec(&transaction(batch)).map_err(|e| refused(&e.to_string()))?;
    loop {
        let request = Request::post("/apis/stoa.dev/v1/transactions")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.clone())
            .map_err(|e| refused(&e.to_string()))?;
        match client.request::<TransactionResult>(request).await {
            Ok(result) => return versions(&result, batch.len()),
            Err(kube::Error::Api(status)) => {
                busy += 1;
                if !is_busy(status.code) || busy >= busy_max {
                    let (code, message) = (status.code, &status.message);
                    info!(
                        code,
                        message,
                        statuses = batch.len(),
                        "a report was not taken"
                    );
                    return Err(answer(code, message));
                }
            }
            Err(error) => {
                warn!(error = %super::join::chain(&error), "cannot report; trying again");
            }
        }
        backoff.pause().await;
    }
}

/// Codes that speak of the servers and not of the request. 401 is among them: a renewed
/// certificate will do.
fn is_busy(code: u16) -> bool {
    [401, 408, 429, 502, 503, 504].contains(&code)
}

fn answer(code: u16, message: &str) -> Answer {
    match code {
        404 => Answer::Gone,
        409 => Answer::Stale,
        _ => refused(message),
    }
}

fn refused(message: &str) -> Answer {
    Answer::Refused {
        message: message.to_owned(),
    }
}

fn versions(result: &TransactionResult, wanted: usize) -> Result<Vec<u64>, Answer> {
    let version = |object: &Value| {
        object
            .get("metadata")?
            .get("resourceVersion")?
            .as_str()?
            .parse::<u64>()
            .ok()
    };
    let versions: Option<Vec<u64>> = result.results.iter().map(version).collect();
    // An answer without versions still says that it is done; the watch tells the rest.
    versions
        .filter(|versions| versions.len() == wanted)
        .ok_or(Answer::Stale)
}

fn transaction(batch: &[Report]) -> Transaction {
    Transaction {
        api_version: API_VERSION.to_owned(),
        kind: "Transaction".to_owned(),
        request_id: clock::uuid().ok(),
        guards: Vec::new(),
        operations: batch.iter().map(operation).collect(),
    }
}

/// Uid and version are preconditions: the status of one run must land on no other.
fn operation(report: &Report) -> Operation {
    Operation {
        target: Target {
            api_version: API_VERSION.to_owned(),
            resource: "tasks".to_owned(),
            namespace: Some(report.namespace.clone()),
            name: report.name.clone(),
        },
        subresource: Some("status".to_owned()),
        verb: Verb::Patch,
        body: json!({
            "metadata": {"uid": report.id.uid(), "resourceVersion": report.version.to_string()},
            "status": report.status,
        }),
    }
}
