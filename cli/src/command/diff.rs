//! `stoa diff`: what applying manifests would change, line by line, as the server would store it.

use serde_json::Value;

use super::apply::judge;
use crate::apply::{self, Options};
use crate::cluster::{Ask, Cluster};
use crate::connect::Connect;
use crate::exit::{Code, Failure, Outcome};
use crate::kinds::Kinds;
use crate::lines;
use crate::output;
use crate::source::{Files, Validation};

/// Flags of `diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    manifests: Files,
    /// Compare with what a server-side apply would give
    #[arg(long)]
    server_side: bool,
    /// With --server-side: take fields over from other managers
    #[arg(long, requires = "server_side")]
    force_conflicts: bool,
    /// Show metadata.managedFields too
    #[arg(long)]
    show_managed_fields: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `diff`. Exit code 1: there are differences.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let connect = args.connect.clone().or(outer);
    let loaded = args.manifests.load(Validation::Strict)?;
    judge(&loaded, false)?;
    let cluster = connect.cluster().await?;
    let options = Options {
        dry_run: true,
        server_side: args.server_side,
        force_conflicts: args.force_conflicts,
        namespace_is_fixed: connect.namespace.is_some(),
        ..Options::default()
    };
    let mut before = Vec::new();
    let kinds = Kinds::of(&cluster).await?;
    for given in &loaded.objects {
        before.push(live(&cluster, &kinds, &given.object).await?);
    }
    let places: Vec<Value> = loaded.objects.iter().map(|g| g.object.clone()).collect();
    let applied = apply::all(&cluster, loaded.objects, options, &mut |_| Ok(())).await?;
    let mut differs = false;
    for (was, object) in before.into_iter().zip(&places) {
        let same = |one: &&apply::Applied| {
            one.object["kind"] == object["kind"]
                && one.name() == object["metadata"]["name"].as_str().unwrap_or_default()
        };
        let Some(one) = applied.iter().find(same) else {
            continue;
        };
        let (mut was, mut is) = (was.unwrap_or_default(), one.object.clone());
        if is["kind"] == "Secret" {
            lines::mask(&mut was, &mut is);
        }
        let (old, new) = (shown(was, &args)?, shown(is, &args)?);
        if let Some(text) = lines::unified(&old, &new, &one.label()) {
            differs = true;
            output::raw(text.as_bytes())?;
        }
    }
    if differs {
        return Err(Failure::silent(Code::Failure));
    }
    Ok(())
}

async fn live(cluster: &Cluster, kinds: &Kinds, object: &Value) -> Outcome<Option<Value>> {
    let Some(kind) = kinds.of_object(object) else {
        return Ok(None);
    };
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or(&cluster.namespace);
    let name = metadata["name"].as_str().unwrap_or_default();
    match cluster.send(Ask::get(kind.object(namespace, name))).await {
        Ok(answer) => Ok(Some(answer.value)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(cluster.explain(e)),
    }
}

/// The object as YAML, without what differs by itself; nothing of one that is not there.
fn shown(mut object: Value, args: &Args) -> Outcome<String> {
    if object.is_null() {
        return Ok(String::new());
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if !args.show_managed_fields {
            metadata.remove("managedFields");
        }
        for field in ["resourceVersion", "generation", "uid", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
    serde_saphyr::to_string(&object)
        .map_err(|e| Failure::new("the object cannot be shown as YAML").because(e))
}
