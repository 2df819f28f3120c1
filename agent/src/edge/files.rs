//! The files of one run, and how they reach the disk. Used by agent and supervisor alike.
//!
//! `spec.json` checkpoint · `claim` who may start it · `pid` its command · `killing` a kill's
//! deadline · `exit` how it ended · `reported` the servers know.
//!
//! Two things are synced to disk: that the directory exists, before anything is started, and the
//! end. The rest only has to outlive processes, and those do not outlive a power cut either:
//! a directory from an earlier boot without an end is a run that may have begun.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::procs;
use crate::task::{Cause, End, RunSpec, Started};

/// Who owns the fate of a run: the supervisor that may start it, or the agent that forbids it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    /// Process that claimed.
    pub(crate) pid: i32,
    /// Its start time in clock ticks.
    pub(crate) ticks: u64,
    /// True when the claim is there to forbid a start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forbids: bool,
}

impl Claim {
    /// A claim by this process, to start the run or to forbid that.
    pub(crate) fn mine(forbids: bool) -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let ticks = procs::stat(pid)?.ticks;
        Ok(Self {
            pid,
            ticks,
            forbids,
        })
    }
}

/// The directory of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the directory with its checkpoint. That there is such a run is on disk on return;
    /// one fsync of the parent serves all runs that are made at a time.
    pub(crate) fn create(&self, spec: &RunSpec) -> io::Result<()> {
        match fs::create_dir(&self.0) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && self.spec()?.is_none() => {}
            other => other?,
        }
        self.note("spec.json", spec)?;
        self.0.parent().map_or(Ok(()), sync_dir)
    }

    pub(crate) fn spec(&self) -> io::Result<Option<RunSpec>> {
        self.read("spec.json")
    }

    /// Claims the run. False when another has; at most one claim ever succeeds, for `link` does
    /// not replace.
    pub(crate) fn claim(&self, claim: &Claim) -> io::Result<bool> {
        let draft = self.0.join(format!("claim.{}", claim.pid));
        write_owned(&draft, &to_json(claim)?)?;
        let linked = fs::hard_link(&draft, self.0.join("claim"));
        fs::remove_file(&draft)?;
        match linked {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn claimed(&self) -> io::Result<Option<Claim>> {
        self.read("claim")
    }

    pub(crate) fn write_pid(&self, started: &Started) -> io::Result<()> {
        self.note("pid", started)
    }

    pub(crate) fn started(&self) -> io::Result<Option<Started>> {
        self.read("pid")
    }

    pub(crate) fn write_end(&self, end: &End) -> io::Result<()> {
        write_atomic(&self.0.join("exit"), &to_json(end)?)
    }

    pub(crate) fn end(&self) -> io::Result<Option<End>> {
        self.read("exit")
    }

    pub(crate) fn write_killing(&self, deadline_ms: u64) -> io::Result<()> {
        self.note("killing", &deadline_ms)
    }

    pub(crate) fn kill_deadline_ms(&self) -> io::Result<Option<u64>> {
        self.read("killing")
    }

    pub(crate) fn mark_reported(&self) -> io::Result<()> {
        self.note("reported", &true)
    }

    pub(crate) fn is_reported(&self) -> io::Result<bool> {
        Ok(self.read::<bool>("reported")?.unwrap_or(false))
    }

    /// Forbids a start for ever and writes the end. False when a supervisor was quicker.
    pub(crate) fn settle(&self, spec: &RunSpec, cause: Cause, now_us: i64) -> io::Result<bool> {
        if self.spec()?.is_none() {
            self.create(spec)?;
        }
        if !self.claim(&Claim::mine(true)?)? {
            return Ok(false);
        }
        self.write_end(&End::without_start(cause, now_us))
            .map(|()| true)
    }

    /// Replaces a file whole for every other process; a power cut may undo or spoil it.
    fn note<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let draft = self.0.join(format!("{name}.draft"));
        write_owned(&draft, &to_json(value)?)?;
        fs::rename(draft, self.0.join(name))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn to_json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// Replaces a file whole: after a crash there is the old content or the new, never a part.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    write_owned(Path::new(&draft), bytes)?.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Readable by the owner alone: specs hold environments, and those hold secrets.
fn write_owned(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Makes names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
