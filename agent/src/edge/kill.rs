//! Signals to all processes of a run.

use std::io;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::{cgroup, procs};
use crate::task::{RunSpec, Started};

/// SIGKILL to each of these processes.
pub(crate) fn each(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _already_gone = kill_process(pid, Signal::KILL);
    }
}

/// SIGTERM to every process of a run whose command lives.
pub(crate) fn terminate(started: &Started, spec: &RunSpec) {
    signal(started, spec, Signal::TERM);
}

/// SIGKILL to every process of a run. The supervisor kills what is born meanwhile.
pub(crate) fn destroy(started: &Started, spec: &RunSpec) {
    signal(started, spec, Signal::KILL);
}

fn signal(started: &Started, spec: &RunSpec, signal: Signal) {
    let leads = lead(started, signal);
    let mut members: Vec<i32> = spec
        .cgroups
        .iter()
        .flat_map(|group| cgroup::members(group))
        .collect();
    if leads && spec.cgroups.is_empty() {
        // Only while the command lives is its session's number certain to be its own. Children
        // in sessions of their own are known by their variables.
        let marks = Marks::of(spec);
        let all = procs::all().unwrap_or_default();
        members.extend(
            all.iter()
                .filter(|p| p.session == started.pid || marks.are_on(p.pid))
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

/// The variables that tell the processes of one run from all others, whatever number or session
/// they have.
struct Marks(Vec<String>);

impl Marks {
    const NAMES: [&str; 2] = ["STOA_TASK_UID", "STOA_ATTEMPT"];

    fn of(spec: &RunSpec) -> Self {
        let mark = |name: &str| Some(format!("{name}={}", spec.env.get(name)?));
        Self(Self::NAMES.into_iter().filter_map(mark).collect())
    }

    /// False as well where the run's variables are not known: nobody is killed on suspicion.
    fn are_on(&self, pid: i32) -> bool {
        self.0.len() == Self::NAMES.len() && procs::has_variables(pid, &self.0)
    }
}

/// How often the machine is searched for what was born while it was being searched. What is left
/// then hangs in the kernel, or forks faster than anybody kills.
const SWEEPS_MAX: u32 = 100;

/// SIGKILL to what a dead supervisor left: the command, and every process with the run's
/// variables. That a process has the number of the command's session proves nothing once the
/// command is gone, for numbers are given out again.
pub(crate) fn orphans(started: Option<&Started>, spec: &RunSpec) -> io::Result<()> {
    if let Some(started) = started {
        destroy(started, spec);
    }
    let marks = Marks::of(spec);
    for _ in 0..SWEEPS_MAX {
        let mut left = procs::all()?;
        left.retain(|process| !process.is_zombie && marks.are_on(process.pid));
        if left.is_empty() {
            break;
        }
        for process in &left {
            strike(process, &marks);
        }
    }
    Ok(())
}

/// By a descriptor that was opened before the process was looked at again, so that no later
/// process with its number is hit.
fn strike(process: &procs::Stat, marks: &Marks) {
    let Some(descriptor) =
        Pid::from_raw(process.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
    else {
        return;
    };
    let lives = procs::is_alive(process.pid, process.ticks).unwrap_or(false);
    if lives && marks.are_on(process.pid) {
        let _already_gone = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    fn spec(attempt: &str) -> RunSpec {
        let env = [("STOA_TASK_UID", "kill-test"), ("STOA_ATTEMPT", attempt)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        RunSpec {
            env: env.into(),
            ..RunSpec::default()
        }
    }

    /// A command that has ended but for a child; answers with the command and the child, whose
    /// standard output ends with it.
    fn left_behind(child: &str, attempt: &str) -> (Started, i32, impl Read) {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", &format!("{child} & exit 0")]);
        command.envs(&spec(attempt).env).stdout(Stdio::piped());
        let mut leader = command.spawn().unwrap();
        let pid = i32::try_from(leader.id()).unwrap();
        let mut output = BufReader::new(leader.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        leader.wait().unwrap();
        let started = Started {
            pid,
            ticks: 0,
            at_us: 0,
        };
        (started, line.trim().parse().unwrap(), output)
    }

    #[test]
    fn what_is_left_of_a_run_is_known_by_its_variables_alone() {
        let same = "sh -c 'echo $$; exec sleep 1000'";
        let own = "setsid sh -c 'echo $$; exec sleep 1000'";
        let cleared = "env -i sh -c 'echo $$; exec sleep 1000'";
        for (child, attempt, dies) in [
            (same, "sweep", true),
            (own, "sweep", true),
            (same, "another", false),
            (cleared, "sweep", false),
        ] {
            let (started, pid, mut output) = left_behind(child, attempt);
            let is_of_session = procs::stat(pid).unwrap().session == started.pid;
            assert_eq!(is_of_session, child != own, "{child}");
            orphans(Some(&started), &RunSpec::default()).unwrap();
            assert!(procs::find(pid).unwrap().is_some(), "unknown variables");
            orphans(Some(&started), &spec("sweep")).unwrap();
            if !dies {
                assert!(!procs::stat(pid).unwrap().is_zombie, "{child} {attempt}");
                each(&[pid]);
            }
            output.read_to_end(&mut vec![]).unwrap();
        }
    }

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
        orphans(Some(&started(stat.ticks - 1)), &spec("0")).unwrap();
        assert!(procs::is_alive(pid, stat.ticks).unwrap());
        assert_eq!(child.try_wait().unwrap(), None);
        orphans(Some(&started(stat.ticks)), &spec("0")).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
