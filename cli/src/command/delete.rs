//! `stoa delete`.

use clap::ValueEnum;
use manifests::duration::Span;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::apply::judge;
use super::wait::{self, Goal};
use crate::cluster::{Ask, Cluster, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::source::{Files, Validation};
use crate::{output, target};

/// Flags of `delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND NAME... or KIND/NAME...; KIND alone with --all or -l
    #[arg(value_name = "KIND[/NAME]", required_unless_present = "files")]
    words: Vec<String>,
    #[command(flatten)]
    manifests: Files,
    /// All objects of the kind, in the namespace
    #[arg(long)]
    all: bool,
    /// Objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Wait until the objects are gone
    #[arg(long, default_value = "true", num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    wait: bool,
    /// Longest wait
    #[arg(long, default_value = "5m", value_name = "TIME")]
    timeout: Span,
    /// Seconds between the request to stop and the kill
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,
    /// What becomes of objects that this one owns
    #[arg(long, default_value = "background", value_name = "HOW")]
    cascade: Cascade,
    /// No error for objects that do not exist
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    connect: Connect,
}

/// What becomes of objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cascade {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Cascade {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

struct Doomed {
    kind: Kind,
    namespace: String,
    name: String,
}

/// Runs `delete`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    let doomed = doomed(&cluster, &kinds, &args).await?;
    let mut going = Vec::new();
    let mut missing = Vec::new();
    for one in doomed {
        match delete(&cluster, &one, &args).await? {
            Some(uid) => {
                output::line(&format!("{} {:?} deleted", one.kind.label(), one.name))?;
                going.push((one, uid));
            }
            None if args.ignore_not_found => {}
            None => missing.push(format!("{} {:?} does not exist", one.kind.plural, one.name)),
        }
    }
    if args.wait {
        let deadline = Instant::now() + args.timeout.as_duration();
        for (one, uid) in going {
            let goal = Goal::Deleted { uid };
            wait::until(
                &cluster,
                &one.kind,
                &one.namespace,
                &one.name,
                &goal,
                deadline,
            )
            .await?;
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(missing.join("\nerror: ")).with_code(crate::exit::Code::NotFound))
}

async fn doomed(cluster: &Cluster, kinds: &Kinds, args: &Args) -> Outcome<Vec<Doomed>> {
    if !args.manifests.files.is_empty() {
        let loaded = args.manifests.load(Validation::Ignore)?;
        judge(&loaded, false)?;
        // Last things first: what others lean on goes after them.
        let objects = loaded.objects.iter().rev();
        return objects
            .map(|given| written(cluster, kinds, &given.object))
            .collect();
    }
    let here = |(kind, name)| Doomed {
        kind,
        namespace: cluster.namespace.clone(),
        name,
    };
    if !args.all && args.selector.is_none() {
        return Ok(target::named(kinds, &args.words)?
            .into_iter()
            .map(here)
            .collect());
    }
    let mut found = Vec::new();
    for target in target::parse(kinds, &args.words)? {
        let path = target.kind.path(Some(&cluster.namespace));
        let labels = args
            .selector
            .iter()
            .map(|labels| ("labelSelector", labels.as_str()));
        let list = cluster
            .fetch(Ask::get(query(&path, &labels.collect::<Vec<_>>())))
            .await?;
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        let names = items
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str());
        found.extend(names.map(|name| here((target.kind.clone(), name.to_owned()))));
    }
    if found.is_empty() {
        eprintln!("No resources found");
    }
    Ok(found)
}

fn written(cluster: &Cluster, kinds: &Kinds, object: &Value) -> Outcome<Doomed> {
    let kind = kinds.of_object(object).cloned().ok_or_else(|| {
        Failure::new(format!(
            "the server knows no kind {} in {}",
            object["kind"], object["apiVersion"]
        ))
    })?;
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"]
        .as_str()
        .unwrap_or(&cluster.namespace)
        .to_owned();
    let name = metadata["name"].as_str().unwrap_or_default().to_owned();
    Ok(Doomed {
        kind,
        namespace,
        name,
    })
}

/// Deletes one object; its uid, or none when it did not exist.
async fn delete(cluster: &Cluster, one: &Doomed, args: &Args) -> Outcome<Option<Option<String>>> {
    let mut options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions",
        "propagationPolicy": args.cascade.as_str(),
    });
    if let Some(seconds) = args.grace_period {
        options["gracePeriodSeconds"] = seconds.into();
    }
    let path = one.kind.object(&one.namespace, &one.name);
    match cluster.send(Ask::delete(path, &options)).await {
        Ok(answer) => {
            output::warn(&answer.warnings);
            // Either the object (it goes later) or a Status that names it.
            let of = |place: &Value| place["uid"].as_str().map(str::to_owned);
            Ok(Some(
                of(&answer.value["metadata"]).or_else(|| of(&answer.value["details"])),
            ))
        }
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(cluster.explain(e)),
    }
}
