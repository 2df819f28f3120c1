//! Signals to all processes of a run.

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
    lives && pidfd_send_signal(&descriptor, signal).is_ok()
}

/// SIGKILL to what a dead supervisor left: the command and its session. Nobody has waited for a
/// member of that session but init, and its number cannot be taken while one lives.
pub(crate) fn orphans(started: &Started, cgroups: &[PathBuf]) {
    destroy(started, cgroups);
    let all = procs::all().unwrap_or_default();
    let is_orphan = |p: &&procs::Stat| p.session == started.pid && p.ticks >= started.ticks;
    each(
        &all.iter()
            .filter(is_orphan)
            .map(|p| p.pid)
            .collect::<Vec<_>>(),
    );
    if let Some(group) = Pid::from_raw(started.pid)
        && all.iter().any(|p| p.session == started.pid)
    {
        let _already_gone = kill_process_group(group, Signal::KILL);
    }
}
