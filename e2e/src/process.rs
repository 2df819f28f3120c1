//! One process of a cluster: started, killed and started again with the same arguments.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::{Fault, Outcome, wait};

/// Longest a process may take to end after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(30);

/// What is started, and where its log goes.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
}

/// A running, or at present not running, process.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    child: Option<Child>,
}

impl Process {
    /// Starts it in a process group of its own, so that no signal of ours hits it by accident.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(recipe: Recipe) -> Outcome<Self> {
        let mut process = Self {
            recipe,
            child: None,
        };
        process.launch()?;
        Ok(process)
    }

    fn launch(&mut self) -> Outcome<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.recipe.log)?;
        let child = Command::new(&self.recipe.program)
            .args(&self.recipe.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .env("RUST_BACKTRACE", "1")
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| Fault::new(format!("{}: {e}", self.recipe.program.display())))?;
        self.child = Some(child);
        Ok(())
    }

    /// Process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.recipe.log
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> Outcome<()> {
        let mut child = self
            .child
            .take()
            .ok_or_else(|| Fault::new("kill: it does not run"))?;
        child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits until it has ended by itself; its exit code.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub async fn stop(&mut self) -> Outcome<Option<i32>> {
        let mut child = self
            .child
            .take()
            .ok_or_else(|| Fault::new("stop: it does not run"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        let status = wait::at_most("the end after SIGTERM", STOP_MAX, child.wait()).await?;
        Ok(status?.code())
    }

    /// Starts it again; with other arguments if given.
    ///
    /// # Errors
    /// When it still runs or cannot be started.
    pub fn restart(&mut self, args: Option<Vec<OsString>>) -> Outcome<()> {
        if self.child.is_some() {
            return Err(Fault::new("restart: it still runs"));
        }
        if let Some(args) = args {
            self.recipe.args = args;
        }
        self.launch()
    }

    /// An error when the process has ended by itself: its exit status and the end of its log.
    ///
    /// # Errors
    /// As said.
    pub fn ensure_alive(&mut self) -> Outcome<()> {
        let Some(child) = self.child.as_mut() else {
            return Ok(());
        };
        match child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(Fault::new(format!(
                "{} {:?} ended: {status}\n{}",
                self.recipe.program.display(),
                self.recipe.args.first(),
                tail(&self.recipe.log, 15)
            ))),
        }
    }

    /// Asks the kernel to end it without waiting, as a drop must.
    pub fn abandon(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already; nothing is left to be done then.
            drop(child.start_kill());
        }
    }
}

/// The last `lines` lines of a file, or what stood in the way of reading it.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => return format!("{}: {e}", path.display()),
    };
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Kills every process whose command line or environment names `root`: supervisors and tasks of
/// the agents under it, which outlive their agents by design.
pub fn sweep(root: &Path) {
    let needle = root.as_os_str().as_encoded_bytes();
    let Ok(entries) = fs::read_dir("/proc") else {
        return;
    };
    for entry in entries.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        let names_root = ["cmdline", "environ"].iter().any(|file| {
            fs::read(entry.path().join(file)).is_ok_and(|text| contains(&text, needle))
        });
        if names_root
            && id.cast_unsigned() != std::process::id()
            && let Some(pid) = Pid::from_raw(id)
        {
            // A process that ended meanwhile is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

/// A figure of `/proc/PID/status` in KiB: `VmRSS` is all that is resident, `RssAnon` the part that
/// no other process shares.
///
/// # Errors
/// When there is no such process or figure.
pub fn memory_kib(pid: u32, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| Fault::new(format!("/proc/{pid}/status has no {name}")))
}

/// An empty file, made with its parents.
///
/// # Errors
/// When it cannot be made.
pub fn touch(path: &Path) -> Outcome<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    File::create(path)?;
    Ok(())
}
