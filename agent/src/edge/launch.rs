//! The second stage: a process that confines itself and then becomes the command.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit, setsid, umask,
};
use rustix::thread::disable_transparent_huge_pages;

use super::files::RunDir;
use super::{cgroup, supervise};
use crate::task::RunSpec;

/// Exit codes of a command that cannot be started, as shells have them.
pub(super) const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: u8 = 127;

/// Becomes the command of a run. Returns only when that fails, after saying why into the pipe that
/// is its standard input.
pub(super) fn launch(dir: &RunDir) -> ExitCode {
    let Ok(pipe) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else {
        supervise::complain("there is no pipe to the supervisor");
        return ExitCode::from(126);
    };
    let (code, message) = become_command(dir);
    tell(pipe, &message);
    code
}

fn tell(pipe: OwnedFd, message: &str) {
    let _nobody_listens = std::fs::File::from(pipe).write_all(message.as_bytes());
}

fn become_command(dir: &RunDir) -> (ExitCode, String) {
    let prepared = dir.spec().and_then(|spec| {
        let spec = spec.ok_or_else(|| io::Error::other("there is no spec.json"))?;
        Ok((confine(dir, &spec)?, spec))
    });
    match prepared {
        Ok((mut command, spec)) => explain(&spec, &command.exec()),
        Err(e) => (
            ExitCode::from(126),
            format!("cannot prepare the command's process: {e}"),
        ),
    }
}

/// Applies every limit to this process and describes the command, which inherits them.
fn confine(dir: &RunDir, spec: &RunSpec) -> io::Result<Command> {
    // Should the supervisor die, the command dies with it: nothing runs unsupervised.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if !is_attended(dir)? {
        return Err(io::Error::other("the supervisor has died"));
    }
    // The agent has itself backed by small pages; whether the command gains from huge ones is its affair.
    // A kernel without huge pages refuses, and nothing is lost.
    disable_transparent_huge_pages(false).ok();
    setsid()?;
    for group in &spec.cgroups {
        cgroup::join(group)?;
    }
    // A crash leaves no core file in the sandbox unless the command asks for one.
    let maximum = getrlimit(Resource::Core).maximum;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum,
        },
    )?;
    let files = getrlimit(Resource::Nofile);
    if let Some(current) = spec.open_files {
        let limit = Rlimit {
            current: Some(current),
            ..files
        };
        setrlimit(Resource::Nofile, limit)?;
    }
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    let (program, arguments) = spec
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.sandbox);
    command.stdin(Stdio::null());
    command.stdout(output(&spec.sandbox.join("stdout"))?);
    command.stderr(output(&spec.sandbox.join("stderr"))?);
    Ok(command)
}

/// True while the supervisor is this process's parent. Whoever adopts orphans here (not always
/// process 1) has made no claim.
fn is_attended(dir: &RunDir) -> io::Result<bool> {
    let claim = dir.claimed()?;
    Ok(claim.is_some_and(|claim| u32::try_from(claim.pid) == Ok(parent_id())))
}

fn output(path: &Path) -> io::Result<Stdio> {
    Ok(Stdio::from(
        OpenOptions::new().create(true).append(true).open(path)?,
    ))
}

fn explain(spec: &RunSpec, error: &io::Error) -> (ExitCode, String) {
    let program = spec.command.first().map_or("", String::as_str);
    if error.kind() != ErrorKind::NotFound {
        return (
            ExitCode::from(126),
            format!("cannot run {program:?}: {error}"),
        );
    }
    let place = if program.contains('/') {
        String::new()
    } else {
        format!(
            " in PATH={}",
            spec.env.get("PATH").map_or("", String::as_str)
        )
    };
    (
        ExitCode::from(NOT_FOUND),
        format!("cannot run {program:?}: {error}{place}"),
    )
}
