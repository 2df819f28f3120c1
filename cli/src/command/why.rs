//! `stoa why`: the explanation the controllers computed, printed as it is.

use manifests::kinds::{Reservation, Task, TaskGroup};
use serde_json::Value;

use crate::cluster::{Ask, Cluster};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::explain;
use crate::kinds::{Kind, Kinds};
use crate::output;
use crate::target;

/// Flags of `why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND/NAME..., e.g. task/count-words
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `why`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    for (kind, name) in target::named(&kinds, &args.words)? {
        let object = cluster
            .fetch(Ask::get(kind.object(&cluster.namespace, &name)))
            .await?;
        let lines = match kind.kind.as_str() {
            "Task" => explain::task(&read::<Task>(object)?),
            "TaskGroup" => group(&cluster, &kinds, &read::<TaskGroup>(object)?).await?,
            "Reservation" => reservation(&read::<Reservation>(object)?),
            _ => conditions(&kind, &name, &object),
        };
        let mut lines = lines.into_iter();
        output::line(&lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| output::line(&format!("  {line}")))?;
    }
    Ok(())
}

fn read<K: serde::de::DeserializeOwned>(object: Value) -> Outcome<K> {
    serde_json::from_value(object)
        .map_err(|e| Failure::new("the server's object is not understood").because(e))
}

/// A group waits for what its members wait for.
async fn group(cluster: &Cluster, kinds: &Kinds, group: &TaskGroup) -> Outcome<Vec<String>> {
    let name = group.metadata.name.as_deref().unwrap_or_default();
    let phase = group
        .status
        .as_ref()
        .and_then(|s| s.phase.as_deref())
        .unwrap_or("Pending");
    let mut lines = vec![format!("taskgroup/{name} is {phase}")];
    let tasks = kinds.resolve("tasks.stoa.dev")?;
    for member in &group.spec.tasks {
        let path = tasks.object(&cluster.namespace, &format!("{name}-{}", member.name));
        lines.extend(match cluster.find(&path).await? {
            None => vec![format!("task/{name}-{} does not exist yet", member.name)],
            Some(task) => explain::task(&read::<Task>(task)?),
        });
    }
    Ok(lines)
}

fn reservation(reservation: &Reservation) -> Vec<String> {
    let name = reservation.metadata.name.as_deref().unwrap_or_default();
    let spec = &reservation.spec;
    let none = manifests::kinds::ReservationStatus::default();
    let status = reservation.status.as_ref().unwrap_or(&none);
    let phase = status.phase.as_deref().unwrap_or("Pending");
    let mut lines = vec![format!(
        "reservation/{name} is {phase}: {} of {} agents chosen for pool {}",
        status.bound, spec.count, spec.pool
    )];
    if !status.agents.is_empty() {
        lines.push(format!("holds on: {}", status.agents.join(", ")));
    }
    lines.extend(status.message.clone());
    lines
}

/// Other kinds explain themselves by their conditions.
fn conditions(kind: &Kind, name: &str, object: &Value) -> Vec<String> {
    let status = &object["status"];
    let phase = status["phase"]
        .as_str()
        .map(|phase| format!(" is {phase}"))
        .unwrap_or_default();
    let mut lines = vec![format!("{}/{name}{phase}", kind.singular)];
    for condition in status["conditions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
    {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        let line = format!(
            "{}={} {} {}",
            text("type"),
            text("status"),
            text("reason"),
            text("message")
        );
        lines.push(line.trim_end().to_owned());
    }
    if lines.len() == 1 {
        lines.push("it says nothing more; `stoa describe` shows all of it".to_owned());
    }
    lines
}
