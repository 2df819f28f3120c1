//! Time from the create call to the sight of Running on a watch.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use manifests::kinds::Task;
use manifests::lifecycle::TaskState;
use tokio::sync::mpsc;

use crate::bench::figure::{Bar, Figure, milliseconds, percentile};
use crate::{Cluster, Fault, Outcome, objects, wait};

/// Pause between creates: a modest rate, at which no task waits for another.
const PACE: Duration = Duration::from_millis(50);

/// Longest any single task may take.
const SEEN_MAX: Duration = Duration::from_secs(30);

/// Creates `count` tasks one after another.
///
/// # Errors
/// When a task is never seen to run.
pub async fn measure(cluster: &Cluster, count: usize) -> Outcome<Vec<Figure>> {
    let client = cluster.client(&cluster.leader().await?).await?;
    let mut seen = watch(&client).await?;
    let mut created = HashMap::new();
    let mut samples = Vec::new();
    let mut ticks = tokio::time::interval(PACE);
    for number in 0..count {
        ticks.tick().await;
        let task = objects::task(&format!("single-{number:04}"), "bench", "sleep 1", "1");
        created.insert(task.name_any(), Instant::now());
        objects::create(&client, &task).await?;
        while let Ok(event) = seen.try_recv() {
            samples.extend(settle(&mut created, event));
        }
    }
    while !created.is_empty() {
        let event = wait::at_most("a task to be seen to run", SEEN_MAX, seen.recv()).await?;
        let event = event.ok_or_else(|| Fault::new("the watch ended"))?;
        samples.extend(settle(&mut created, event));
    }
    let figure = |name, percent, bar| {
        Figure::new(name, milliseconds(percentile(&samples, percent)), "ms", bar)
    };
    Ok(vec![
        figure("create to Running, p50", 50, Bar::AtMost(50.0)),
        figure("create to Running, p99", 99, Bar::None),
    ])
}

/// A task was seen to have started, at this instant.
type Seen = (String, Instant);

fn settle(created: &mut HashMap<String, Instant>, (name, at): Seen) -> Option<Duration> {
    created.remove(&name).map(|start| at.duration_since(start))
}

/// Names of tasks as a watch first shows them started; ends with the receiver.
async fn watch(client: &Client) -> Outcome<mpsc::Receiver<Seen>> {
    let (send, receive) = mpsc::channel(10_000);
    let params = WatchParams::default().timeout(290);
    let mut events = objects::tasks(client).watch(&params, "0").await?.boxed();
    tokio::spawn(async move {
        while let Some(Ok(event)) = events.next().await {
            let at = Instant::now();
            if let WatchEvent::Modified(task) = event
                && has_started(&task)
                && send.send((task.name_any(), at)).await.is_err()
            {
                return;
            }
        }
    });
    Ok(receive)
}

fn has_started(task: &Task) -> bool {
    objects::state(task) == TaskState::Running || objects::state(task) == TaskState::Finished
}
