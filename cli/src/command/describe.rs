//! `stoa describe`.

use k8s_openapi::api::core::v1::Event;
use manifests::kinds::Task;
use serde_json::{Map, Value};

use super::events;
use crate::cluster::{Ask, Cluster};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::output::{self, Grid};
use crate::target::{self, Target};
use crate::{explain, merge};

/// Flags of `describe`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND [NAME...] or KIND/NAME...
    #[arg(required = true, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `describe`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    let mut texts = Vec::new();
    for target in target::parse(&kinds, &args.words)? {
        for object in objects(&cluster, &target).await? {
            let events = events::about(&cluster, &target.kind, &object).await?;
            texts.push(describe(&target.kind, &object, &events));
        }
    }
    if texts.is_empty() {
        return Err(Failure::new("there is nothing to describe"));
    }
    output::line(&texts.join("\n\n"))
}

async fn objects(cluster: &Cluster, target: &Target) -> Outcome<Vec<Value>> {
    let Some(name) = &target.name else {
        let path = target.kind.path(Some(&cluster.namespace));
        let mut list = cluster.fetch(Ask::get(path)).await?;
        return Ok(list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default());
    };
    let path = target.kind.object(&cluster.namespace, name);
    Ok(vec![cluster.fetch(Ask::get(path)).await?])
}

fn describe(kind: &Kind, object: &Value, events: &[Event]) -> String {
    let mut out = Vec::new();
    head(kind, object, &mut out);
    section("Spec", &object["spec"], &mut out);
    let mut status = object["status"].clone();
    let conditions = status.as_object_mut().and_then(|s| s.remove("conditions"));
    if let Some(status) = status.as_object_mut() {
        status.remove("waiting");
    }
    section("Status", &status, &mut out);
    for (key, value) in object.as_object().unwrap_or(&Map::new()) {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&key.as_str()) {
            section(key, value, &mut out);
        }
    }
    if let Some(Value::Array(conditions)) = conditions {
        out.push("Conditions:".to_owned());
        out.extend(table(conditions_grid(&conditions)));
    }
    if kind.kind == "Task"
        && let Ok(task) = serde_json::from_value::<Task>(object.clone())
    {
        out.push("Why:".to_owned());
        out.extend(
            explain::task(&task)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
    }
    if events.is_empty() {
        out.push("Events:  <none>".to_owned());
    } else {
        out.push("Events:".to_owned());
        out.extend(table(events::grid(events)));
    }
    out.join("\n")
}

fn table(mut grid: Grid) -> Vec<String> {
    grid.drain()
        .into_iter()
        .map(|line| format!("  {line}"))
        .collect()
}

fn head(kind: &Kind, object: &Value, out: &mut Vec<String>) {
    let metadata = &object["metadata"];
    let mut line = |label: &str, value: &Value| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        if value != "null" {
            out.push(format!("{:<14}{value}", format!("{label}:")));
        }
    };
    line("Name", &metadata["name"]);
    line("Namespace", &metadata["namespace"]);
    line(
        "Kind",
        &Value::String(format!("{} ({})", kind.kind, kind.api_version())),
    );
    line("Labels", &pairs(&metadata["labels"]));
    line("Annotations", &pairs(&metadata["annotations"]));
    line("Created", &metadata["creationTimestamp"]);
    line("Deleted", &metadata["deletionTimestamp"]);
    line("Finalizers", &list(&metadata["finalizers"]));
    line("UID", &metadata["uid"]);
    line("Generation", &metadata["generation"]);
    for owner in metadata["ownerReferences"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
    {
        let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
        line(
            "Owned by",
            &Value::String(format!("{}/{}", text("kind"), text("name"))),
        );
    }
}

/// `a, b` of a list of texts.
fn list(items: &Value) -> Value {
    let Some(items) = items.as_array() else {
        return Value::Null;
    };
    let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
    Value::String(texts.join(", "))
}

/// `a=b c=d`, without what `apply` keeps for itself.
fn pairs(map: &Value) -> Value {
    let Some(map) = map.as_object() else {
        return Value::Null;
    };
    let shown = map.iter().filter(|(key, _)| *key != merge::LAST_APPLIED);
    let text: Vec<_> = shown
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if text.is_empty() {
        Value::Null
    } else {
        Value::String(text.join("  "))
    }
}

fn section(title: &str, value: &Value, out: &mut Vec<String>) {
    let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
    if !empty {
        out.push(format!("{title}:"));
        let yaml = manifests::decode::to_yaml(value);
        out.extend(yaml.trim_end().lines().map(|line| format!("  {line}")));
    }
}

fn conditions_grid(conditions: &[Value]) -> Grid {
    let mut grid = Grid::new(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for condition in conditions {
        let cell = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        let keys = ["type", "status", "reason", "lastTransitionTime", "message"];
        grid.row(keys.map(cell).to_vec());
    }
    grid
}
