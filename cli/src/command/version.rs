//! `stoa version`.

use serde_json::{Value, json};

use crate::cluster::Ask;
use crate::connect::Connect;
use crate::exit::Outcome;
use crate::output::{self, Form};

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this program; asks no server
    #[arg(long)]
    client: bool,
    /// yaml or json
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `version`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let own = env!("CARGO_PKG_VERSION");
    let server = if args.client {
        None
    } else {
        let cluster = args.connect.or(outer).cluster().await;
        match cluster {
            Ok(cluster) => Some(cluster.fetch(Ask::get("/version")).await),
            Err(failure) => Some(Err(failure)),
        }
    };
    let (server, failure) = match server {
        None => (Value::Null, None),
        Some(Ok(version)) => (version, None),
        Some(Err(failure)) => (Value::Null, Some(failure)),
    };
    match &args.output {
        Some(form) => {
            output::line(
                &form.render(&json!({"clientVersion": own, "serverVersion": server}), ""),
            )?;
        }
        None => {
            output::line(&format!("Client Version: {own}"))?;
            if let Some(version) = server["gitVersion"].as_str() {
                output::line(&format!("Server Version: {version}"))?;
            }
        }
    }
    failure.map_or(Ok(()), Err)
}
