//! `stoa apply`.

use std::time::Duration;

use clap::ValueEnum;
use manifests::duration::Span;
use serde_json::Value;

use super::wait::{self, Goal};
use crate::apply::{self, Applied, Options};
use crate::cluster::Cluster;
use crate::connect::Connect;
use crate::exit::{Code, Failure, Outcome};
use crate::kinds::Kinds;
use crate::output::{self, Form, form};
use crate::progress::{Key, Progress};
use crate::source::{Files, Given, Loaded, Validation};

/// Flags of `apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    manifests: Files,
    /// All of them in one transaction, or none
    #[arg(long)]
    atomic: bool,
    /// Let the server merge, and keep who set which field
    #[arg(long, conflicts_with = "atomic")]
    server_side: bool,
    /// With --server-side: take fields over from other managers
    #[arg(long, requires = "server_side")]
    force_conflicts: bool,
    /// Wait until tasks have ended and other objects are ready, or for CONDITION on each object
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "CONDITION")]
    wait: Option<String>,
    /// Longest wait
    #[arg(long, default_value = "5m", requires = "wait", value_name = "TIME")]
    timeout: Span,
    /// Only say what would happen: checked here (client) or by the server
    #[arg(long, default_value = "none", num_args = 0..=1, default_missing_value = "client", value_name = "WHERE")]
    dry_run: DryRun,
    /// What to do about unknown fields
    #[arg(long, default_value = "strict", value_name = "HOW")]
    validate: Validation,
    /// Apply the good documents although there are bad ones (the exit code is still 1)
    #[arg(long)]
    continue_on_error: bool,
    /// Form of the result: yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    connect: Connect,
}

/// Where a dry run takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// Nowhere: it is no dry run.
    None,
    /// Here, without a server.
    Client,
    /// In the server, which writes nothing.
    Server,
}

/// Runs `apply`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let connect = args.connect.clone().or(outer);
    let loaded = args.manifests.load(args.validate)?;
    let bad = judge(&loaded, args.continue_on_error)?;
    if args.dry_run == DryRun::Client {
        pretend(&loaded.objects, args.output.as_ref())?;
        return bad.map_or(Ok(()), Err);
    }
    let cluster = connect.cluster().await?;
    let options = Options {
        atomic: args.atomic,
        server_side: args.server_side,
        force_conflicts: args.force_conflicts,
        dry_run: args.dry_run == DryRun::Server,
        validation: args.validate,
        namespace_is_fixed: connect.namespace.is_some(),
    };
    let form = args.output.clone();
    let suffix = if options.dry_run {
        " (server dry run)"
    } else {
        ""
    };
    let mut told = |one: &Applied| match &form {
        None => output::line(&format!("{} {}{suffix}", one.label(), one.change.as_str())),
        Some(_) => Ok(()),
    };
    let applied = apply::all(&cluster, loaded.objects, options, &mut told).await?;
    if let Some(form) = &form {
        print(&applied, form)?;
    }
    if let (Some(condition), DryRun::None) = (&args.wait, args.dry_run) {
        waited(&cluster, &applied, condition, args.timeout.as_duration()).await?;
    }
    bad.map_or(Ok(()), Err)
}

/// Says what is wrong with the manifests. Bad documents are an error: at once, or, when the good ones
/// are to be applied all the same, afterwards (the value returned).
pub(crate) fn judge(loaded: &Loaded, go_on: bool) -> Outcome<Option<Failure>> {
    output::warn(&loaded.warnings);
    if loaded.problems.is_empty() {
        if loaded.objects.is_empty() {
            return Err(Failure::new("the manifests hold no object"));
        }
        return Ok(None);
    }
    for problem in &loaded.problems {
        eprintln!("{problem}");
    }
    let count = match loaded.problems.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    if go_on {
        let good = loaded.objects.len();
        return Ok(Some(Failure::new(format!(
            "{count}; the {good} good documents were applied"
        ))));
    }
    Err(
        Failure::new(format!("{count} in the manifests; nothing was applied"))
            .hint("mend them, or apply the good documents alone with --continue-on-error"),
    )
}

