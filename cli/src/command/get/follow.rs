//! `stoa get -w`: the list, then each change as it comes.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::Args;
use crate::cluster::{Ask, Cluster, Refused, TABLE, query};
use crate::exit::{Failure, Outcome};
use crate::output::table::{self, Style};
use crate::output::{self, Form, Grid};
use crate::target::Target;

/// Pause before a watch that ended is opened again.
const PAUSE: Duration = Duration::from_millis(300);

/// Pauses in a row after which a server counts as gone: half a minute, ample for an election.
const OUTAGES_MAX: u32 = 100;

/// Prints what there is and what changes, until the user has seen enough. Once it has worked,
/// an outage of the server is waited out.
pub(super) async fn run(cluster: &Cluster, args: &Args, target: &Target) -> Outcome {
    let mut printer = Printer::new(args, target);
    let mut outages = 0;
    loop {
        match round(cluster, &mut printer).await {
            Ok(()) => outages = 0,
            Err(Broken::Refused(e)) if printer.begun && e.is_passing() && outages < OUTAGES_MAX => {
                outages += 1;
            }
            Err(Broken::Refused(e)) => return Err(cluster.explain(e)),
            Err(Broken::Failed(failure)) => return Err(failure),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why a round ended other than by the end of its watch.
enum Broken {
    Refused(Refused),
    Failed(Failure),
}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A list, unless there is a revision to go on from, and a watch to its end.
async fn round(cluster: &Cluster, printer: &mut Printer<'_>) -> Result<(), Broken> {
    let path = printer.args.collection(cluster, printer.target);
    if printer.revision.is_empty() {
        let list = cluster
            .send(Ask::get(&path).accept(printer.accept))
            .await?
            .value;
        printer.list(&list)?;
        printer.revision = text(&list["metadata"]["resourceVersion"]);
    }
    let from = [
        ("watch", "1"),
        ("resourceVersion", &printer.revision),
        ("allowWatchBookmarks", "1"),
    ];
    let mut events = cluster.watch(&query(&path, &from), printer.accept).await?;
    printer.begun = true;
    while let Some(Ok(event)) = events.next().await {
        match event["type"].as_str() {
            // History does not reach back so far: begin with a new list.
            Some("ERROR") if event["object"]["code"] == 410 => printer.revision.clear(),
            Some("ERROR") => return Err(Failure::new(text(&event["object"]["message"])).into()),
            Some(_) | None => {
                let seen = printer.event(&event)?;
                if !seen.is_empty() {
                    printer.revision = seen;
                }
            }
        }
    }
    Ok(())
}

struct Printer<'a> {
    args: &'a Args,
    target: &'a Target,
    accept: &'static str,
    grid: Grid,
    columns: Value,
    headed: bool,
    revision: String,
    begun: bool,
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
            revision: String::new(),
            begun: false,
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
            Some(form @ Form::Yaml(_)) => {
                output::line("---")?;
                form.print(&object, "")
            }
            Some(form) => form.print(&object, &self.target.kind.label()),
            None => Ok(()),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
