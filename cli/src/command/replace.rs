//! `stoa replace`.

use super::apply::judge;
use crate::cluster::{Ask, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::Kinds;
use crate::output;
use crate::source::{Files, Validation};

/// Flags of `replace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    manifests: Files,
    /// What to do about unknown fields
    #[arg(long, default_value = "strict", value_name = "HOW")]
    validate: Validation,
    /// Only ask the server what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `replace`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let loaded = args.manifests.load(args.validate)?;
    judge(&loaded, false)?;
    let cluster = args.connect.or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    for mut given in loaded.objects {
        let place = given.place;
        let Some(kind) = kinds.of_object(&given.object) else {
            let word = &given.object["kind"];
            return Err(Failure::new(format!(
                "{place}: the server knows no kind {word}"
            )));
        };
        let metadata = &given.object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let namespace = metadata["namespace"].as_str().unwrap_or(&cluster.namespace);
        let path = kind.object(namespace, &name);
        if metadata["resourceVersion"].is_null() {
            // Whatever is there now is what the file replaces.
            let live = cluster.fetch(Ask::get(&path)).await?;
            given.object["metadata"]["resourceVersion"] =
                live["metadata"]["resourceVersion"].clone();
        }
        let validation = args.validate.as_str();
        let mut path = query(
            &path,
            &[
                ("fieldManager", "stoa-replace"),
                ("fieldValidation", validation),
            ],
        );
        if args.dry_run {
            path = query(&path, &[("dryRun", "All")]);
        }
        let answer = cluster.send(Ask::put(path, &given.object)).await;
        let answer = answer.map_err(|e| {
            let failure = cluster.explain(e);
            let code = failure.code();
            Failure::new(format!("{place}: {}", failure.text())).with_code(code)
        })?;
        output::warn(&answer.warnings);
        let suffix = if args.dry_run {
            " (server dry run)"
        } else {
            ""
        };
        output::line(&format!("{}/{name} replaced{suffix}", kind.label()))?;
    }
    Ok(())
}
