//! The Kubernetes client for Python, typed and dynamic, and an operator written with kopf.

use e2e::{Cluster, Outcome, Plan, machine};

use crate::skip;

#[test]
fn the_python_client_works_unmodified() {
    machine::alone(async || script("python.py").await);
}

#[test]
fn an_operator_of_kopf_works_unmodified() {
    machine::alone(async || script("kopf_drive.py").await);
}

/// Runs a script of `e2e/clients`, which asserts by itself.
async fn script(name: &str) -> Outcome<()> {
    let Some(folder) = skip::venv().await? else {
        return Ok(());
    };
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
