//! The binary as a person meets it: help, mistakes, completion, and a whole cluster that comes and goes.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]
#![allow(
    clippy::disallowed_methods,
    reason = "the test starts the program it is about"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Every command with an own help page.
const COMMANDS: &[&str] = &[
    "up",
    "apply",
    "create",
    "get",
    "describe",
    "why",
    "logs",
    "events",
    "wait",
    "patch",
    "delete",
    "cordon",
    "uncordon",
    "member",
    "member list",
    "member promote",
    "member remove",
    "member transfer",
    "snapshot",
    "snapshot save",
    "snapshot verify",
    "snapshot restore",
    "api-resources",
    "server",
    "agent",
    "token",
    "token create",
    "completion",
    "version",
];

/// The program with no cluster in sight: neither the user's nor that of another test.
fn stoa(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoa"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("HOME", folder);
    for name in ["KUBECONFIG", "STOA_KUBECONFIG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(folder: &Path, line: &str) -> Said {
    said(&stoa(folder, line).stdin(Stdio::null()).output().unwrap())
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn piped(folder: &Path, line: &str, input: &str) -> Said {
    let mut command = stoa(folder, line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    said(&child.wait_with_output().unwrap())
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../manifests/examples")
        .join(name)
}

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let overview = run(folder.path(), "--help");
    for command in COMMANDS {
        let said = run(folder.path(), &format!("{command} --help"));
        assert_eq!(said.code, Some(0), "{command}: {}", said.err);
        assert!(said.out.contains("Usage: stoa "), "{command}: {}", said.out);
        let first = command.split(' ').next().unwrap();
        assert!(
            overview.out.contains(&format!("  {first} ")),
            "{first} is not in the overview"
        );
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "",
        "frobnicate",
        "get",
        "get tasks -o xml",
        "wait task/x",
        "wait task/x --for=ready",
        "patch task/x",
        "apply",
        "up --replicas 0",
        "up --agent-resources cpus=many",
        "agent --resources cpus=-1",
        "server --join https://x:1",
        "server --initial-cluster a=nowhere --data-dir d",
        "completion tcl",
        "logs agent/x --kubeconfig no-such-file",
    ];
    for line in lines {
        let said = run(folder.path(), line);
        let expected = if line.starts_with("logs") { 1 } else { 2 };
        assert_eq!(
            said.code,
            Some(expected),
            "{line}: {}{}",
            said.out,
            said.err
        );
        assert!(!said.err.is_empty(), "{line} says nothing");
    }
}

#[test]
fn completion_knows_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(folder.path(), &format!("completion {shell}"));
        assert_eq!(said.code, Some(0), "{shell}: {}", said.err);
        assert!(said.out.contains("describe"), "{shell}");
    }
}

#[test]
fn without_a_cluster_it_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = run(folder.path(), "get tasks");
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.err.contains("stoa up"), "{}", nowhere.err);
    let config = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        contexts: [{name: c, context: {cluster: c, user: u}}]\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n";
    std::fs::write(folder.path().join("config"), config).unwrap();
    let dead = run(folder.path(), "get tasks --kubeconfig config");
    assert_eq!(dead.code, Some(1));
    for word in ["127.0.0.1:1", "config", "stoa up"] {
        assert!(dead.err.contains(word), "{word}: {}", dead.err);
    }
    assert_eq!(run(folder.path(), "version --client").code, Some(0));
}

#[test]
fn bad_manifests_are_told_with_their_places_and_need_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let good = "apiVersion: stoa.dev/v1\nkind: Task\nmetadata: {name: good}\n\
        spec: {framework: f, command: [\"true\"], resources: {cpus: \"1\"}}\n";
    let bad = good.replace("good", "bad").replace("command", "comand");
    let text = format!(
        "{good}---\n{bad}---\n: [\n---\n{}",
        good.replace("good", "fine")
    );
    let said = piped(folder.path(), "apply -f - --dry-run=client", &text);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    for word in [
        "document 2",
        "spec.comand",
        "document 3",
        "line 9",
        "line 11",
        "nothing was applied",
    ] {
        assert!(said.err.contains(word), "{word:?} is not in: {}", said.err);
    }
    assert!(said.out.is_empty(), "{}", said.out);
    let line = "apply -f - --dry-run=client --continue-on-error";
    let said = piped(folder.path(), line, &text);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("task.stoa.dev/good") && said.out.contains("task.stoa.dev/fine"));
    assert!(!said.out.contains("bad"), "{}", said.out);
}

#[test]
fn a_cluster_comes_runs_the_quickstart_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "up -f {} --exit-when-done --data-dir data --timeout 120s",
        example("quickstart.yaml").display()
    );
    let said = run(folder.path(), &line);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    for word in ["Pending", "Finished", "kubeconfig", "logs"] {
        assert!(said.out.contains(word), "{word} is not in: {}", said.out);
    }
    assert!(folder.path().join("data/kubeconfig").is_file());
}

/// `stoa up` in a folder, ready for commands; stopped by Ctrl-C.
struct Up(Child);

impl Up {
    fn start(folder: &Path) -> Self {
        let mut child = stoa(folder, "up").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().contains("until Ctrl-C")),
            "it never got ready"
        );
        Self(child)
    }

    fn interrupt(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.0.wait().unwrap().code()
    }
}

