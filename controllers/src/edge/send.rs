//! Sends transactions. A lost answer is not a refusal: the same request id is sent again until the
//! outcome is known, and the server applies it once.

use std::time::Duration;

use kube::Client;
use manifests::bundle::{Guard, Operation, Transaction, TransactionResult};
use manifests::kinds::API_VERSION;

use crate::effect::{Answer, Refusal};

/// Where transactions go.
const PATH: &str = "/apis/stoa.dev/v1/transactions";

/// Pauses between attempts to learn an outcome.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// The run is over: another replica leads, or another run has begun.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deposed;

/// Sends the operations as one transaction under these guards, until its outcome is known.
pub(super) async fn submit(
    client: &Client,
    guards: &[Guard],
    request_id: String,
    operations: Vec<Operation>,
) -> Result<Answer, Deposed> {
    let transaction = Transaction {
        api_version: API_VERSION.to_owned(),
        kind: "Transaction".to_owned(),
        request_id: Some(request_id),
        guards: guards.to_vec(),
        operations,
    };
    let body = match serde_json::to_vec(&transaction) {
        Ok(body) => body,
        Err(error) => return Ok(unsendable(&error)),
    };
    let mut pause = PAUSE_FIRST;
    loop {
        let error = match post(client, body.clone()).await {
            Ok(answer) => return answer,
            Err(error) => error,
        };
        tracing::debug!(%error, "transaction unanswered; asking again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

/// One attempt. `Err`: the outcome is not known.
async fn post(client: &Client, body: Vec<u8>) -> Result<Result<Answer, Deposed>, kube::Error> {
    let request = http::Request::post(PATH)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    match client.request::<TransactionResult>(request).await {
        Ok(result) => Ok(Ok(Answer::Applied(result.results))),
        Err(kube::Error::Api(status)) if is_final(status.code) => Ok(refused(&status)),
        Err(error) => Err(error),
    }
}

/// Too many requests, timeouts and failures of the server say nothing about the outcome.
fn is_final(code: u16) -> bool {
    (400..500).contains(&code) && code != 408 && code != 429
}

fn refused(status: &kube::core::Status) -> Result<Answer, Deposed> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut at = None;
    for cause in causes {
        if cause.field.starts_with("guards[") {
            return Err(Deposed);
        }
        at = at.or_else(|| operation(&cause.field));
    }
    Ok(Answer::Refused(Refusal {
        code: status.code,
        message: status.message.clone(),
        at,
    }))
}

/// The index in `operations[3].spec.x`.
fn operation(field: &str) -> Option<usize> {
    let rest = field.strip_prefix("operations[")?;
    rest.split_once(']')?.0.parse().ok()
}

fn unsendable(error: &serde_json::Error) -> Answer {
    Answer::Refused(Refusal {
        code: 400,
        message: error.to_string(),
        at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_read_from_the_cause() {
        for (field, index) in [
            ("operations[3].spec.x", Some(3)),
            ("operations[12]", Some(12)),
            ("spec.x", None),
            ("operations[x]", None),
        ] {
            assert_eq!(operation(field), index, "{field}");
        }
    }
}
