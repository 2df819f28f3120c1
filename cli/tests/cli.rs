//! The binary as a person meets it: help, mistakes, completion, and a whole cluster that comes and goes.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]
#![allow(
    clippy::disallowed_methods,
    reason = "the test starts the program it is about"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
