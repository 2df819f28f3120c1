//! Applies many objects in one transaction: all of them, or none and a list of reasons.

use manifests::bundle::{Operation, Target, Transaction, TransactionResult, Verb};
use manifests::kinds::API_VERSION;
use serde_json::Value;

use super::{Applied, Change, Options, Ready};
use crate::cluster::{Ask, Cluster, query};
use crate::exit::{Failure, Outcome};
use crate::{ambient, merge};

const PATH: &str = "/apis/stoa.dev/v1/transactions";

/// Rounds against others who write the same objects.
const ROUNDS: usize = 5;

/// Applies all of `ready` in one transaction.
pub(super) async fn apply(
    cluster: &Cluster,
    ready: &[Ready],
    options: Options,
) -> Outcome<Vec<Applied>> {
    if options.dry_run {
        return Err(
            Failure::usage("--atomic and --dry-run=server cannot be combined")
                .hint("use --dry-run=client, or leave --atomic away for the dry run"),
        );
    }
    let mut refused = None;
    for _ in 0..ROUNDS {
        let plan = plan(cluster, ready).await?;
        let transaction = transaction(&plan);
        if transaction.operations.is_empty() {
            return finish(plan, Vec::new());
        }
        let body = serde_json::to_value(&transaction)
            .map_err(|e| Failure::new("the transaction cannot be written").because(e))?;
        let path = query(PATH, &[("fieldValidation", options.validation.as_str())]);
        match cluster.send(Ask::post(path, &body)).await {
            Ok(answer) => {
                let result: TransactionResult =
                    serde_json::from_value(answer.value).map_err(|e| {
                        Failure::new("the server's answer is not understood").because(e)
                    })?;
                return finish(plan, result.results);
            }
            Err(e) if e.is_conflict() || e.is_already_exists() => refused = Some(e),
            Err(e) => return Err(nothing(&cluster.explain(e), &places(&plan))),
        }
    }
    let last = refused.map_or_else(|| Failure::new("nothing was tried"), |e| cluster.explain(e));
    Err(nothing(&last, &[]))
}

/// Where each operation of the plan's transaction was written.
fn places(plan: &[Step<'_>]) -> Vec<String> {
    let sent = plan.iter().filter(|step| step.change != Change::Unchanged);
    sent.map(|step| step.ready.place.clone()).collect()
}

/// Says that nothing was applied. `operations[3]` in the server's words is told by its place.
fn nothing(failure: &Failure, places: &[String]) -> Failure {
    let text = failure.text();
    let named = places.iter().enumerate().filter_map(|(index, place)| {
        let operation = format!("operations[{index}]");
        text.contains(&operation)
            .then(|| format!("{operation} is {place}"))
    });
    let hint = named.collect::<Vec<_>>().join("\n");
    let failure = Failure::new(format!("nothing was applied: {text}")).with_code(failure.code());
    if hint.is_empty() {
        failure
    } else {
        failure.hint(hint)
    }
}

/// What is to be done about one object.
#[derive(Debug)]
struct Step<'a> {
    ready: &'a Ready,
    change: Change,
    /// The object or patch to send, or the live object when nothing is to be done.
    body: Value,
}

async fn plan<'a>(cluster: &Cluster, ready: &'a [Ready]) -> Outcome<Vec<Step<'a>>> {
    let mut steps = Vec::new();
    for ready in ready {
        let wanted = merge::annotated(&ready.object);
        let live = cluster
            .find(&ready.kind.object(&ready.namespace, &ready.name))
            .await?;
        steps.push(match live {
            None => Step {
                ready,
                change: Change::Created,
                body: wanted,
            },
            Some(live) => step(ready, live, &wanted),
        });
    }
    Ok(steps)
}

fn step<'a>(ready: &'a Ready, live: Value, wanted: &Value) -> Step<'a> {
    match merge::patch(merge::last_applied(&live).as_ref(), &live, wanted) {
        None => Step {
            ready,
            change: Change::Unchanged,
            body: live,
        },
        Some(mut patch) => {
            // The merge was computed against this version and holds for no other.
            patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            Step {
                ready,
                change: Change::Configured,
                body: patch,
            }
        }
    }
}

fn transaction(plan: &[Step<'_>]) -> Transaction {
    let operations = plan.iter().filter_map(|step| {
        let verb = match step.change {
            Change::Created => Verb::Create,
            Change::Configured => Verb::Patch,
            Change::Unchanged => return None,
        };
        Some(Operation {
            target: target(step.ready),
            subresource: None,
            verb,
            body: step.body.clone(),
        })
    });
    Transaction {
        api_version: API_VERSION.to_owned(),
        kind: "Transaction".to_owned(),
        request_id: Some(uuid(ambient::random())),
        guards: Vec::new(),
        operations: operations.collect(),
    }
}

fn target(ready: &Ready) -> Target {
    Target {
        api_version: ready.kind.api_version(),
        resource: ready.kind.plural.clone(),
        namespace: ready.kind.namespaced.then(|| ready.namespace.clone()),
        name: ready.name.clone(),
    }
}

/// A UUID (version 4) of random bits.
fn uuid(bits: u128) -> String {
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn finish(plan: Vec<Step<'_>>, results: Vec<Value>) -> Outcome<Vec<Applied>> {
    let mut results = results.into_iter();
    let applied = plan.into_iter().map(|step| {
        let object = match step.change {
            Change::Unchanged => step.body,
            Change::Created | Change::Configured => results.next().ok_or_else(|| {
                Failure::new("the server answered for fewer objects than were sent")
            })?,
        };
        Ok(Applied {
            kind: step.ready.kind.clone(),
            change: step.change,
            object,
        })
    });
    applied.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_4_uuids() {
        let id = uuid(u128::MAX);
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
    }
}
