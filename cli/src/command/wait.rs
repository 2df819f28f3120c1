//! `stoa wait`, and the one way in which every command waits for an object.

use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt;
use manifests::duration::Span;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{Ask, Cluster, Refused, query};
use crate::connect::Connect;
use crate::exit::{Code, Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::path::Template;
use crate::{output, target};

/// Pause before a broken watch is opened again.
const PAUSE: Duration = Duration::from_millis(300);

/// Flags of `wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND NAME... or KIND/NAME...; KIND alone with --all or -l
    #[arg(required = true, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// condition=NAME[=VALUE], delete, create, or jsonpath={.path}=VALUE
    #[arg(long = "for", value_name = "GOAL", required = true)]
    goal: Goal,
    /// Longest wait
    #[arg(long, default_value = "30s", value_name = "TIME")]
    timeout: Span,
    /// All objects of the kind
    #[arg(long)]
    all: bool,
    /// Objects with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// What an object is waited for to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// `status.conditions` has this one at this status.
    Condition { name: String, value: String },
    /// It does not exist, or is another object of the same name.
    Deleted { uid: Option<String> },
    /// It exists.
    Created,
    /// A template finds this value; none: anything.
    Path {
        template: Template,
        value: Option<String>,
    },
    /// A task that was begun, so that it has a log.
    Started,
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "delete" {
            return Ok(Self::Deleted { uid: None });
        }
        if text == "create" {
            return Ok(Self::Created);
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, value) = condition.split_once('=').unwrap_or((condition, "True"));
            return Ok(Self::Condition {
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
        let Some(path) = text.strip_prefix("jsonpath=") else {
            return Err(
                "use condition=NAME[=VALUE], delete, create or jsonpath={.path}=VALUE".into(),
            );
        };
        // Filters hold `==` inside the braces; the value comes after the last brace.
        let (template, value) = match path.rsplit_once('}') {
            Some((inside, rest)) => (format!("{inside}}}"), rest.strip_prefix('=')),
            None => (
                path.split('=').next().unwrap_or(path).to_owned(),
                path.split_once('=').map(|p| p.1),
            ),
        };
        let template = Template::parse(&template)?;
        Ok(Self::Path {
            template,
            value: value.map(|v| v.trim_matches(['"', '\'']).to_owned()),
        })
    }
}

impl Goal {
    /// True when the object, or its absence, is as wished.
    pub(crate) fn met(&self, object: Option<&Value>) -> bool {
        let Some(object) = object else {
            return matches!(self, Self::Deleted { .. });
        };
        match self {
            Self::Created => true,
            Self::Deleted { uid } => uid
                .as_deref()
                .is_some_and(|uid| object["metadata"]["uid"] != uid),
            Self::Condition { name, value } => {
                let conditions = object["status"]["conditions"].as_array();
                conditions.is_some_and(|all| all.iter().any(|c| holds(c, name, value)))
            }
            Self::Path { template, value } => {
                let found = template.render(object);
                value
                    .as_ref()
                    .map_or(!found.is_empty(), |value| found == *value)
            }
            Self::Started => {
                let state = object["status"]["state"].as_str().unwrap_or("Pending");
                !matches!(state, "Pending" | "Staging" | "Starting")
            }
        }
    }

    /// True when an absent object may yet come.
    const fn outlives_absence(&self) -> bool {
        match self {
            Self::Created | Self::Deleted { .. } => true,
            Self::Condition { .. } | Self::Path { .. } | Self::Started => false,
        }
    }
}

fn holds(condition: &Value, name: &str, value: &str) -> bool {
    let is = |key: &str, wish: &str| {
        condition[key]
            .as_str()
            .is_some_and(|text| text.eq_ignore_ascii_case(wish))
    };
    is("type", name) && is("status", value)
}

/// Runs `wait`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    let deadline = Instant::now() + args.timeout.as_duration();
    let objects = if args.all || args.selector.is_some() {
        chosen(&cluster, &kinds, &args).await?
    } else {
        target::named(&kinds, &args.words)?
    };
    for (kind, name) in objects {
        until(
            &cluster,
            &kind,
            &cluster.namespace,
            &name,
            &args.goal,
            deadline,
        )
        .await?;
        let met = if args.goal.met(None) {
            "deleted"
        } else {
            "condition met"
        };
        output::line(&format!("{}/{name} {met}", kind.label()))?;
    }
    Ok(())
}

