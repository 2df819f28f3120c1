//! Follows one run from its supervisor's start, or from the agent's, to its end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::files::{Claim, RunDir};
use super::inotify::Changes;
use super::ready::Ready;
use super::{cgroup, clock, kill, procs};
use crate::task::{Cause, End, Started, lost};

/// Starts a supervisor with its standard output on a pipe, which it closes when the command runs.
pub(crate) fn spawn(supervisor: &[String], dir: &RunDir) -> io::Result<Child> {
    let (program, leading) = supervisor
        .split_first()
        .ok_or_else(|| io::Error::other("no supervisor program is set"))?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.path().join("supervisor.log"))?;
    let mut command = Command::new(program);
    command
        .args(leading)
        .arg("--dir")
        .arg(dir.path())
        .env_clear()
        .current_dir("/");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
}

/// Returns when the supervisor has closed its end of the pipe.
pub(crate) async fn until_noted(child: &mut Child) -> io::Result<()> {
    let Some(stdout) = child.stdout.take() else {
        return Ok(());
    };
    let mut receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(stdout))?;
    let mut rest = [0_u8; 16];
    while receiver.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Returns when the child has ended, and waits for it.
pub(crate) async fn until_child_ends(child: &mut Child) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process id of zero"))?;
    until_readable(pidfd_open(pid, PidfdFlags::empty())?).await?;
    child.wait().map(|_status| ())
}

/// Returns when the process that made the claim has ended; at once if it has.
pub(crate) async fn until_claimant_ends(claim: &Claim) -> io::Result<()> {
    let Some(descriptor) = claimant(claim)? else {
        return Ok(());
    };
    until_readable(descriptor).await
}

/// Returns when the command runs (with its process), or its supervisor has ended (with none).
pub(crate) async fn until_started(dir: &RunDir, claim: &Claim) -> io::Result<Option<Started>> {
    let changes = Changes::new()?;
    changes.add_dir(dir.path())?;
    let Some(descriptor) = claimant(claim)? else {
        return dir.started();
    };
    let end = until_readable(descriptor);
    tokio::pin!(end);
    loop {
        if let Some(started) = dir.started()? {
            return Ok(Some(started));
        }
        tokio::select! {
            changed = changes.wait() => changed?,
            ended = &mut end => {
                ended?;
                return dir.started();
            }
        }
    }
}

/// A descriptor of the supervisor that made the claim, if it lives. Opened before the check, so
/// that it cannot be of a later process with the same number.
fn claimant(claim: &Claim) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(claim.pid).filter(|_| !claim.forbids) else {
        return Ok(None);
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(Errno::SRCH) => return Ok(None),
        // No descriptors are left, say: that is no sign of anybody's death.
        Err(e) => return Err(e.into()),
    };
    let lives = procs::is_alive(claim.pid, claim.ticks)?;
    Ok(lives.then_some(descriptor))
}

/// True while the supervisor that made the claim lives.
pub(crate) fn is_attended(claim: &Claim) -> io::Result<bool> {
    Ok(claimant(claim)?.is_some())
}

async fn until_readable(descriptor: OwnedFd) -> io::Result<()> {
    Ready::new(descriptor)?.readable().await
}

/// The end of a run: what its supervisor wrote, or what follows from the supervisor's silence,
/// which is then written. `None` while a supervisor lives.
pub(crate) fn conclude(dir: &RunDir) -> io::Result<Option<End>> {
    let claim = dir.claimed()?;
    if claim.as_ref().map_or(Ok(false), is_attended)? {
        return Ok(None);
    }
    let spec = dir.spec()?.unwrap_or_default();
    if let Some(end) = dir.end()? {
        // Groups of a run that was never started are nobody else's to remove.
        cgroup::clear(&spec.cgroups);
        return Ok(Some(end));
    }
    let now_us = clock::now_us();
    let end = match claim {
        None => {
            if !dir.claim(&Claim::mine(true)?)? {
                return Ok(None); // A supervisor was quicker.
            }
            let message = "the supervisor ended before it began (see supervisor.log)".to_owned();
            End::without_start(Cause::NotPrepared { message }, now_us)
        }
        Some(claim) if claim.forbids => End::without_start(Cause::KilledBeforeStart, now_us),
        Some(_) => {
            let started = dir.started()?;
            // Nothing of the run is left behind.
            kill::orphans(started.as_ref(), &spec)?;
            lost(true, started, now_us)
        }
    };
    cgroup::clear(&spec.cgroups);
    dir.write_end(&end)?;
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;
    use crate::task::{Cause, RunSpec};

    fn new_dir(root: &tempfile::TempDir, spec: &RunSpec) -> RunDir {
        std::fs::create_dir(root.path().join("tasks")).unwrap();
        let dir = RunDir::new(root.path().join("tasks/u.0"));
        dir.create(spec).unwrap();
        dir
    }

    /// The limit holds for a whole process, so the test has one of its own.
    #[test]
    fn a_lack_of_descriptors_is_nobodys_death() {
        const ALONE: &str = "STOA_TEST_ALONE";
        const NAME: &str = "edge::watch::tests::a_lack_of_descriptors_is_nobodys_death";
        if std::env::var_os(ALONE).is_none() {
            let mut alone = Command::new(std::env::current_exe().unwrap());
            alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "1");
            assert!(alone.status().unwrap().success());
            return;
        }
        let claim = Claim::mine(false).unwrap();
        let before = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Nofile, none).unwrap();
        let (attended, lives) = (is_attended(&claim), procs::is_alive(claim.pid, claim.ticks));
        setrlimit(Resource::Nofile, before).unwrap();
        assert!(
            attended.is_err() && lives.is_err(),
            "{attended:?} {lives:?}"
        );
        assert!(is_attended(&claim).unwrap());
    }

    #[test]
    fn groups_of_a_run_that_was_never_started_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("group");
        std::fs::create_dir(&group).unwrap();
        let spec = RunSpec {
            cgroups: vec![group.clone()],
            ..RunSpec::default()
        };
        let dir = new_dir(&root, &spec);
        assert!(dir.settle(&spec, Cause::KilledBeforeStart, 1).unwrap());
        assert!(conclude(&dir).unwrap().is_some());
        assert!(!group.exists());
    }
}
