//! `stoa edit`: the object in an editor, and what was changed of it as a merge patch.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};

use crate::apply::MERGE;
use crate::cluster::{Ask, Cluster, query};
use crate::connect::Connect;
use crate::exit::{Failure, Outcome};
use crate::kinds::{Kind, Kinds};
use crate::{output, target};

/// Flags of `edit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// KIND NAME or KIND/NAME...
    #[arg(required = true, value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// A part of the object, e.g. status
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `edit`.
pub(crate) async fn run(args: Args, outer: &Connect) -> Outcome {
    let cluster = args.connect.clone().or(outer).cluster().await?;
    let kinds = Kinds::of(&cluster).await?;
    for (kind, name) in target::named(&kinds, &args.words)? {
        one(&cluster, &kind, &name, args.subresource.as_deref()).await?;
    }
    Ok(())
}

async fn one(cluster: &Cluster, kind: &Kind, name: &str, part: Option<&str>) -> Outcome {
    let mut path = kind.object(&cluster.namespace, name);
    if let Some(part) = part {
        path = format!("{path}/{part}");
    }
    let mut live = cluster.fetch(Ask::get(&path)).await?;
    if let Some(metadata) = live["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let yaml = serde_saphyr::to_string(&live)
        .map_err(|e| Failure::new("the object cannot be shown as YAML").because(e))?;
    let intro = "# Change what should be otherwise; lines with # are left out. An empty file changes nothing.\n";
    let edited = edit(&format!("{intro}{yaml}"))?;
    let label = kind.label();
    if edited
        .lines()
        .all(|line| line.trim().is_empty() || line.starts_with('#'))
    {
        return output::line(&format!("{label}/{name} not changed: the file is empty"));
    }
    let wanted: Value = serde_saphyr::from_str(&edited)
        .map_err(|e| Failure::new("what was written is no YAML; nothing was changed").because(e))?;
    let mut patch = difference(&live, &wanted);
    if patch.is_empty() {
        return output::line(&format!("{label}/{name} not changed"));
    }
    // Somebody else's change in between is not to be overwritten by what was seen before it.
    let metadata = patch
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    metadata["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    let manager = [("fieldManager", "stoa-edit"), ("fieldValidation", "Strict")];
    let ask = Ask::patch(query(&path, &manager), MERGE, &Value::Object(patch));
    let answer = cluster.send(ask).await.map_err(|e| cluster.explain(e))?;
    output::warn(&answer.warnings);
    output::line(&format!("{label}/{name} edited"))
}

/// Opens the text in the user's editor, and answers what it became.
fn edit(text: &str) -> Outcome<String> {
    let failed = |e: std::io::Error| Failure::new("the file to edit cannot be used").because(e);
    let folder = std::env::temp_dir().join(format!("stoa-edit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let file = folder.join("object.yaml");
    let edited = std::fs::write(&file, text)
        .map_err(failed)
        .and_then(|()| open(&file))
        .and_then(|()| std::fs::read_to_string(&file).map_err(failed));
    // Leftovers in the temporary folder harm nobody.
    _ = std::fs::remove_dir_all(&folder);
    edited
}

#[expect(
    clippy::disallowed_methods,
    reason = "the user's editor is no task: it needs this terminal"
)]
fn open(file: &Path) -> Outcome {
    let named = ["STOA_EDITOR", "KUBE_EDITOR", "EDITOR", "VISUAL"];
    let editor = named.iter().find_map(|name| std::env::var(name).ok());
    let editor = editor.filter(|text| !text.trim().is_empty());
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // Through a shell, since people set EDITOR to commands with flags.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(file)
        .status()
        .map_err(|e| Failure::new(format!("the editor {editor:?} cannot be run")).because(e))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the editor {editor:?} ended with {status}; nothing was changed"
    ))
    .hint("set EDITOR to another one"))
}

/// What must be merged into `live` to make it `wanted`.
fn difference(live: &Value, wanted: &Value) -> Map<String, Value> {
    let empty = Map::new();
    let (live, wanted) = (
        live.as_object().unwrap_or(&empty),
        wanted.as_object().unwrap_or(&empty),
    );
    let mut patch = Map::new();
    for (key, want) in wanted {
        match live.get(key) {
            Some(have) if have == want => {}
            Some(have) if have.is_object() && want.is_object() => {
                patch.insert(key.clone(), difference(have, want).into());
            }
            Some(_) | None => _ = patch.insert(key.clone(), want.clone()),
        }
    }
    for key in live.keys().filter(|key| !wanted.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_changed_is_sent() {
        for (live, wanted, patch) in [
            (json!({"a": 1}), json!({"a": 1}), json!({})),
            (
                json!({"a": {"b": 1, "c": [1]}}),
                json!({"a": {"b": 2, "c": [1]}}),
                json!({"a": {"b": 2}}),
            ),
            (
                json!({"a": {"b": 1}, "x": 1}),
                json!({"a": {}, "y": {"z": 1}}),
                json!({"a": {"b": null}, "x": null, "y": {"z": 1}}),
            ),
        ] {
            assert_eq!(Value::from(difference(&live, &wanted)), patch);
        }
    }
}
