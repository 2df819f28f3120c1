//! Says what is left out, and why, where test runners do not swallow it.

use std::io::Write;
use std::path::PathBuf;

use e2e::{Outcome, command, machine};

/// Says that a client is left out.
pub(crate) fn skipped(what: &str, why: &str) {
    // Not `eprintln!`: the test harness keeps that of tests that pass.
    writeln!(std::io::stderr(), "SKIPPED: {what}: {why}").ok();
}

/// The virtual environment with the Python clients, made once; none where that cannot be done.
pub(crate) async fn venv() -> Outcome<Option<PathBuf>> {
    let root = machine::repository();
    let script = root.join("e2e/clients/venv.sh").display().to_string();
    let made = command::run("bash".as_ref(), &[&script], &[], &root, "").await?;
    if let Err(fault) = made.ok() {
        skipped("clients from PyPI", &fault.to_string());
        return Ok(None);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(Some(root.join(target).join("e2e-venv/bin")))
}
