//! The agent's data directory: one agent at a time, runs found again after a restart, and garbage.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::cgroup::{self, Cgroups};
use super::files::{Claim, RunDir, write_atomic};
use super::{clock, watch};
use crate::task::{Evidence, RunId, RunSpec, lost};

/// Attempts at removing a run's files: a last file of it takes no longer.
const REMOVE_ATTEMPTS: u32 = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(20);

/// `<data-dir>/{pki,tasks,sandboxes,lock}`.
#[derive(Debug)]
pub(crate) struct Home {
    root: PathBuf,
    /// Held for as long as the agent lives.
    _lock: File,
}

/// A run found on disk.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: RunId,
    pub(crate) spec: RunSpec,
    pub(crate) evidence: Evidence,
}

impl Home {
    /// Makes the directories and takes the lock.
    ///
    /// # Errors
    /// `WouldBlock` when another agent runs here.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        for name in ["", "pki", "tasks", "sandboxes"] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(root.join(name))?;
        }
        // Absolute, for supervisors and commands have other working directories.
        let root = fs::canonicalize(root)?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(root.join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { root, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    pub(crate) fn run(&self, id: &RunId) -> RunDir {
        RunDir::new(self.root.join("tasks").join(id.to_string()))
    }

    pub(crate) fn sandbox(&self, id: &RunId) -> PathBuf {
        self.sandboxes().join(id.to_string())
    }

    /// Makes the sandbox with its empty outputs, the control groups and the checkpoint. Answers
    /// with the limits that are not enforced.
    pub(crate) fn prepare(
        &self,
        id: &RunId,
        spec: &RunSpec,
        cgroups: &Cgroups,
    ) -> io::Result<Vec<String>> {
        let sandbox = self.sandbox(id);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&sandbox)?;
        for name in ["stdout", "stderr"] {
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o644)
                .open(sandbox.join(name))?;
        }
        let (groups, not_enforced) = cgroups.prepare(&id.to_string(), &spec.ceilings);
        let spec = RunSpec {
            cgroups: groups,
            not_enforced,
            ..spec.clone()
        };
        self.run(id).create(&spec)?;
        Ok(spec.not_enforced)
    }

    /// Every run on disk, with its end where its supervisor is dead. Call before any is started.
    pub(crate) fn recover(&self) -> io::Result<Vec<Found>> {
        let boot_id = clock::boot_id()?;
        let marker = self.root.join("boot");
        // The boot in which an agent last ran here; without it there was none.
        let last = fs::read_to_string(&marker).ok();
        let rebooted = last.is_some_and(|last| last != boot_id);
        let found = self.runs(rebooted)?;
        write_atomic(&marker, boot_id.as_bytes())?;
        Ok(found)
    }

    fn runs(&self, rebooted: bool) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("tasks"))? {
            let entry = entry?;
            let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let dir = RunDir::new(entry.path());
            if rebooted {
                // Whether it had begun is not known, so it is not begun again.
                end_before_reboot(&dir)?;
            } else if dir.spec()?.is_none() {
                // The agent died before the checkpoint was there, so nothing was started.
                fs::remove_dir_all(entry.path())?;
                continue;
            }
            let spec = dir.spec().ok().flatten().unwrap_or_default();
            let evidence = evidence(&dir)?;
            found.push(Found { id, spec, evidence });
        }
        Ok(found)
    }

    /// Removes every file of a run.
    pub(crate) fn remove(&self, id: &RunId) -> io::Result<()> {
        for path in [self.run(id).path(), &self.sandbox(id)] {
            remove_tree(path)?;
        }
        Ok(())
    }

    /// Removes sandboxes and control groups of runs that left no checkpoint, and groups of runs that are over.
    pub(crate) fn sweep(&self, cgroups: &Cgroups) -> io::Result<()> {
        let tasks = self.root.join("tasks");
        let is_known = |name: &str| tasks.join(name).exists();
        // Of a run that is over nothing is left, whoever was stopped before it had tidied up.
        let may_run = |name: &str| is_known(name) && !tasks.join(name).join("exit").exists();
        cgroup::clear(&cgroups.strays(may_run));
        for entry in fs::read_dir(self.sandboxes())? {
            let entry = entry?;
            if !is_known(&entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The end of a run from an earlier boot. A power cut may have spoilt any file that was not
/// synced; what cannot be read is taken as absent.
fn end_before_reboot(dir: &RunDir) -> io::Result<()> {
    for (name, is_spoilt) in [
        ("exit", dir.end().is_err()),
        ("claim", dir.claimed().is_err()),
        ("pid", dir.started().is_err()),
        ("killing", dir.kill_deadline_ms().is_err()),
        ("reported", dir.is_reported().is_err()),
    ] {
        if is_spoilt {
            remove_if_there(&dir.path().join(name))?;
        }
    }
    if dir.end()?.is_none() {
        dir.claim(&Claim::mine(true)?)?;
        dir.write_end(&lost(false, dir.started()?, clock::now_us()))?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn evidence(dir: &RunDir) -> io::Result<Evidence> {
    let claimed = dir.claimed()?.is_some();
    let end = match dir.end()? {
        Some(end) => Some(end),
        None if claimed => watch::conclude(dir)?,
        None => None,
    };
    Ok(Evidence {
        claimed,
        started: dir.started()?,
        end,
        kill_deadline_ms: dir.kill_deadline_ms()?,
        reported: dir.is_reported()?,
    })
}

/// Removes a directory in which a process that is ending may still make its last files.
fn remove_tree(path: &Path) -> io::Result<()> {
    for _ in 0..REMOVE_ATTEMPTS {
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(REMOVE_PAUSE);
            }
            other => return other,
        }
    }
    fs::remove_dir_all(path)
}
