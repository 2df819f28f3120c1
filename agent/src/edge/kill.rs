//! Signals to all processes of a run.

use std::io;
use std::path::PathBuf;

use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

use super::{cgroup, procs};
use crate::task::Started;

/// SIGKILL to each of these processes.
pub(crate) fn each(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _already_gone = kill_process(pid, Signal::KILL);
    }
}

/// SIGTERM to every process of a run whose command lives.
pub(crate) fn terminate(started: &Started, cgroups: &[PathBuf]) {
    signal(started, cgroups, Signal::TERM);
}

/// SIGKILL to every process of a run. The supervisor kills what is born meanwhile.
pub(crate) fn destroy(started: &Started, cgroups: &[PathBuf]) {
    signal(started, cgroups, Signal::KILL);
}

fn signal(started: &Started, cgroups: &[PathBuf], signal: Signal) {
    let leads = lead(started, signal);
    let mut members: Vec<i32> = cgroups
        .iter()
        .flat_map(|group| cgroup::members(group))
        .collect();
    if leads && cgroups.is_empty() {
        // Only while the command lives is its session's number certain to be its own.
        let all = procs::all().unwrap_or_default();
        members.extend(
            all.iter()
                .filter(|p| p.session == started.pid)
                .map(|p| p.pid),
        );
    }
    members.sort_unstable();
    members.dedup();
    members.retain(|pid| *pid != started.pid);
    for pid in members.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _already_gone = kill_process(pid, signal);
    }
}

/// To the command itself, by a descriptor that was opened before its start time was checked, so
/// that no later process with its number is hit. True when it lived.
fn lead(started: &Started, signal: Signal) -> bool {
    let Some(pid) = Pid::from_raw(started.pid) else {
        return false;
    };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let lives = procs::is_alive(started.pid, started.ticks);
    lives.unwrap_or(false) && pidfd_send_signal(&descriptor, signal).is_ok()
}

/// SIGKILL to what a dead supervisor left: the command and its session. The kernel gives the
/// number of a session to nobody while a member lives, so a later process that has it proves that
/// the session is gone, and is left alone.
pub(crate) fn orphans(started: &Started, cgroups: &[PathBuf]) -> io::Result<()> {
    destroy(started, cgroups);
    let all = procs::all()?;
    let of_session = |p: &&procs::Stat| p.session == started.pid && p.ticks >= started.ticks;
    let is_taken = |p: &procs::Stat| p.pid == started.pid && p.ticks != started.ticks;
    if !all.iter().any(is_taken) {
        let left: Vec<i32> = all.iter().filter(of_session).map(|p| p.pid).collect();
        each(&left);
        if let Some(group) = Pid::from_raw(started.pid).filter(|_| !left.is_empty()) {
            let _already_gone = kill_process_group(group, Signal::KILL);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_later_process_with_the_number_of_a_dead_session_is_left_alone() {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", "echo up; exec sleep 1000"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut up = [0; 3];
        child.stdout.take().unwrap().read_exact(&mut up).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let stat = procs::stat(pid).unwrap();
        assert_eq!(stat.session, pid);
        let started = |ticks| Started {
            pid,
            ticks,
            at_us: 0,
        };
        orphans(&started(stat.ticks - 1), &[]).unwrap();
        assert!(procs::is_alive(pid, stat.ticks).unwrap());
        assert_eq!(child.try_wait().unwrap(), None);
        orphans(&started(stat.ticks), &[]).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
