//! Sessions: what is typed into a shell, and exactly what must come back, as text.
//!
//! A session file is a list of steps (see `session/parse.rs` for the notation). They run one after
//! another, each command through another replica than the one before: what one replica acknowledged,
//! every other must show.

mod lines;
mod parse;
mod run;

use std::path::PathBuf;

use e2e::{Cluster, Fault, Outcome, machine};
use futures::StreamExt;

pub(crate) use lines::{json_has_what_is_asked_for, lines_have_room_for_what_varies};
pub(crate) use parse::{Session, files_are_read_as_their_notation_says};

/// Sessions at once: waiting for clients to start is most of the work, and there are two cores.
const AT_ONCE: usize = 3;

/// The programs under test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tools {
    /// Folders searched for programs before the usual ones.
    pub(crate) folders: Vec<PathBuf>,
    /// Minor version of kubectl, which steps may ask for.
    pub(crate) minor: u32,
}

/// The sessions of a folder beside this file.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn load(folder: &str) -> Outcome<Vec<Session>> {
    let folder = machine::repository().join("e2e/tests/compat").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "session"));
    let only = std::env::var("STOA_SESSION").unwrap_or_default();
    paths.retain(|path| path.display().to_string().contains(&only));
    paths.sort();
    paths.iter().map(|path| Session::read(path)).collect()
}

/// Plays all of them against one cluster.
///
/// # Errors
/// When an answer was another than the session says, with every difference.
pub(crate) async fn play(cluster: &Cluster, tools: &Tools, sessions: Vec<Session>) -> Outcome<()> {
    let played = sessions
        .iter()
        .map(|session| run::play(cluster, tools, session));
    let faults: Vec<_> = futures::stream::iter(played)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |outcome| outcome.err().map(|fault| fault.to_string()))
        .collect()
        .await;
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Fault::new(format!("\n{}", faults.join("\n"))))
    }
}
