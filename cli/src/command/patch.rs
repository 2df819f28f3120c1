//! `stoa patch`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::Value;

use crate::apply::MERGE;
use crate::cluster::{Ask, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::Kinds;
use crate::output::{self, Form};
use crate::target;

/// Flags of `patch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND NAME or KIND/NAME
    #[arg(required = true, num_args = 1..=2, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// The patch, as JSON or YAML
    #[arg(
        short,
        long,
        value_name = "PATCH",
        required_unless_present = "patch_file"
    )]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long, value_name = "FILE", conflicts_with = "patch")]
    patch_file: Option<PathBuf>,
    /// merge (RFC 7396), json (RFC 6902) or, for built-in kinds, strategic
    #[arg(long = "type", default_value = "merge", value_name = "TYPE")]
    form: Type,
    /// A part of the object, e.g. status
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Form of the result: yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    connect: Connect,
}

/// How the patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Type {
    /// RFC 7396.
    Merge,
    /// RFC 6902.
    Json,
    /// Lists of built-in kinds merge by their keys.
    Strategic,
}

/// Runs `patch`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let patch = patch(&args)?;
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    let media = match args.form {
        Type::Merge => MERGE,
        Type::Json => "application/json-patch+json",
        Type::Strategic => "application/strategic-merge-patch+json",
    };
    for (kind, name) in target::named(&kinds, &args.words)? {
        let mut path = kind.object(&cluster.namespace, &name);
        if let Some(part) = &args.subresource {
            path = format!("{path}/{part}");
        }
        let before = cluster.fetch(Ask::get(&path)).await?;
        let path = query(
            &path,
            &[
                ("fieldManager", "stoa-patch"),
                ("fieldValidation", "Strict"),
            ],
        );
        let answer = cluster.send(Ask::patch(path, media, &patch)).await;
        let answer = answer.map_err(|e| cluster.explain(e))?;
        output::warn(&answer.warnings);
        if let Some(form) = &args.output {
            form.print(&answer.value, &kind.label())?;
            continue;
        }
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let same = version(&before) == version(&answer.value);
        let word = if same {
            "patched (no change)"
        } else {
            "patched"
        };
        output::line(&format!("{}/{name} {word}", kind.label()))?;
    }
    Ok(())
}

fn patch(args: &Args) -> Outcome<Value> {
    let text = match (&args.patch, &args.patch_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|e| Failure::new(format!("{} cannot be read", file.display())).because(e))?,
        (None, None) => String::new(),
    };
    serde_saphyr::from_str(&text)
        .map_err(|e| Failure::usage("the patch is neither JSON nor YAML").because(e))
}
