//! Manifests that are wrong, as a person applies them: `stoa apply` and kubectl say where and what.

use e2e::{Cluster, Outcome, command};

const GOOD: &str = "apiVersion: stoa.dev/v1
kind: Task
metadata: {name: fine}
spec: {framework: honest, command: [\"true\"]}
---
";

/// A file after a good document, and words that `stoa apply` must say of it.
struct Row {
    what: &'static str,
    file: String,
    words: &'static [&'static str],
}

fn task(name: &str, spec: &str) -> String {
    format!("apiVersion: stoa.dev/v1\nkind: Task\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

fn rows() -> Vec<Row> {
    let row = |what, file: String, words| Row { what, file, words };
    vec![
        row(
            "malformed YAML",
            "kind: Task\n  bad: [indent\n".into(),
            &["document 2", "line"],
        ),
        row(
            "an unknown kind",
            "apiVersion: stoa.dev/v1\nkind: Widget\nmetadata: {name: w}\n".into(),
            &["Widget"],
        ),
        row(
            "an unknown field",
            task("bad", "{framework: honest, command: [a], colour: blue}"),
            &["document 2", "line", "spec.colour"],
        ),
        row(
            "a negative quantity",
            task(
                "bad",
                "{framework: honest, command: [a], resources: {cpus: -1}}",
            ),
            &["document 2", "line", "spec.resources"],
        ),
        row(
            "an overflowing quantity",
            task(
                "bad",
                "{framework: honest, command: [a], resources: {mem: 99999999999999999999E}}",
            ),
            &["document 2", "spec.resources"],
        ),
        row(
            "no framework",
            task("bad", "{command: [a]}"),
            &["document 2", "spec.framework"],
        ),
        row(
            "a duplicate name",
            format!(
                "{}---\n{}",
                task("same", "{framework: honest, command: [a]}"),
                task("same", "{framework: honest, command: [b]}")
            ),
            &["same", "document 3"],
        ),
        row(
            "a duplicate key",
            task(
                "bad",
                "{framework: honest, framework: honest, command: [a]}",
            ),
            &["document 2", "framework"],
        ),
    ]
}

/// Applies every row. The good document before the bad one is not applied either.
pub(super) async fn refused(cluster: &Cluster) -> Outcome<()> {
    let mut faults = Vec::new();
    for row in rows() {
        let file = format!("{GOOD}{}", row.file);
        let output = cluster.stoa_with(&["apply", "-f", "-"], &file).await?;
        let said = format!("{}{}", output.stdout, output.stderr).to_lowercase();
        let words = row
            .words
            .iter()
            .all(|word| said.contains(&word.to_lowercase()));
        if output.code != Some(1) || !words {
            faults.push(format!(
                "stoa apply of {}: wanted {:?}, got {output:?}",
                row.what, row.words
            ));
        }
        if row.what == "a duplicate name"
            || row.what == "a duplicate key"
            || !command::is_installed("kubectl")
        {
            continue;
        }
        // kubectl applies what it can, so it is given the bad document alone.
        let output = cluster.kubectl(&["apply", "-f", "-"], &row.file).await?;
        if output.code != Some(1) || output.stderr.trim().is_empty() {
            faults.push(format!("kubectl apply of {}: {output:?}", row.what));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let atomic = format!("{GOOD}{}", task("orphan", "{framework: honest}"));
    let args = ["apply", "--atomic", "--validate=ignore", "-f", "-"];
    cluster.stoa_with(&args, &atomic).await?.refused()?;
    Ok(())
}
