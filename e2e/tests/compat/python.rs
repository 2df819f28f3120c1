//! The Kubernetes client for Python, typed and dynamic, and an operator written with kopf.

use std::path::Path;

use e2e::{Cluster, Outcome, Plan, machine};

pub(crate) fn the_client_works_unmodified(folder: &Path) {
    machine::alone(async || script(folder, "python.py").await);
}

pub(crate) fn an_operator_of_kopf_works_unmodified(folder: &Path) {
    machine::alone(async || script(folder, "kopf_drive.py").await);
}

/// Runs a script of `e2e/clients`, which asserts by itself.
async fn script(folder: &Path, name: &str) -> Outcome<()> {
    let cluster = Cluster::start(Plan::new(3, 0)).await?;
    let script = machine::repository().join("e2e/clients").join(name);
    let script = script.display().to_string();
    cluster
        .tool(&folder.join("python"), &[&script], "")
        .await?
        .ok()?;
    cluster.finish();
    Ok(())
}