/// Processes whose command line names the folder.
fn leftovers(folder: &Path) -> Vec<String> {
    let name = folder.display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| std::fs::read_to_string(e.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&name)).collect()
}

const OBJECTS: &str = "\
{apiVersion: stoa.dev/v1, kind: ResourcePool, metadata: {name: p}, spec: {}}
---
{apiVersion: stoa.dev/v1, kind: Framework, metadata: {name: f}, spec: {pool: p}}
---
apiVersion: stoa.dev/v1
kind: Task
metadata: {name: t, labels: {app: test}}
spec: {framework: f, command: [sh, -c, echo out; echo err >&2], resources: {cpus: \"0.1\"}}
---
apiVersion: stoa.dev/v1
kind: Task
metadata: {name: large, labels: {app: test}}
spec: {framework: f, command: [\"true\"], resources: {cpus: \"5000\"}}
---
apiVersion: stoa.dev/v1
kind: Task
metadata: {name: long, labels: {app: test}}
spec: {framework: f, command: [sleep, \"600\"], resources: {cpus: \"0.1\"}}
";

/// Command, exit code, and what is said.
const WORK: &[(&str, i32, &str)] = &[
    // `up` says that it is ready when its agents are.
    ("get agent a1 -o jsonpath={.status.phase}", 0, "Ready"),
    ("get pools", 0, "No resources"),
    ("apply -f o.yaml --atomic", 0, "task.stoa.dev/t created"),
    ("apply -f o.yaml", 0, "task.stoa.dev/t unchanged"),
    ("create -f o.yaml", 1, "already exists"),
    ("wait task/t --for=condition=Complete", 0, "condition met"),
    (
        "wait task/t --for=jsonpath={.status.state}=Finished",
        0,
        "condition met",
    ),
    (
        "wait task/nobody --for=condition=Complete",
        3,
        "does not exist",
    ),
    (
        "wait task/long --for=condition=Complete --timeout 100ms",
        124,
        "timed out",
    ),
    (
        "wait task/long --for=jsonpath={.status.state}=Running",
        0,
        "condition met",
    ),
    (
        "wait task/large --for=jsonpath={.status.waiting.summary}",
        0,
        "condition met",
    ),
    ("get tasks", 0, "Finished"),
    ("get task t large -o name", 0, "task.stoa.dev/large"),
    ("get tk/t -o yaml", 0, "exitCode: 0"),
    (
        "get tasks -l app=test,app!=x -o json",
        0,
        "\"kind\": \"List\"",
    ),
    ("get tasks -A", 0, "NAMESPACE"),
    ("-n nowhere get tasks", 0, "No resources found in nowhere"),
    ("get task nobody", 3, "not found"),
    ("get frobs", 1, "api-resources"),
    ("describe task t", 0, "Complete"),
    ("why task/large", 0, "5000 cpus"),
    ("why task/t agent/a1", 0, "ended well"),
    ("logs t", 0, "out\nerr"),
    ("logs task/t --stream stderr", 0, "err"),
    ("logs nobody", 3, "not found"),
    ("events --for task/large", 0, ""),
    (
        "patch task t -p {\"metadata\":{\"labels\":{\"x\":\"y\"}}}",
        0,
        "patched",
    ),
    (
        "patch task t -p {\"spec\":{\"framework\":\"g\"}}",
        1,
        "immutable",
    ),
    ("cordon a1", 0, "cordoned"),
    ("uncordon a1", 0, "uncordoned"),
    ("member list", 0, "Leader"),
    ("snapshot save s.stoa", 0, "saved: revision"),
    ("snapshot save s.stoa", 1, "--overwrite"),
    ("snapshot save s.stoa --overwrite", 0, "saved: revision"),
    ("snapshot verify s.stoa", 0, "is whole: revision"),
    ("snapshot verify o.yaml", 1, "is not a good snapshot"),
    (
        "snapshot restore s.stoa --data-dir new --name a --initial-cluster b=h:1",
        2,
        "does not name a",
    ),
    (
        "snapshot restore s.stoa --data-dir new --name a --initial-cluster a=h:1",
        0,
        "restored: revision",
    ),
    (
        "snapshot restore s.stoa --data-dir new --name a --initial-cluster a=h:1",
        1,
        "new",
    ),
    ("version", 0, "Server Version"),
    ("api-resources", 0, "taskgroups"),
    ("delete task t", 0, "deleted"),
    ("delete task t", 3, "does not exist"),
    ("delete task t --ignore-not-found", 0, ""),
    ("up", 1, "another `stoa up`"),
];

#[test]
fn a_person_works_with_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("o.yaml"), OBJECTS).unwrap();
    let up = Up::start(folder.path());
    for (line, code, word) in WORK {
        let said = run(folder.path(), line);
        assert_eq!(said.code, Some(*code), "{line}: {}{}", said.out, said.err);
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(word), "{line}: {word:?} is not in: {all}");
    }
    assert_eq!(up.interrupt(), Some(0));
    assert_eq!(
        leftovers(folder.path()),
        Vec::<String>::new(),
        "left running"
    );
}
