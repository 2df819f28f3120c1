//! `stoa get`.

mod follow;

use serde_json::Value;

use crate::cluster::{Ask, Cluster, TABLE, query};
use crate::connect::Connect;
use crate::exit::{Code, Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::output::table::{self, Style};
use crate::output::{self, Form, Grid, form};
use crate::target::{self, Target};

/// Flags of `get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND[,KIND...] [NAME...] or KIND/NAME...; `stoa` and `all` are groups of kinds
    #[arg(required = true, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// wide, yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    /// Show metadata.managedFields too, in yaml and json
    #[arg(long)]
    show_managed_fields: bool,
    /// Show changes as they come
    #[arg(short, long)]
    watch: bool,
    /// Only objects with these labels, e.g. app=demo,tier!=db
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Only objects with these fields, e.g. spec.agent=a1
    #[arg(long, value_name = "FIELDS")]
    field_selector: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// No heading row
    #[arg(long)]
    no_headers: bool,
    /// No error for names that do not exist
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `get`.
pub(crate) async fn run(mut args: Args, outer: &Connect) -> Outcome {
    if args.show_managed_fields {
        args.output = args.output.map(Form::whole);
    }
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    let mut targets = target::parse(&kinds, &args.words)?;
    // A category may have members that cannot be listed.
    targets.retain(|t| t.name.is_some() || t.kind.verbs.iter().any(|verb| verb == "list"));
    if args.all_namespaces
        && targets
            .iter()
            .any(|t| t.name.is_some() && t.kind.namespaced)
    {
        return Err(Failure::usage(
            "a name is of one namespace: leave --all-namespaces away",
        ));
    }
    if args.watch {
        return match targets.as_slice() {
            [one] => follow::run(&cluster, &args, one).await,
            _ => Err(Failure::usage(
                "only one kind or object can be watched at a time",
            )),
        };
    }
    match &args.output {
        None | Some(Form::Wide) => tables(&cluster, &args, &targets).await,
        Some(form) => objects(&cluster, &args, &targets, form).await,
    }
}

impl Args {
    /// Path of the collection a target is read from; a name becomes a field selector under `watch`.
    fn collection(&self, cluster: &Cluster, target: &Target) -> String {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let name = target
            .name
            .as_ref()
            .map(|name| format!("metadata.name={name}"));
        let fields: Vec<_> = self.field_selector.iter().chain(&name).cloned().collect();
        let mut path = target.kind.path(namespace);
        if let Some(labels) = &self.selector {
            path = query(&path, &[("labelSelector", labels)]);
        }
        if !fields.is_empty() {
            path = query(&path, &[("fieldSelector", &fields.join(","))]);
        }
        path
    }

    /// Path of what a target names: an object, or a collection.
    fn path(&self, cluster: &Cluster, target: &Target) -> String {
        match &target.name {
            Some(name) => target.kind.object(&cluster.namespace, name),
            None => self.collection(cluster, target),
        }
    }

    fn style<'a>(&self, kind: &Kind, prefix: &'a str) -> Style<'a> {
        Style {
            wide: self.output == Some(Form::Wide),
            namespaces: self.all_namespaces && kind.namespaced,
            prefix,
        }
    }
}

/// Reads each target; a name that does not exist is told and does not hide the others.
async fn read(
    cluster: &Cluster,
    args: &Args,
    targets: &[Target],
    accept: &'static str,
) -> Outcome<(Vec<(Kind, Value)>, Option<Failure>)> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for target in targets {
        let ask = Ask::get(args.path(cluster, target)).accept(accept);
        match cluster.send(ask).await {
            Ok(answer) => found.push((target.kind.clone(), answer.value)),
            Err(e) if e.is_not_found() && target.name.is_some() => {
                if !args.ignore_not_found {
                    missing.push(cluster.explain(e).text());
                }
            }
            Err(e) => return Err(cluster.explain(e)),
        }
    }
    let failure = (!missing.is_empty())
        .then(|| Failure::new(missing.join("\nerror: ")).with_code(Code::NotFound));
    Ok((found, failure))
}

async fn tables(cluster: &Cluster, args: &Args, targets: &[Target]) -> Outcome {
    let (found, failure) = read(cluster, args, targets, TABLE).await?;
    let mut kinds: Vec<Kind> = Vec::new();
    for (kind, _) in &found {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
    let mut texts = Vec::new();
    for kind in &kinds {
        let of_kind = found
            .iter()
            .filter(|(k, _)| k == kind)
            .map(|(_, table)| table);
        let prefix = if kinds.len() > 1 {
            format!("{}/", kind.label())
        } else {
            String::new()
        };
        texts.extend(grid(
            &of_kind.collect::<Vec<_>>(),
            args,
            args.style(kind, &prefix),
        ));
    }
    if !texts.is_empty() {
        output::line(&texts.join("\n\n"))?;
    } else if failure.is_none() && !args.ignore_not_found {
        nothing(cluster, args, targets);
    }
    failure.map_or(Ok(()), Err)
}

/// The tables of one kind as one text; none without rows.
fn grid(tables: &[&Value], args: &Args, style: Style<'_>) -> Option<String> {
    let rows: Vec<_> = tables
        .iter()
        .flat_map(|table| table::rows(table, table, style))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let mut grid = Grid::new(&[]);
    if !args.no_headers {
        grid.row(table::headings(tables[0], style));
    }
    rows.into_iter().for_each(|row| grid.row(row));
    Some(grid.text())
}

fn nothing(cluster: &Cluster, args: &Args, targets: &[Target]) {
    if args.all_namespaces || targets.iter().all(|t| !t.kind.namespaced) {
        eprintln!("No resources found");
    } else {
        eprintln!("No resources found in {} namespace.", cluster.namespace);
    }
}

async fn objects(cluster: &Cluster, args: &Args, targets: &[Target], form: &Form) -> Outcome {
    let (found, failure) = read(cluster, args, targets, "application/json").await?;
    let single = matches!(targets, [Target { name: Some(_), .. }]);
    let mut items: Vec<(String, Value)> = Vec::new();
    for (kind, mut value) in found {
        let label = kind.label();
        match value["items"].take() {
            Value::Array(inner) => {
                let whole = inner
                    .into_iter()
                    .map(|item| (label.clone(), typed(item, &kind)));
                items.extend(whole);
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                if let Some(object) = value.as_object_mut() {
                    object.remove("items");
                }
                items.push((label, value));
            }
        }
    }
    match form {
        Form::Name => items.iter().try_for_each(|(l, i)| form.print(i, l))?,
        Form::Wide | Form::Yaml(_) | Form::Json(_) | Form::Path(_) if single => {
            items.iter().try_for_each(|(l, i)| form.print(i, l))?;
        }
        Form::Wide | Form::Yaml(_) | Form::Json(_) | Form::Path(_) => {
            let items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
            form.print(&form::list(&items), "")?;
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Items of a list leave out what the list says of them.
fn typed(mut item: Value, kind: &Kind) -> Value {
    if item["kind"].is_null() {
        item["apiVersion"] = Value::String(kind.api_version());
        item["kind"] = Value::String(kind.kind.clone());
    }
    item
}
