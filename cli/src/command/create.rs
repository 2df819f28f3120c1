//! `stoa create`.

use super::apply::judge;
use crate::cluster::{Ask, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::Kinds;
use crate::output::{self, Form};
use crate::source::{Files, Validation};

/// Flags of `create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    manifests: Files,
    /// What to do about unknown fields
    #[arg(long, default_value = "strict", value_name = "HOW")]
    validate: Validation,
    /// Form of the result: yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `create`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let loaded = args.manifests.load(args.validate)?;
    judge(&loaded, false)?;
    let cluster = args.connect.or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    for given in loaded.objects {
        let Some(kind) = kinds.of_object(&given.object) else {
            let word = &given.object["kind"];
            return Err(Failure::new(format!(
                "{}: the server knows no kind {word}",
                given.place
            )));
        };
        let namespace = given.object["metadata"]["namespace"].as_str();
        let path = kind.path(Some(namespace.unwrap_or(&cluster.namespace)));
        let how = [
            ("fieldManager", "stoa-create"),
            ("fieldValidation", args.validate.as_str()),
        ];
        let path = query(&path, &how);
        let answer = cluster
            .send(Ask::post(path, &given.object))
            .await
            .map_err(|e| {
                let failure = cluster.explain(e);
                let code = failure.code();
                Failure::new(format!("{}: {}", given.place, failure.text())).with_code(code)
            })?;
        output::warn(&answer.warnings);
        match &args.output {
            Some(form) => form.print(&answer.value, &kind.label())?,
            None => {
                let name = answer.value["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default();
                output::line(&format!("{}/{name} created", kind.label()))?;
            }
        }
    }
    Ok(())
}
