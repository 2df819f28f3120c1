//! `stoa secrets rotate`: everything that is encrypted in the store gets a new key.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cluster::Ask;
use crate::connect::Connect;
use crate::exit::Outcome;
use crate::output;

const PATH: &str = "/apis/stoa.dev/v1/datakeys";

/// What to do with secrets at rest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Encrypt all Secrets in the store with a new key, while the cluster works on
    Rotate {
        #[command(flatten)]
        connect: Connect,
    },
}

/// Runs `secrets`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let Action::Rotate { connect } = args.action;
    let cluster = connect.or(outer).cluster().await?;
    let answer: Value = cluster.fetch(Ask::post(PATH, &json!({}))).await?;
    output::line(answer["message"].as_str().unwrap_or("rotated"))
}
