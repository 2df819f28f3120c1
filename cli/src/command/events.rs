//! `stoa events`, and the events of `describe`.

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use serde_json::Value;

use crate::cluster::{Ask, Cluster, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::output::{self, Grid};
use crate::{ambient, target};

/// Flags of `events`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show new ones as they come
    #[arg(short, long)]
    watch: bool,
    /// Only those about this object
    #[arg(long = "for", value_name = "KIND/NAME")]
    about: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `events`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.or(outer).cluster().await?;
    let subject = match &args.about {
        None => None,
        Some(word) => {
            let target = target::pair(&Kinds::of(&cluster).await?, word)?;
            Some((target.kind.kind, target.name.unwrap_or_default()))
        }
    };
    let wanted = |event: &Event| {
        subject.as_ref().is_none_or(|(kind, name)| {
            let object = &event.involved_object;
            object.kind.as_ref() == Some(kind) && object.name.as_ref() == Some(name)
        })
    };
    // Events about cluster-scoped objects live in `default`.
    let namespace = (!args.all_namespaces).then_some(cluster.namespace.as_str());
    let path = namespace.map_or_else(|| "/api/v1/events".to_owned(), collection);
    let (events, revision) = list(&cluster, &path).await?;
    let events: Vec<_> = events.into_iter().filter(|e| wanted(e)).collect();
    let mut grid = grid(&events);
    if events.is_empty() && !args.watch {
        eprintln!("No events found.");
        return Ok(());
    }
    grid.drain()
        .iter()
        .try_for_each(|line| output::line(line))?;
    if args.watch {
        watch(&cluster, &path, &revision, grid, wanted).await
    } else {
        Ok(())
    }
}

fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/events")
}

/// Events about one object, oldest first.
pub(crate) async fn about(cluster: &Cluster, kind: &Kind, object: &Value) -> Outcome<Vec<Event>> {
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    let (mut events, _) = list(cluster, &collection(namespace)).await?;
    let name = object["metadata"]["name"].as_str();
    events.retain(|event| {
        let of = &event.involved_object;
        of.kind.as_ref() == Some(&kind.kind) && of.name.as_deref() == name
    });
    Ok(events)
}

async fn list(cluster: &Cluster, path: &str) -> Outcome<(Vec<Event>, String)> {
    let mut list = cluster.fetch(Ask::get(path)).await?;
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let items = list["items"]
        .as_array_mut()
        .map(std::mem::take)
        .unwrap_or_default();
    let mut events: Vec<Event> = items.into_iter().filter_map(read).collect();
    events.sort_by_key(last_seen);
    Ok((events, revision))
}

fn read(value: Value) -> Option<Event> {
    serde_json::from_value(value).ok()
}

async fn watch(
    cluster: &Cluster,
    path: &str,
    revision: &str,
    mut grid: Grid,
    wanted: impl Fn(&Event) -> bool,
) -> Outcome {
    let path = query(path, &[("watch", "1"), ("resourceVersion", revision)]);
    let mut events = cluster
        .watch(&path, "application/json")
        .await
        .map_err(|e| cluster.explain(e))?;
    while let Some(event) = events.next().await {
        let mut event = event.map_err(|e| Failure::new("the watch broke off").because(e))?;
        if !matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED")) {
            continue;
        }
        if let Some(event) = read(event["object"].take()).filter(&wanted) {
            grid.row(row(&event, ambient::now()));
            grid.drain()
                .iter()
                .try_for_each(|line| output::line(line))?;
        }
    }
    Ok(())
}

/// Events as rows.
pub(crate) fn grid(events: &[Event]) -> Grid {
    let mut grid = Grid::new(&["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    let now = ambient::now();
    events.iter().for_each(|event| grid.row(row(event, now)));
    grid
}

fn row(event: &Event, now: Timestamp) -> Vec<String> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let object = &event.involved_object;
    let count = event
        .count
        .filter(|&count| count > 1)
        .map(|count| format!(" (x{count})"));
    let age = last_seen(event).map_or_else(|| "<unknown>".to_owned(), |seen| age(seen, now));
    vec![
        format!("{age}{}", count.unwrap_or_default()),
        text(&event.type_),
        text(&event.reason),
        format!(
            "{}/{}",
            text(&object.kind).to_lowercase(),
            text(&object.name)
        ),
        text(&event.message).trim().to_owned(),
    ]
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let created = || {
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
    };
    last.or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(created)
}

/// A time span in the units a person would use, as kubectl prints it.
fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{minutes}m{}s", seconds % 60),
        600..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_usual_units() {
        let then = Timestamp::from_second(1_000_000).unwrap();
        let table = [
            (0, "0s"),
            (119, "119s"),
            (125, "2m5s"),
            (700, "11m"),
            (10_800, "3h"),
            (200_000, "2d"),
        ];
        for (seconds, expected) in table {
            let now = Timestamp::from_second(1_000_000 + seconds).unwrap();
            assert_eq!(age(then, now), expected);
        }
    }
}
