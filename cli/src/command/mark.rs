//! `stoa label` and `stoa annotate`.

use serde_json::{Map, Value, json};

use crate::apply::MERGE;
use crate::cluster::{Ask, Cluster, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::output;
use crate::target::{self, Target};

/// Flags of `label` and `annotate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND [NAME...] or KIND/NAME..., then KEY=VALUE to set and KEY- to remove
    #[arg(required = true, value_name = "KIND[/NAME] KEY=VALUE")]
    words: Vec<String>,
    /// All objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// All objects of the kind
    #[arg(long)]
    all: bool,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
    /// Only ask the server what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `metadata.labels`.
    Label,
    /// `metadata.annotations`.
    Annotation,
}

impl Mark {
    const fn field(self) -> &'static str {
        match self {
            Self::Label => "labels",
            Self::Annotation => "annotations",
        }
    }

    const fn manager(self) -> &'static str {
        match self {
            Self::Label => "stoa-label",
            Self::Annotation => "stoa-annotate",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Label => "labeled",
            Self::Annotation => "annotated",
        }
    }
}

/// Runs `label` or `annotate`.
pub(crate) async fn run(args: Args, outer: &Connect, mark: Mark) -> Outcome {
    let (words, changes) = split(&args.words)?;
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    for target in target::parse(&kinds, &words)? {
        for name in names(&cluster, &args, &target).await? {
            one(&cluster, &args, &target.kind, &name, &changes, mark).await?;
        }
    }
    Ok(())
}

/// Objects first, then changes: `KEY=VALUE`, or `KEY-` for one to be removed.
fn split(words: &[String]) -> Outcome<(Vec<String>, Map<String, Value>)> {
    let is_change = |word: &String| word.contains('=') || word.len() > 1 && word.ends_with('-');
    let at = words.iter().position(is_change).unwrap_or(words.len());
    let (objects, rest) = words.split_at(at);
    let mut changes = Map::new();
    for word in rest {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Value::from(value)),
            None => match word.strip_suffix('-') {
                Some(key) => (key, Value::Null),
                None => {
                    return Err(Failure::usage(format!("{word:?} is no change"))
                        .hint("write KEY=VALUE to set, KEY- to remove"));
                }
            },
        };
        if changes.insert(key.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("{key:?} is changed twice")));
        }
    }
    if changes.is_empty() {
        return Err(Failure::usage("nothing to change").hint("write KEY=VALUE or KEY-"));
    }
    Ok((objects.to_vec(), changes))
}

async fn names(cluster: &Cluster, args: &Args, target: &Target) -> Outcome<Vec<String>> {
    if let Some(name) = &target.name {
        return Ok(vec![name.clone()]);
    }
    if !args.all && args.selector.is_none() {
        return Err(Failure::usage(format!("which {}?", target.kind.plural))
            .hint("name them, or say --all or -l LABELS"));
    }
    let mut path = target.kind.path(Some(&cluster.namespace));
    if let Some(selector) = &args.selector {
        path = query(&path, &[("labelSelector", selector)]);
    }
    let list = cluster.fetch(Ask::get(path)).await?;
    let items = list["items"].as_array().into_iter().flatten();
    let names = items.filter_map(|item| item["metadata"]["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

async fn one(
    cluster: &Cluster,
    args: &Args,
    kind: &Kind,
    name: &str,
    changes: &Map<String, Value>,
    mark: Mark,
) -> Outcome {
    let path = kind.object(&cluster.namespace, name);
    let live = cluster.fetch(Ask::get(&path)).await?;
    let present = &live["metadata"][mark.field()];
    if !args.overwrite
        && let Some((key, is)) = clash(present, changes)
    {
        return Err(Failure::new(format!(
            "{}/{name} already has {key} with value {is}",
            kind.label()
        ))
        .hint("say --overwrite to replace it"));
    }
    let mut patch = json!({"metadata": {mark.field(): changes}});
    if !args.overwrite {
        // What was looked at is what is changed.
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    }
    let mut path = query(&path, &[("fieldManager", mark.manager())]);
    if args.dry_run {
        path = query(&path, &[("dryRun", "All")]);
    }
    let answer = cluster.send(Ask::patch(path, MERGE, &patch)).await;
    let answer = answer.map_err(|e| cluster.explain(e))?;
    output::warn(&answer.warnings);
    let same = answer.value["metadata"][mark.field()] == *present;
    let word = if same { "not changed" } else { mark.word() };
    let suffix = if args.dry_run {
        " (server dry run)"
    } else {
        ""
    };
    output::line(&format!("{}/{name} {word}{suffix}", kind.label()))
}

/// The first key that is there with another value.
fn clash<'a>(present: &'a Value, changes: &'a Map<String, Value>) -> Option<(&'a str, &'a str)> {
    changes.iter().find_map(|(key, wanted)| {
        let is = present[key.as_str()].as_str()?;
        (wanted.is_string() && wanted != is).then_some((key.as_str(), is))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_objects_and_then_changes() {
        for (line, expected) in [
            ("task x a=b", "task x | {\"a\":\"b\"}"),
            ("task/x a=b c-", "task/x | {\"a\":\"b\",\"c\":null}"),
            ("tasks example.com/a=", "tasks | {\"example.com/a\":\"\"}"),
            ("task x", "error"),
            ("task x a=b a-", "error"),
            ("task x a=b y", "error"),
        ] {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            let got = split(&words).map_or("error".to_owned(), |(objects, changes)| {
                format!("{} | {}", objects.join(" "), Value::from(changes))
            });
            assert_eq!(got, expected, "{line}");
        }
    }

    #[test]
    fn values_are_not_replaced_unasked() {
        let present = json!({"a": "b"});
        let changes = |value: Value| value.as_object().cloned().unwrap();
        assert_eq!(
            clash(&present, &changes(json!({"a": "c"}))),
            Some(("a", "b"))
        );
        assert_eq!(clash(&present, &changes(json!({"a": "b", "x": "y"}))), None);
        assert_eq!(clash(&present, &changes(json!({"a": null}))), None);
        assert_eq!(clash(&Value::Null, &changes(json!({"a": "c"}))), None);
    }
}
