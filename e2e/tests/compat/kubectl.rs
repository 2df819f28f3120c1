//! kubectl: the one that is installed, and a later one from PyPI whose watches begin with lists.

use std::path::{Path, PathBuf};

use e2e::{Cluster, Fault, Outcome, Plan, machine};
use serde_json::Value;

use crate::session::{self, Tools};

pub(crate) fn the_installed_one_works_unmodified(_: &Path) {
    machine::alone(async || drive(None).await);
}

pub(crate) fn a_later_one_works_unmodified(folder: &Path) {
    machine::alone(async || drive(Some(&folder.join("kubectl"))).await);
}

/// Plays all sessions with the installed program, or with another one.
async fn drive(program: Option<&Path>) -> Outcome<()> {
    let sessions = session::load("kubectl")?;
    let cluster = Cluster::start(Plan::new(3, 1).resources("cpus=4;mem=4Gi")).await?;
    let folder = cluster.root().join("tools");
    let folders: Vec<PathBuf> = program
        .map(|program| shelf(&folder, program))
        .transpose()?
        .into_iter()
        .collect();
    let named = program.unwrap_or(Path::new("kubectl"));
    let minor = minor(&cluster, named).await?;
    session::play(&cluster, &Tools { folders, minor }, sessions).await?;
    cluster.finish();
    Ok(())
}

/// A folder with nothing but this kubectl, to begin the path with.
fn shelf(folder: &Path, program: &Path) -> Outcome<PathBuf> {
    std::fs::create_dir_all(folder)?;
    std::os::unix::fs::symlink(program, folder.join("kubectl"))?;
    Ok(folder.to_path_buf())
}

/// What the client says it is, before this server: some installations pick a client by server.
async fn minor(cluster: &Cluster, program: &Path) -> Outcome<u32> {
    let args = ["version", "--output=json"];
    let said: Value = serde_json::from_str(&cluster.tool(program, &args, "").await?.ok()?)?;
    let minor = &said["clientVersion"]["minor"];
    // Vendors add a plus.
    let digits = minor.as_str().unwrap_or_default().trim_end_matches('+');
    digits
        .parse()
        .map_err(|_digits| Fault::new(format!("no minor version of kubectl: {said}")))
}
