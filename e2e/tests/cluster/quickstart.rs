//! The README's first command, as a newcomer types it.

use std::path::Path;

use e2e::command::{self, Output};
use e2e::{Outcome, machine, process};

async fn up(example: &str) -> Outcome<Output> {
    let folder = tempfile::Builder::new().prefix("stoa-e2e-up-").tempdir()?;
    let file = machine::repository()
        .join("manifests/examples")
        .join(example);
    let args = [
        "up",
        "-f",
        &file.display().to_string(),
        "--exit-when-done",
        "--data-dir",
        "data",
    ];
    // As on a newcomer's machine: no configuration of any other cluster is in sight.
    let env = [
        ("HOME", folder.path().to_path_buf()),
        ("TMPDIR", folder.path().to_path_buf()),
    ];
    let output = command::run(&machine::stoa_binary()?, &args, &env, folder.path(), "").await;
    let strays = leftovers(folder.path());
    process::sweep(folder.path());
    let output = output?;
    assert!(strays.is_empty(), "left running: {strays:?}\n{output:?}");
    Ok(output)
}

/// Command lines of processes that still run below the folder once `stoa up` has ended.
fn leftovers(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|e| std::fs::read_to_string(e.path().join("cmdline")).ok());
    let name = folder.display().to_string();
    lines
        .filter(|line| line.contains(&name))
        .map(|line| line.replace('\0', " "))
        .collect()
}

#[test]
fn the_quickstart_ends_well_and_says_where_things_are() {
    machine::alone(async || {
        let said = up("quickstart.yaml").await?;
        let all = format!("{}{}", said.stdout, said.stderr);
        said.ok()?;
        for word in ["Pending", "Finished", "kubeconfig", "logs"] {
            assert!(all.contains(word), "{word:?} is not in: {all}");
        }
        Ok(())
    });
}

#[test]
fn a_task_that_fails_for_good_is_named_with_the_reason() {
    machine::alone(async || {
        let said = up("fails.yaml").await?.refused()?;
        let file = machine::repository().join("manifests/examples/fails.yaml");
        let name = first_task(&std::fs::read_to_string(file)?);
        assert!(
            said.contains(&name) && said.contains("Failed"),
            "{name} in {said}"
        );
        assert!(said.contains("exit"), "no reason in {said}");
        Ok(())
    });
}

/// The name of the first Task of a manifest, written `metadata: {name: x}` or over two lines.
fn first_task(text: &str) -> String {
    let task = text.split("kind: Task\n").nth(1).unwrap();
    let name = task.split("name:").nth(1).unwrap().trim_start();
    name.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect()
}
