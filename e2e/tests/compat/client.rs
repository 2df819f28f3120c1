//! Clients under test: where each one is, or why it is not here.

use std::path::{Path, PathBuf};

use e2e::{Outcome, command, machine};
use libtest_mimic::Trial;

/// Longest reason that a test's name carries.
const REASON_MAX: usize = 120;

/// A client, as far as this machine has it.
pub(crate) enum Client {
    /// In this folder; the empty one stands for the usual places.
    Here(PathBuf),
    /// In one line.
    Missing(String),
}

impl Client {
    /// What is built with the tests.
    pub(crate) const fn always() -> Self {
        Self::Here(PathBuf::new())
    }

    /// A program that is installed.
    pub(crate) fn on_path(program: &str) -> Self {
        if command::is_installed(program) {
            Self::always()
        } else {
            Self::Missing(format!("{program} is not installed"))
        }
    }

    /// The clients from `PyPI`, in a virtual environment that is made once, where that can be done.
    pub(crate) fn from_pypi() -> Self {
        match venv() {
            Ok(folder) => Self::Here(folder),
            Err(fault) => Self::missing(&fault.to_string()),
        }
    }

    /// The last line says what went wrong; those above, what was done.
    fn missing(said: &str) -> Self {
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let line = last.unwrap_or("for no reason that was given").trim();
        Self::Missing(line.chars().take(REASON_MAX).collect())
    }

    /// The test of this client; ignored under a name that says why where there is no such client.
    pub(crate) fn trial(&self, name: &str, proof: fn(&Path)) -> Trial {
        match self.clone_folder() {
            Ok(folder) => Trial::test(name, move || {
                proof(&folder);
                Ok(())
            }),
            Err(why) => {
                let name = format!("{name} SKIPPED: {why}");
                Trial::test(name, move || Err(why.into())).with_ignored_flag(true)
            }
        }
    }

    fn clone_folder(&self) -> Result<PathBuf, String> {
        match self {
            Self::Here(folder) => Ok(folder.clone()),
            Self::Missing(why) => Err(why.clone()),
        }
    }
}

fn venv() -> Outcome<PathBuf> {
    let root = machine::repository();
    let script = root.join("e2e/clients/venv.sh").display().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let made =
        runtime.block_on(async { command::run("bash".as_ref(), &[&script], &[], &root, "").await });
    made?.ok()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(root.join(target).join("e2e-venv/bin"))
}

pub(crate) fn one_that_is_missing_is_named(_: &Path) {
    let trial = Client::on_path("no-such-client").trial("a::b", |_| ());
    assert!(trial.has_ignored_flag());
    assert_eq!(
        trial.name(),
        "a::b SKIPPED: no-such-client is not installed"
    );
    let trial = Client::missing("pip:\n no network \n\n").trial("c", |_| ());
    assert_eq!(trial.name(), "c SKIPPED: no network");
    assert!(!Client::always().trial("d", |_| ()).has_ignored_flag());
}
