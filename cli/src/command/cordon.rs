//! `stoa cordon` and `stoa uncordon`.

use serde_json::json;

use crate::apply::MERGE;
use crate::cluster::Ask;
use crate::connect::Connect;
use crate::exit::Outcome;
use crate::kinds::Kinds;
use crate::output;

/// Flags of both.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of agents
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `cordon` or `uncordon`.
pub(crate) async fn run(args: Args, outer: &Connect, cordoned: bool) -> Outcome {
    let cluster = args.connect.or(outer).cluster().await?;
    let kinds = Kinds::offline();
    let kind = kinds.resolve("agents.stoa.dev")?;
    let done = if cordoned { "cordoned" } else { "uncordoned" };
    for agent in &args.agents {
        let name = agent.strip_prefix("agent/").unwrap_or(agent);
        let path = kind.object("", name);
        let before = cluster.fetch(Ask::get(&path)).await?;
        let was = before["spec"]["unschedulable"].as_bool().unwrap_or(false);
        if was == cordoned {
            output::line(&format!("{}/{name} already {done}", kind.label()))?;
            continue;
        }
        let patch = json!({"spec": {"unschedulable": cordoned}});
        cluster.fetch(Ask::patch(path, MERGE, &patch)).await?;
        output::line(&format!("{}/{name} {done}", kind.label()))?;
    }
    Ok(())
}
