//! `stoa get -w`: the list, then each change as it comes.

use futures::StreamExt;
use serde_json::Value;

use super::Args;
use crate::cluster::{Ask, Cluster, TABLE, query};
use crate::exit::{Failure, Outcome};
use crate::output::table::{self, Style};
use crate::output::{self, Form, Grid};
use crate::target::Target;

/// Prints what there is and what changes, until the connection ends or the user does.
pub(super) async fn run(cluster: &Cluster, args: &Args, target: &Target) -> Outcome {
    let path = args.collection(cluster, target);
    let mut printer = Printer::new(args, target);
    let mut revision = String::new();
    loop {
        if revision.is_empty() {
            let list = cluster
                .fetch(Ask::get(&path).accept(printer.accept))
                .await?;
            revision = text(&list["metadata"]["resourceVersion"]);
            printer.list(&list)?;
        }
        let watch = query(
            &path,
            &[
                ("watch", "1"),
                ("resourceVersion", &revision),
                ("allowWatchBookmarks", "1"),
            ],
        );
        let mut events = match cluster.watch(&watch, printer.accept).await {
            Ok(events) => events,
            Err(e) => return Err(cluster.explain(e)),
        };
        while let Some(event) = events.next().await {
            let Ok(event) = event else { break };
            match event["type"].as_str() {
                Some("ERROR") if event["object"]["code"] == 410 => revision.clear(),
                Some("ERROR") => return Err(Failure::new(text(&event["object"]["message"]))),
                Some(_) | None => {
                    let seen = printer.event(&event)?;
                    if !seen.is_empty() {
                        revision = seen;
                    }
                }
            }
        }
    }
}

struct Printer<'a> {
    args: &'a Args,
    target: &'a Target,
    accept: &'static str,
    grid: Grid,
    columns: Value,
    headed: bool,
}

impl<'a> Printer<'a> {
    fn new(args: &'a Args, target: &'a Target) -> Self {
        let as_table = matches!(args.output, None | Some(Form::Wide));
        let accept = if as_table { TABLE } else { "application/json" };
        Self {
            args,
            target,
            accept,
            grid: Grid::default(),
            columns: Value::Null,
            headed: false,
        }
    }

    fn style(&self) -> Style<'static> {
        self.args.style(&self.target.kind, "")
    }

    fn list(&mut self, list: &Value) -> Outcome {
        if self.accept == TABLE {
            return self.table(list);
        }
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        items.iter().try_for_each(|item| self.object(item))
    }

    /// Prints an event; returns the revision to go on from.
    fn event(&mut self, event: &Value) -> Outcome<String> {
        let object = &event["object"];
        let bookmark = event["type"] == "BOOKMARK";
        if self.accept != TABLE {
            if !bookmark {
                self.object(object)?;
            }
            return Ok(text(&object["metadata"]["resourceVersion"]));
        }
        if !bookmark {
            self.table(object)?;
        }
        let rows = object["rows"].as_array().map_or(&[][..], Vec::as_slice);
        let row = rows
            .last()
            .map(|row| text(&row["object"]["metadata"]["resourceVersion"]));
        Ok(row.unwrap_or_else(|| text(&object["metadata"]["resourceVersion"])))
    }

    fn table(&mut self, table: &Value) -> Outcome {
        let style = self.style();
        // Only the first table of a watch carries the columns.
        if table["columnDefinitions"]
            .as_array()
            .is_some_and(|columns| !columns.is_empty())
        {
            self.columns = serde_json::json!({"columnDefinitions": table["columnDefinitions"]});
        }
        let rows = table::rows(table, &self.columns, style);
        if !self.headed && !self.args.no_headers && !rows.is_empty() {
            self.grid.row(table::headings(&self.columns, style));
            self.headed = true;
        }
        rows.into_iter().for_each(|row| self.grid.row(row));
        self.grid
            .drain()
            .iter()
            .try_for_each(|line| output::line(line))
    }

    fn object(&self, object: &Value) -> Outcome {
        let object = super::typed(object.clone(), &self.target.kind);
        match &self.args.output {
            Some(form @ Form::Yaml) => {
                output::line("---")?;
                output::line(&form.render(&object, ""))
            }
            Some(form) => output::line(&form.render(&object, &self.target.kind.label())),
            None => Ok(()),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
