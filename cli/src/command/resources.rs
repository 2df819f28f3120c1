//! `stoa api-resources`.

use crate::connect::Connect;
use crate::exit::Outcome;
use crate::kinds::Kinds;
use crate::output::{self, Grid};

/// Flags of `api-resources`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
}

/// Runs `api-resources`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.or(outer).cluster().await?;
    let mut grid = Grid::new(&[
        "NAME",
        "SHORTNAMES",
        "APIVERSION",
        "NAMESPACED",
        "KIND",
        "VERBS",
    ]);
    for kind in Kinds::of(&cluster).await?.0 {
        let (names, verbs) = (kind.short_names.join(","), kind.verbs.join(","));
        let scope = kind.namespaced.to_string();
        grid.row(vec![
            kind.plural.clone(),
            names,
            kind.api_version(),
            scope,
            kind.kind,
            verbs,
        ]);
    }
    output::line(&grid.text())
}
