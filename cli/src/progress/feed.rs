//! Lists and watches tasks for the board, over whichever server answers, for as long as anybody listens.

use std::time::Duration;

use futures::StreamExt;
use manifests::kinds::Task;
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::board::{Event, Key};
use crate::cluster::{Ask, Cluster};

const TASKS: &str = "/apis/stoa.dev/v1/tasks";

/// Pause before another server is tried: an election takes about this long.
const PAUSE: Duration = Duration::from_millis(300);

/// News kept while the display is busy; the watch waits beyond that.
const BACKLOG: usize = 256;

/// What the feed delivers.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// All tasks there are.
    All(Vec<Task>),
    /// One change.
    One(Event),
}

impl News {
    /// As events of the board.
    pub(crate) fn into_events(self) -> Vec<Event> {
        match self {
            Self::One(event) => vec![event],
            Self::All(tasks) => {
                let present = tasks.iter().map(Key::of).collect();
                let seen = tasks.into_iter().map(|task| Event::Seen(Box::new(task)));
                seen.chain([Event::Listed(present)]).collect()
            }
        }
    }
}

/// Starts the feed; it ends when the receiver is dropped.
pub(crate) fn start(clusters: Vec<Cluster>) -> Receiver<News> {
    let (sender, receiver) = channel(BACKLOG);
    tokio::spawn(async move {
        for cluster in clusters.iter().cycle() {
            // Each round ends with a broken watch; the next one begins with a fresh list.
            follow(cluster, &sender).await;
            if sender.is_closed() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    receiver
}

async fn follow(cluster: &Cluster, sender: &Sender<News>) -> Option<()> {
    let list = cluster.send(Ask::get(TASKS)).await.ok()?.value;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let tasks = items.into_iter().filter_map(read).collect();
    sender.send(News::All(tasks)).await.ok()?;
    let revision = list["metadata"]["resourceVersion"].as_str()?;
    let path = crate::cluster::query(TASKS, &[("watch", "1"), ("resourceVersion", revision)]);
    let mut events = cluster.watch(&path, "application/json").await.ok()?;
    loop {
        let event = tokio::select! {
            event = events.next() => event?.ok()?,
            () = sender.closed() => return None,
        };
        let news = interpret(event)?;
        sender.send(News::One(news)).await.ok()?;
    }
}

/// A watch event as one of the board; none for an error, after which one lists again.
fn interpret(mut event: Value) -> Option<Event> {
    let task = read(event["object"].take());
    match event["type"].as_str() {
        Some("ADDED" | "MODIFIED") => Some(Event::Seen(Box::new(task?))),
        Some("DELETED") => Some(Event::Gone(Key::of(&task?))),
        Some(_) | None => None,
    }
}

fn read(object: Value) -> Option<Task> {
    serde_json::from_value(object)
        .inspect_err(|error| tracing::debug!(%error, "a task that this program cannot read"))
        .ok()
}
