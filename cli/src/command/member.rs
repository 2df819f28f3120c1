//! `stoa member`: the replicas.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cluster::Ask;
use crate::connect::Connect;
use crate::exit::Outcome;
use crate::output::{self, Form, Grid};

const PATH: &str = "/apis/stoa.dev/v1/members";

/// What to do with members.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with members.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show each replica: role, addresses, what it has applied
    List {
        /// yaml, json, name or jsonpath=TEMPLATE
        #[arg(short, long, value_name = "FORM")]
        output: Option<Form>,
        #[command(flatten)]
        connect: Connect,
    },
    /// Give a learner a vote
    Promote(One),
    /// Take a replica out of the group
    Remove(One),
    /// Make a replica the leader
    Transfer(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// Name of the replica
    name: String,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `member`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    match args.action {
        Action::List { output, connect } => list(connect.or(outer), output.as_ref()).await,
        Action::Promote(one) => {
            let path = format!("{PATH}/{}/promote", one.name);
            act(&one, outer, Ask::post(path, &json!({})), "promoted").await
        }
        Action::Transfer(one) => {
            let path = format!("{PATH}/{}/transfer", one.name);
            act(&one, outer, Ask::post(path, &json!({})), "asked to lead").await
        }
        Action::Remove(one) => {
            let path = format!("{PATH}/{}", one.name);
            act(&one, outer, Ask::delete(path, &json!({})), "removed").await
        }
    }
}

async fn act(one: &One, outer: &Connect, ask: Ask, done: &str) -> Outcome {
    let cluster = one.connect.clone().or(outer).cluster().await?;
    cluster.fetch(ask).await?;
    output::line(&format!("member/{} {done}", one.name))
}

async fn list(connect: Connect, form: Option<&Form>) -> Outcome {
    let members = connect.cluster().await?.fetch(Ask::get(PATH)).await?;
    let items = members["items"].as_array().map_or(&[][..], Vec::as_slice);
    match form {
        Some(form @ (Form::Yaml(_) | Form::Json(_) | Form::Path(_))) => form.print(&members, ""),
        Some(Form::Name) => items
            .iter()
            .try_for_each(|m| output::line(&cell(&m["name"]))),
        Some(Form::Wide) | None => output::line(&grid(items).text()),
    }
}

fn grid(members: &[Value]) -> Grid {
    let headings = [
        "NAME",
        "ID",
        "ROLE",
        "REACHABLE",
        "API",
        "PEER",
        "PID",
        "APPLIED",
        "REVISION",
        "DIGEST",
    ];
    let keys = [
        "name",
        "id",
        "role",
        "reachable",
        "apiAddress",
        "peerAddress",
        "pid",
        "appliedIndex",
        "revision",
        "digest",
    ];
    let mut grid = Grid::new(&headings);
    for member in members {
        grid.row(keys.iter().map(|key| cell(&member[*key])).collect());
    }
    grid
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