fn pretend(objects: &[Given], form: Option<&Form>) -> Outcome {
    let kinds = Kinds::offline();
    for given in objects {
        let object = &given.object;
        let label = match kinds.of_object(object) {
            Some(kind) => kind.label(),
            None => unknown(object),
        };
        match form {
            None => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                output::line(&format!("{label}/{name} applied (client dry run)"))?;
            }
            Some(form) => form.print(object, &label)?,
        }
    }
    Ok(())
}

/// `widget.example.com` for a kind only a server can know.
fn unknown(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version
        .split_once('/')
        .map_or(kind.clone(), |(group, _)| format!("{kind}.{group}"))
}

fn print(applied: &[Applied], form: &Form) -> Outcome {
    match (form, applied) {
        (Form::Yaml(_) | Form::Json(_), [one]) => form.print(&one.object, ""),
        (Form::Yaml(_) | Form::Json(_), _) => {
            let items: Vec<_> = applied.iter().map(|one| one.object.clone()).collect();
            form.print(&form::list(&items), "")
        }
        (Form::Wide | Form::Name | Form::Path(_), _) => applied
            .iter()
            .try_for_each(|one| form.print(&one.object, &one.kind.label())),
    }
}

async fn waited(
    cluster: &Cluster,
    applied: &[Applied],
    condition: &str,
    limit: Duration,
) -> Outcome {
    let deadline = tokio::time::Instant::now() + limit;
    for one in applied {
        let goal = match condition {
            "" => usual_goal(&one.kind.kind).map(str::to_owned),
            text => Some(text.to_owned()),
        };
        if let Some(goal) = goal {
            let goal: Goal = goal.parse().map_err(Failure::usage)?;
            wait::until(
                cluster,
                &one.kind,
                one.namespace(),
                one.name(),
                &goal,
                deadline,
            )
            .await?;
        }
    }
    if condition.is_empty() {
        ended(cluster, applied, deadline).await
    } else {
        Ok(())
    }
}

/// What `--wait` alone waits for. Tasks are followed to their end instead.
fn usual_goal(kind: &str) -> Option<&'static str> {
    match kind {
        "Reservation" => Some("condition=Bound"),
        "Agent" | "Framework" => Some("condition=Ready"),
        "CustomResourceDefinition" => Some("condition=Established"),
        _ => None,
    }
}

async fn ended(cluster: &Cluster, applied: &[Applied], deadline: tokio::time::Instant) -> Outcome {
    let goals = tasks(applied);
    if goals.is_empty() {
        return Ok(());
    }
    let mut progress = Progress::start(vec![cluster.clone()], goals);
    let end = tokio::time::timeout_at(deadline, async { while !progress.step().await {} }).await;
    progress.stop();
    if end.is_err() {
        return Err(Failure::new("not all tasks ended in time")
            .with_code(Code::Timeout)
            .hint(progress.unfinished().join("\n")));
    }
    let failures = progress.failures();
    if failures.is_empty() {
        return output::line(&progress.summary());
    }
    let lines: Vec<_> = failures
        .iter()
        .map(|e| format!("{}: {}", e.key, e.why))
        .collect();
    Err(Failure::new(progress.summary()).hint(lines.join("\n")))
}

/// The tasks that follow from what was applied: tasks, and the members of groups.
fn tasks(applied: &[Applied]) -> Vec<Key> {
    applied
        .iter()
        .flat_map(|one| goals(&one.object, one.namespace()))
        .collect()
}

/// The tasks that follow from one object.
pub(crate) fn goals(object: &Value, namespace: &str) -> Vec<Key> {
    let key = |name: String| Key {
        namespace: namespace.to_owned(),
        name,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match object["kind"].as_str() {
        Some("Task") => vec![key(name.to_owned())],
        Some("TaskGroup") => {
            let members = object["spec"]["tasks"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            let names = members.iter().filter_map(|member| member["name"].as_str());
            names
                .map(|member| key(format!("{name}-{member}")))
                .collect()
        }
        Some(_) | None => Vec::new(),
    }
}
