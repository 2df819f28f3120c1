//! `stoa logs`.

use std::time::Duration;

use clap::ValueEnum;
use futures::StreamExt;
use manifests::kinds::Task;
use manifests::lifecycle::TaskState;

use super::wait::{self, Goal};
use crate::cluster::{Ask, Cluster, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::Kinds;
use crate::{explain, output};

/// Flags of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NAME or task/NAME
    #[arg(value_name = "TASK")]
    task: String,
    /// Go on until the task ends; waits for a task that has not started
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Which output
    #[arg(long, default_value = "all", value_name = "STREAM")]
    stream: Stream,
    /// Of an earlier run, counted from 0; the present or last one if not given
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    #[command(flatten)]
    connect: Connect,
}

/// Which output of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stream {
    /// Standard output, then standard error; under --follow as they come.
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    const fn as_str(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Stdout => "Stdout",
            Self::Stderr => "Stderr",
        }
    }
}

/// Runs `logs`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let name = name(&args.task)?;
    if args.follow && args.attempt.is_none() {
        started(&cluster, name).await?;
    }
    let mut path = format!("{}/log", object(&cluster.namespace, name));
    path = query(&path, &[("stream", args.stream.as_str())]);
    if args.follow {
        path = query(&path, &[("follow", "true")]);
    }
    if let Some(lines) = args.tail {
        path = query(&path, &[("tailLines", &lines.to_string())]);
    }
    if let Some(attempt) = args.attempt {
        path = query(&path, &[("attempt", &attempt.to_string())]);
    }
    let mut bytes = cluster.stream(&path).await.map_err(|e| {
        cluster
            .explain(e)
            .hint(format!("`stoa why task/{name}` says how the task is"))
    })?;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|e| Failure::new("the log broke off").because(e))?;
        output::raw(&chunk)?;
    }
    Ok(())
}

fn object(namespace: &str, name: &str) -> String {
    format!("/apis/stoa.dev/v1/namespaces/{namespace}/tasks/{name}")
}

fn name(word: &str) -> Outcome<&str> {
    let Some((kind, name)) = word.split_once('/') else {
        return Ok(word);
    };
    if ["task", "tasks", "tk", "task.stoa.dev", "tasks.stoa.dev"].contains(&kind) {
        return Ok(name);
    }
    Err(Failure::usage(format!("{word} has no log"))
        .hint("only tasks have one: write TASK or task/TASK"))
}

/// Waits until there can be a log.
async fn started(cluster: &Cluster, name: &str) -> Outcome {
    let value = cluster
        .fetch(Ask::get(object(&cluster.namespace, name)))
        .await?;
    let task: Task = serde_json::from_value(value)
        .map_err(|e| Failure::new("the server's object is not understood").because(e))?;
    let state = task
        .status
        .as_ref()
        .map_or(TaskState::Pending, |status| status.state);
    let waits = matches!(
        state,
        TaskState::Pending | TaskState::Staging | TaskState::Starting
    );
    if !waits {
        return Ok(());
    }
    eprintln!("{}", explain::task(&task).join("\n  "));
    let kinds = Kinds::offline();
    let kind = kinds.resolve("task")?;
    let goal = Goal::Started;
    // As long as a person is prepared to watch: Ctrl-C ends it.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(365 * 86_400);
    wait::until(cluster, kind, &cluster.namespace, name, &goal, deadline).await
}
