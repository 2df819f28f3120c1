//! `stoa scale`.

use serde_json::json;

use crate::apply::MERGE;
use crate::cluster::{Ask, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::Kinds;
use crate::{output, target};

/// Flags of `scale`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND NAME or KIND/NAME...
    #[arg(required = true, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// How many there shall be
    #[arg(long, value_name = "N")]
    replicas: u32,
    /// Only if there are so many now
    #[arg(long, value_name = "N")]
    current_replicas: Option<u32>,
    /// Only ask the server what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `scale`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    for (kind, name) in target::named(&kinds, &args.words)? {
        let path = format!("{}/scale", kind.object(&cluster.namespace, &name));
        let mut patch = json!({"spec": {"replicas": args.replicas}});
        if let Some(expected) = args.current_replicas {
            let now = cluster.fetch(Ask::get(&path)).await?;
            if now["spec"]["replicas"] != expected {
                return Err(Failure::new(format!(
                    "{}/{name} has {} replicas, not {expected}",
                    kind.label(),
                    now["spec"]["replicas"]
                )));
            }
            // Whoever scales in between wins, and we hear of it.
            let version = now["metadata"]["resourceVersion"].clone();
            patch["metadata"] = json!({"resourceVersion": version});
        }
        let mut path = query(&path, &[("fieldManager", "stoa-scale")]);
        if args.dry_run {
            path = query(&path, &[("dryRun", "All")]);
        }
        let answer = cluster.send(Ask::patch(path, MERGE, &patch)).await;
        let answer = answer.map_err(|e| cluster.explain(e))?;
        output::warn(&answer.warnings);
        let suffix = if args.dry_run {
            " (server dry run)"
        } else {
            ""
        };
        output::line(&format!("{}/{name} scaled{suffix}", kind.label()))?;
    }
    Ok(())
}
