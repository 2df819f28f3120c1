//! The supervisor by itself: a run directory in, files out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use agent::task::{Cause, End, RunSpec, Started};
use tempfile::TempDir;

use super::wait::until;

pub(crate) const SUPERVISOR: &str = env!("CARGO_BIN_EXE_stoa-supervise");

struct Run {
    root: TempDir,
}

impl Run {
    fn of(command: &[&str]) -> Self {
        Self::with(command, vec![])
    }

    fn with(command: &[&str], cgroups: Vec<PathBuf>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let spec = RunSpec {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            sandbox: root.path().join("sandbox"),
            cgroups,
            ..RunSpec::default()
        };
        fs::create_dir(root.path().join("sandbox")).unwrap();
        fs::create_dir(root.path().join("run")).unwrap();
        fs::write(
            root.path().join("run/spec.json"),
            serde_json::to_vec(&spec).unwrap(),
        )
        .unwrap();
        Self { root }
    }

    fn supervise(&self) -> ExitStatus {
        self.command().status().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(SUPERVISOR);
        command.arg("--dir").arg(self.root.path().join("run"));
        command
    }

    fn end(&self) -> End {
        read(&self.root.path().join("run/exit")).unwrap()
    }

    fn output(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join("sandbox").join(name)).unwrap()
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn ends_are_told_apart() {
    let exited = |code| Cause::Exited {
        code,
        out_of_memory: false,
    };
    let signaled = |signal| Cause::Signaled {
        signal,
        out_of_memory: false,
    };
    let missing = "cannot run \"no-such-program\": No such file or directory (os error 2) in PATH=/usr/bin:/bin";
    let denied = "cannot run \"/etc/passwd\": Permission denied (os error 13)";
    let refused = |code, message: &str| Cause::NotLaunched {
        code,
        message: message.to_owned(),
    };
    let table: [(&[&str], Cause); 7] = [
        (&["true"], exited(0)),
        (&["sh", "-c", "exit 7"], exited(7)),
        (&["sh", "-c", "exit 127"], exited(127)),
        (&["sh", "-c", "kill -TERM $$"], signaled(15)),
        (&["sh", "-c", "kill -KILL $$"], signaled(9)),
        (&["no-such-program"], refused(127, missing)),
        (&["/etc/passwd"], refused(126, denied)),
    ];
    for (command, cause) in table {
        let run = Run::of(command);
        assert!(run.supervise().success(), "{command:?}");
        let end = run.end();
        assert_eq!(end.cause, cause, "{command:?}");
        let launched = !matches!(end.cause, Cause::NotLaunched { .. });
        assert_eq!(end.started_us.is_some(), launched, "{command:?}");
        assert_eq!(
            run.root.path().join("run/pid").exists(),
            launched,
            "{command:?}"
        );
    }
}

#[test]
fn a_command_has_its_sandbox_outputs_session_and_nothing_else() {
    let script = "echo out; echo err >&2; pwd; cut -d' ' -f1,5,6 /proc/$$/stat; ls /proc/self/fd | wc -l; env";
    let run = Run::of(&["sh", "-c", script]);
    run.supervise();
    assert_eq!(run.output("stderr"), "err\n");
    let started: Started = read(&run.root.path().join("run/pid")).unwrap();
    let stdout = run.output("stdout");
    let lines: Vec<&str> = stdout.lines().collect();
    let pid = started.pid;
    assert_eq!(lines[0], "out");
    assert_eq!(Path::new(lines[1]), run.root.path().join("sandbox"));
    assert_eq!(
        lines[2],
        format!("{pid} {pid} {pid}"),
        "leads its group and its session"
    );
    let plain = Command::new("sh")
        .args(["-c", "ls /proc/self/fd | wc -l"])
        .output()
        .unwrap();
    let plain = String::from_utf8(plain.stdout).unwrap();
    assert_eq!(
        lines[3],
        plain.trim(),
        "has no descriptor that this test would not pass on too"
    );
    let extra = lines[4..].iter().filter(|line| {
        !["PATH=", "PWD=", "SHLVL=", "_=", "OLDPWD="]
            .iter()
            .any(|v| line.starts_with(v))
    });
    assert_eq!(extra.count(), 0, "{stdout}");
}

#[test]
fn a_run_is_never_started_twice() {
    let run = Run::of(&["sh", "-c", "echo ran; exit 3"]);
    assert!(run.supervise().success());
    let first = run.end();
    for _ in 0..3 {
        assert_eq!(run.supervise().code(), Some(75));
    }
    assert_eq!((run.output("stdout").as_str(), run.end()), ("ran\n", first));
}

#[test]
fn of_many_supervisors_one_starts_the_command() {
    let run = Run::of(&["sh", "-c", "echo ran"]);
    let children: Vec<_> = (0..8).map(|_| run.command().spawn().unwrap()).collect();
    let codes = children
        .into_iter()
        .map(|mut child| child.wait().unwrap().code());
    let mut codes: Vec<_> = codes.collect();
    codes.sort_unstable();
    assert_eq!(
        (codes[0], codes[1], codes[7]),
        (Some(0), Some(75), Some(75))
    );
    assert_eq!(run.output("stdout"), "ran\n");
}

#[test]
fn nothing_outlives_the_command() {
    // A daemon in a session of its own, and a child in the command's.
    let script =
        "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.2; exit 5";
    let run = Run::of(&["sh", "-c", script]);
    run.supervise();
    assert_eq!(
        run.end().cause,
        Cause::Exited {
            code: 5,
            out_of_memory: false
        }
    );
    let left: Vec<i32> = run
        .output("stdout")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(left.len(), 2);
    for pid in left {
        assert!(!is_alive(pid), "{pid}");
    }
}

#[test]
fn a_command_dies_with_its_supervisor() {
    let run = Run::of(&["sleep", "1000"]);
    let mut supervisor = run.command().spawn().unwrap();
    let started: Started = until(|| read(&run.root.path().join("run/pid")));
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    until(|| {
        if is_alive(started.pid) {
            Err("the command lives".to_owned())
        } else {
            Ok(())
        }
    });
    assert!(!run.root.path().join("run/exit").exists());
    assert_eq!(
        run.supervise().code(),
        Some(75),
        "not again, whatever became of it"
    );
}

#[test]
fn supervisors_are_small() {
    let run = Run::of(&["sleep", "1000"]);
    let mut supervisor = run.command().spawn().unwrap();
    let started: Started = until(|| read(&run.root.path().join("run/pid")));
    let smaps = fs::read_to_string(format!("/proc/{}/smaps_rollup", supervisor.id())).unwrap();
    let own = smaps
        .lines()
        .filter(|line| line.starts_with("Private_Dirty:") || line.starts_with("Swap:"));
    let own_kib: u64 = own
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    assert!(own_kib < 2048, "{own_kib} KiB are its own");
    Command::new("kill")
        .arg(started.pid.to_string())
        .status()
        .unwrap();
    supervisor.wait().unwrap();
}
