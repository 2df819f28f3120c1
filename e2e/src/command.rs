//! Commands as a person would type them: run, bounded, and their output kept.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{Fault, Outcome, wait};

/// Longest a command may take.
const RUN_MAX: Duration = Duration::from_secs(120);

/// What a command said and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that succeeded.
    ///
    /// # Errors
    /// When it did not, with all it said.
    pub fn ok(self) -> Outcome<String> {
        if self.code == Some(0) {
            Ok(self.stdout)
        } else {
            Err(self.fault("succeed"))
        }
    }

    /// Everything said by a command that failed by itself.
    ///
    /// # Errors
    /// When it succeeded or was ended by a signal.
    pub fn refused(self) -> Outcome<String> {
        match self.code {
            Some(code) if code != 0 => Ok(self.stdout + &self.stderr),
            Some(_) | None => Err(self.fault("fail with a message")),
        }
    }

    fn fault(&self, expected: &str) -> Fault {
        Fault::new(format!(
            "`{}` was to {expected}, but ended with {:?}\nstdout: {}\nstderr: {}",
            self.line, self.code, self.stdout, self.stderr
        ))
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or does not end in time.
pub async fn run(
    program: &Path,
    args: &[&str],
    env: &[(&str, std::path::PathBuf)],
    folder: &Path,
    input: &str,
) -> Outcome<Output> {
    let line = format!("{} {}", program.display(), args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .envs(env.iter().map(|(k, v)| (k, v)))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Fault::new(format!("`{line}`: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // A command that does not read its input closes it; its output says what that means.
        tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    }
    let output = wait::at_most(&line, RUN_MAX, child.wait_with_output()).await??;
    Ok(Output {
        line,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Says what a test leaves out, past the harness, which keeps what macros print of tests that pass.
pub fn skipped(what: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {what}").ok();
}

/// True when the program is on the path of this machine.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
