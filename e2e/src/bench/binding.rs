//! How fast a backlog is bound once agents open their doors.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use manifests::bundle::{Operation, Target, Transaction, Verb};
use manifests::kinds::{API_VERSION, Agent, Task};
use serde_json::json;

use crate::bench::figure::{Bar, Figure, number};
use crate::{Cluster, Outcome, connect, fault, objects, wait};

/// Tasks created by one transaction.
const BATCH: usize = 250;

/// Longest the backlog may take to be bound, and then to be run.
const DONE_MAX: Duration = Duration::from_secs(600);

/// Cordons all agents, lets `count` tasks wait, uncordons, and reads `status.boundAt` of each.
///
/// # Errors
/// When the backlog is not bound in time.
pub async fn measure(cluster: &Cluster, count: usize) -> Outcome<Vec<Figure>> {
    let client = cluster.client(&cluster.leader().await?).await?;
    cordon(&client, true).await?;
    let creating = Instant::now();
    for first in (0..count).step_by(BATCH) {
        create_batch(&client, first..count.min(first + BATCH)).await?;
    }
    let created = number(count) / creating.elapsed().as_secs_f64();
    let (opened, opened_at) = (Instant::now(), Timestamp::now());
    cordon(&client, false).await?;
    let stamps = all_bound(&client, count).await?;
    let wall = opened.elapsed().as_secs_f64();
    let finished = all_ended(&client, count)
        .await
        .map(|()| opened.elapsed().as_secs_f64())?;
    Ok(vec![
        Figure::new(
            "tasks bound per second, uncordon to last boundAt",
            rate(opened_at, &stamps),
            "/s",
            Bar::AtLeast(1_000.0),
        ),
        Figure::new(
            "tasks bound per second, uncordon to last seen bound",
            number(count) / wall,
            "/s",
            Bar::None,
        ),
        Figure::new(
            "tasks run to their end per second",
            number(count) / finished,
            "/s",
            Bar::None,
        ),
        Figure::new(
            "tasks created per second, 250 to a transaction",
            created,
            "/s",
            Bar::None,
        ),
    ])
}

async fn cordon(client: &Client, unschedulable: bool) -> Outcome<()> {
    let agents: Api<Agent> = Api::all(client.clone());
    for agent in agents.list(&kube::api::ListParams::default()).await? {
        let patch = json!({"spec": {"unschedulable": unschedulable}});
        agents
            .patch(
                &agent.name_any(),
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await?;
    }
    Ok(())
}

async fn create_batch(client: &Client, numbers: std::ops::Range<usize>) -> Outcome<()> {
    let operation = |number: usize| {
        let mut task = objects::task(&format!("backlog-{number:05}"), "bench", "exit 0", "1");
        task.spec.command = vec!["/bin/true".to_owned()];
        Ok(Operation {
            target: Target {
                api_version: API_VERSION.to_owned(),
                resource: "tasks".to_owned(),
                namespace: Some(objects::NAMESPACE.to_owned()),
                name: task.name_any(),
            },
            subresource: None,
            verb: Verb::Create,
            body: serde_json::to_value(task)?,
        })
    };
    let transaction = Transaction {
        api_version: API_VERSION.to_owned(),
        kind: "Transaction".to_owned(),
        request_id: None,
        guards: Vec::new(),
        operations: numbers.map(operation).collect::<Outcome<_>>()?,
    };
    let body = serde_json::to_vec(&transaction)?;
    let path = "/apis/stoa.dev/v1/transactions";
    let answer = connect::write(client, "POST", path, "application/json", body).await?;
    fault::ensure(answer.status.is_success(), || {
        format!("{} {}", answer.status, answer.text())
    })
}

/// The binding stamps of all tasks of the backlog.
async fn all_bound(client: &Client, count: usize) -> Outcome<Vec<Timestamp>> {
    wait::until("the backlog to be bound", DONE_MAX, async || {
        let tasks = objects::list_tasks(client).await?;
        let stamps: Vec<_> = backlog(&tasks).filter_map(bound_at).collect();
        fault::ensure(stamps.len() == count, || {
            format!("{} of {count} are", stamps.len())
        })?;
        Ok(stamps)
    })
    .await
}

async fn all_ended(client: &Client, count: usize) -> Outcome<()> {
    wait::until("the backlog to be run", DONE_MAX, async || {
        let tasks = objects::list_tasks(client).await?;
        let ended = backlog(&tasks)
            .filter(|t| objects::state(t).is_terminal())
            .count();
        fault::ensure(ended == count, || format!("{ended} of {count} are"))
    })
    .await
}

fn backlog(tasks: &[Task]) -> impl Iterator<Item = &Task> {
    tasks
        .iter()
        .filter(|task| task.name_any().starts_with("backlog-"))
}

fn bound_at(task: &Task) -> Option<Timestamp> {
    Some(task.status.as_ref()?.bound_at.as_ref()?.0)
}

/// Bindings per second from `start` to the last one: the scheduler's own time to react counts.
fn rate(start: Timestamp, stamps: &[Timestamp]) -> f64 {
    let last = stamps
        .iter()
        .max()
        .map_or(0.0, |last| last.duration_since(start).as_secs_f64());
    // All stamps are of one machine; a millisecond guards against a clock that was set.
    number(stamps.len()) / last.max(0.001)
}