async fn chosen(cluster: &Cluster, kinds: &Kinds, args: &Args) -> Outcome<Vec<(Kind, String)>> {
    let mut found = Vec::new();
    for target in target::parse(kinds, &args.words)? {
        let path = target.kind.path(Some(&cluster.namespace));
        let labels = args
            .selector
            .iter()
            .map(|labels| ("labelSelector", labels.as_str()));
        let list = cluster
            .fetch(Ask::get(query(&path, &labels.collect::<Vec<_>>())))
            .await?;
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        let names = items
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str());
        found.extend(names.map(|name| (target.kind.clone(), name.to_owned())));
    }
    if found.is_empty() {
        return Err(Failure::new("no object matches").with_code(Code::NotFound));
    }
    Ok(found)
}

/// Waits until the object is as `goal` says. Outages of the server are waited out; the object's own
/// absence is an error unless the goal is about just that.
pub(crate) async fn until(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    name: &str,
    goal: &Goal,
    deadline: Instant,
) -> Outcome {
    let mut last = None;
    let wait = async {
        let mut reached = false;
        loop {
            match round(cluster, kind, namespace, name, goal, &mut last).await {
                Ok(true) => return Ok(()),
                Ok(false) => reached = true,
                Err(e) if reached && e.is_passing() => {}
                Err(e) => return Err(cluster.explain(e)),
            }
            if last.is_none() && !goal.outlives_absence() {
                let text = format!("{} {name:?} does not exist", kind.plural);
                return Err(Failure::new(text).with_code(Code::NotFound));
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ended = tokio::time::timeout_at(deadline, wait).await;
    ended.unwrap_or_else(|_| {
        let failure = Failure::new(format!("timed out waiting for {}/{name}", kind.label()));
        Err(failure.with_code(Code::Timeout).hint(format!(
            "`stoa why {}/{name}` says how it is; a longer wait is --timeout TIME",
            kind.singular
        )))
    })
}

/// One list and one watch. True when the goal is met; `last` is what was seen last.
async fn round(
    cluster: &Cluster,
    kind: &Kind,
    namespace: &str,
    name: &str,
    goal: &Goal,
    last: &mut Option<Value>,
) -> Result<bool, Refused> {
    let field = format!("metadata.name={name}");
    let path = query(&kind.path(Some(namespace)), &[("fieldSelector", &field)]);
    let mut list = cluster.send(Ask::get(&path)).await?.value;
    *last = list["items"].get_mut(0).map(Value::take);
    if goal.met(last.as_ref()) {
        return Ok(true);
    }
    if last.is_none() && !goal.outlives_absence() {
        return Ok(false);
    }
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    let path = query(&path, &[("watch", "1"), ("resourceVersion", revision)]);
    let mut events = cluster.watch(&path, "application/json").await?;
    while let Some(Ok(mut event)) = events.next().await {
        match event["type"].as_str() {
            Some("DELETED") => *last = None,
            Some("ADDED" | "MODIFIED") => *last = Some(event["object"].take()),
            Some(_) | None => break,
        }
        if goal.met(last.as_ref()) {
            return Ok(true);
        }
        if last.is_none() && !goal.outlives_absence() {
            break;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn goals_are_met_when_they_say() {
        let object = json!({
            "metadata": {"name": "x", "uid": "u1"},
            "status": {"state": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let table = [
            ("condition=Ready", true, false),
            ("condition=ready=true", true, false),
            ("condition=Ready=False", false, false),
            ("condition=Other", false, false),
            ("delete", false, true),
            ("create", true, false),
            ("jsonpath={.status.state}=Running", true, false),
            ("jsonpath={.status.state}='Finished'", false, false),
            ("jsonpath={.status.state}", true, false),
            ("jsonpath=.status.state=Running", true, false),
            (
                "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=True",
                true,
                false,
            ),
        ];
        for (text, present, absent) in table {
            let goal: Goal = text.parse().unwrap();
            assert_eq!(goal.met(Some(&object)), present, "{text}");
            assert_eq!(goal.met(None), absent, "{text} without an object");
        }
        let replaced = Goal::Deleted {
            uid: Some("u0".into()),
        };
        assert!(replaced.met(Some(&object)));
        assert!("ready".parse::<Goal>().is_err());
    }
}
