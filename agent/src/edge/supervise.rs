//! The supervisor: one small process for each run, which outlives the agent.
//!
//! It claims the run, starts the command, waits, kills what the command leaves behind, and writes
//! down how it ended. It keeps no thread and no runtime, for there is one of it for every task.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait};

use super::files::{Claim, RunDir};
use super::{cgroup, clock, kill, launch, procs};
use crate::task::{Cause, End, RunSpec, Started};

/// Exit code when another supervisor has the run.
const CLAIMED: u8 = 75;

/// Runs the hidden subcommand with the arguments that follow its name: `--dir RUN` supervises,
/// `--launch --dir RUN` becomes the command.
///
/// Call it first in `main`, before any thread is started.
pub fn supervise(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    match args.iter().map(|arg| arg.to_str()).collect::<Vec<_>>()[..] {
        [Some("--dir"), _] => run(&RunDir::new(PathBuf::from(&args[1]))),
        [Some("--launch"), Some("--dir"), _] => {
            launch::launch(&RunDir::new(PathBuf::from(&args[2])))
        }
        _ => {
            complain("the arguments are --dir RUN-DIRECTORY");
            ExitCode::from(2)
        }
    }
}

fn run(dir: &RunDir) -> ExitCode {
    match attend(dir) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(CLAIMED),
        Err(e) => {
            complain(&format!("{}: {e}", dir.path().display()));
            ExitCode::FAILURE
        }
    }
}

/// To the run's `supervisor.log`, where nobody may be listening.
pub(super) fn complain(message: &str) {
    use io::Write;
    let _nobody_listens = writeln!(io::stderr(), "stoa supervise: {message}");
}

/// False when another supervisor has the run.
fn attend(dir: &RunDir) -> io::Result<bool> {
    // A leader of a process group cannot leave its session; then it has one of its own already.
    let _already_leads = setsid();
    set_child_subreaper(Some(getpid()))?;
    let spec = dir
        .spec()?
        .ok_or_else(|| io::Error::other("there is no spec.json"))?;
    if !dir.claim(&Claim::mine(false)?)? {
        return Ok(false);
    }
    let started_us = clock::now_us();
    let cause = match start(dir, &spec) {
        Ok((pid, message)) => {
            if message.is_empty() {
                note_start(dir, pid, started_us)?;
            }
            finish(&spec, pid, &message)?
        }
        Err(e) => Cause::NotPrepared {
            message: format!("the supervisor cannot start a process: {e}"),
        },
    };
    let started_us =
        matches!(cause, Cause::Exited { .. } | Cause::Signaled { .. }).then_some(started_us);
    dir.write_end(&End {
        cause,
        started_us,
        finished_us: clock::now_us(),
    })?;
    Ok(true)
}

/// Starts the second stage, which becomes the command. It holds the writing end of a pipe as its
/// standard input: closed by a successful exec, or else carrying the reason of the failure.
fn start(dir: &RunDir, spec: &RunSpec) -> io::Result<(Pid, String)> {
    let (mut reader, writer) = io::pipe()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .args(&spec.supervisor)
        .arg("--launch")
        .arg("--dir")
        .arg(dir.path());
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command
        .env_clear()
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(writer)));
    let child = command.stdout(Stdio::null()).spawn()?;
    drop(command);
    let mut message = String::new();
    reader.read_to_string(&mut message)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok((
        pid.ok_or_else(|| io::Error::other("a process id of zero"))?,
        message,
    ))
}

/// Writes the `pid` file, then tells a listening agent by closing standard output.
fn note_start(dir: &RunDir, pid: Pid, at_us: i64) -> io::Result<()> {
    let pid = pid.as_raw_nonzero().get();
    let ticks = procs::stat(pid)?.ticks;
    dir.write_pid(&Started { pid, ticks, at_us })?;
    rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(())
}

/// Waits for the command, then for everything it left behind.
fn finish(spec: &RunSpec, pid: Pid, message: &str) -> io::Result<Cause> {
    let status = wait_for(pid)?;
    kill_rest(&spec.cgroups);
    let out_of_memory = spec
        .cgroups
        .iter()
        .any(|group| cgroup::hit_memory_limit(group));
    cgroup::clear(&spec.cgroups);
    let code = status.exit_status();
    Ok(match (status.terminating_signal(), code) {
        (None, code) if !message.is_empty() => {
            let code = code.unwrap_or(launch::NOT_EXECUTABLE);
            Cause::NotLaunched {
                code,
                message: message.to_owned(),
            }
        }
        (Some(signal), _) => Cause::Signaled {
            signal,
            out_of_memory,
        },
        (None, code) => {
            let code = code.unwrap_or(-1);
            Cause::Exited {
                code,
                out_of_memory: out_of_memory && code != 0,
            }
        }
    })
}

fn wait_for(pid: Pid) -> io::Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if ended == pid => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Kills until nobody is left. Orphans become children of this process (it is their subreaper),
/// so that without a child there is no descendant either, in whatever session or group.
fn kill_rest(cgroups: &[PathBuf]) {
    let me = getpid().as_raw_nonzero().get();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => continue,
            Ok(None) => {}
            Err(_no_child) => return,
        }
        let mut rest: Vec<i32> = cgroups
            .iter()
            .flat_map(|group| cgroup::members(group))
            .collect();
        let all = procs::all().unwrap_or_default();
        rest.extend(
            all.iter()
                .filter(|process| process.parent == me)
                .map(|process| process.pid),
        );
        kill::each(&rest);
        let _one_of_them = wait(WaitOptions::empty());
    }
}
