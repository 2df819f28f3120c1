//! `--config FILE`: flags of `server` and `agent` from a YAML file, behind the command line and the environment.
//!
//! A key is a flag without its dashes. A list repeats the flag, a mapping gives `key=value` pairs, and
//! `true` gives a flag that takes no value.

use std::ffi::OsString;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde_json::{Map, Value};

use crate::exit::{Failure, Outcome};

/// The command line with the flags of its configuration file added; none when it names no file.
pub(crate) fn amended(words: &[OsString], matches: &ArgMatches) -> Outcome<Option<Vec<OsString>>> {
    let Some((command, inner)) = matches.subcommand() else {
        return Ok(None);
    };
    if command != "server" && command != "agent" {
        return Ok(None);
    }
    let Some(file) = inner.get_one::<std::path::PathBuf>("config") else {
        return Ok(None);
    };
    let given = |id: &str| {
        // clap panics on the source of a flag it does not know; it refuses such a flag later.
        inner.try_contains_id(id).is_ok()
            && matches!(
                inner.value_source(id),
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            )
    };
    let mut words = words.to_vec();
    for (key, value) in &read(file)? {
        if !given(&key.replace('-', "_")) {
            words.extend(flags(key, value).into_iter().map(OsString::from));
        }
    }
    Ok(Some(words))
}

fn read(file: &Path) -> Outcome<Map<String, Value>> {
    let unusable = || {
        Failure::usage(format!(
            "the configuration file {} cannot be used",
            file.display()
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|e| unusable().because(e))?;
    serde_saphyr::from_str(&text).map_err(|e| {
        unusable()
            .because(e)
            .hint("write flags without their dashes, e.g. `data-dir: /var/lib/stoa`")
    })
}

/// The flags one entry stands for.
fn flags(key: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Null | Value::Bool(false) => Vec::new(),
        Value::Bool(true) => vec![format!("--{key}")],
        Value::String(text) => vec![format!("--{key}={text}")],
        Value::Number(number) => vec![format!("--{key}={number}")],
        Value::Array(items) => items.iter().flat_map(|item| flags(key, item)).collect(),
        Value::Object(pairs) => {
            let plain = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
            pairs
                .iter()
                .map(|(k, v)| format!("--{key}={k}={}", plain(v)))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_file_fills_what_the_command_line_leaves_open() {
        let folder = std::env::temp_dir().join(format!("stoa-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("agent.yaml");
        let text = "name: a9\ndata-dir: /var/a9\nattribute: {rack: r1}\nserver: [https://x:1, https://y:2]\n";
        std::fs::write(&file, text).unwrap();
        let line = format!("stoa agent --name a1 --config {}", file.display());
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let matches = crate::args::Cli::command().get_matches_from(&words);
        let amended = amended(&words, &matches).unwrap().unwrap();
        let added: Vec<_> = amended[words.len()..]
            .iter()
            .map(|w| w.to_str().unwrap())
            .collect();
        let expected = [
            "--attribute=rack=r1",
            "--data-dir=/var/a9",
            "--server=https://x:1",
            "--server=https://y:2",
        ];
        let mut added = added.clone();
        added.sort_unstable();
        assert_eq!(added, expected);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
