//! Reads manifests from files, folders and standard input, with every problem there is and its place.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use manifests::decode::{self, Document, Problem};
use serde_json::Value;

use crate::exit::{Failure, Outcome};

/// Where manifests come from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Files {
    /// Manifest file, folder of *.yaml, *.yml and *.json, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) files: Vec<PathBuf>,
    /// Folders with everything below them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

/// What to do about fields that no schema names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Validation {
    /// Refuse them.
    #[default]
    #[value(alias = "true")]
    Strict,
    /// Apply without them and say so.
    Warn,
    /// Apply without them.
    #[value(alias = "false")]
    Ignore,
}

impl Validation {
    /// The value of the `fieldValidation` parameter.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

/// One object and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    /// The object.
    pub(crate) object: Value,
    /// `FILE: document 2 (line 7)`.
    pub(crate) place: String,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// Good objects, in the order in which they were written.
    pub(crate) objects: Vec<Given>,
    /// Why others are not among them.
    pub(crate) problems: Vec<String>,
    /// Remarks on the good ones.
    pub(crate) warnings: Vec<String>,
}

impl Files {
    /// Reads everything. An unreadable file is an error; a bad document is a problem of [`Loaded`].
    pub(crate) fn load(&self, validation: Validation) -> Outcome<Loaded> {
        if self.files.is_empty() {
            return Err(Failure::usage("no manifest was named")
                .hint("name one with -f FILE, -f DIR or -f -"));
        }
        let mut loaded = Loaded::default();
        for (name, text) in self.texts()? {
            loaded.read(&name, &text, validation);
        }
        loaded.refuse_duplicates();
        Ok(loaded)
    }

    fn texts(&self) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut texts = Vec::new();
        for file in &self.files {
            if file.as_os_str() == "-" {
                let mut text = Vec::new();
                std::io::stdin().lock().read_to_end(&mut text)?;
                texts.push(("standard input".to_owned(), text));
                continue;
            }
            for path in expand(file, self.recursive)? {
                let text = fs::read(&path).map_err(|e| unreadable(&path).because(e))?;
                texts.push((path.display().to_string(), text));
            }
        }
        Ok(texts)
    }
}

/// The manifest files a path stands for, in the order of their names.
fn expand(path: &Path, recursive: bool) -> Outcome<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).map_err(|e| unreadable(path).because(e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for inner in paths {
        if inner.is_dir() {
            if recursive {
                found.extend(expand(&inner, true)?);
            }
        } else if inner
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
        {
            found.push(inner);
        }
    }
    if found.is_empty() && !recursive {
        return Err(Failure::new(format!(
            "{} holds no *.yaml, *.yml or *.json",
            path.display()
        ))
        .hint("with -R folders below it are read too"));
    }
    Ok(found)
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(format!("{} cannot be read", path.display()))
}

impl Loaded {
    fn read(&mut self, name: &str, text: &[u8], validation: Validation) {
        let decoded = decode::decode(text);
        let mut problems = decoded.problems;
        for document in decoded.documents {
            let found = decode::check(&document);
            if !found.iter().any(|problem| is_bad(problem, validation)) {
                self.objects.push(given(name, document));
            }
            problems.extend(found);
        }
        problems.sort_by_key(|problem| (problem.document, problem.line));
        for problem in &problems {
            let text = describe(name, problem);
            match (is_bad(problem, validation), validation) {
                (true, _) => self.problems.push(text),
                (false, Validation::Ignore) if is_unknown_field(problem) => {}
                (false, _) => self.warnings.push(text),
            }
        }
    }

    /// An object that is written twice has no one meaning, whichever files it is in.
    fn refuse_duplicates(&mut self) {
        let mut first: BTreeMap<[String; 4], String> = BTreeMap::new();
        let mut problems = Vec::new();
        self.objects.retain(|given| {
            let Some(before) = first.insert(identity(&given.object), given.place.clone()) else {
                return true;
            };
            let name = given.object["metadata"]["name"]
                .as_str()
                .unwrap_or_default();
            if name.is_empty() {
                return true;
            }
            let kind = given.object["kind"].as_str().unwrap_or_default();
            let place = &given.place;
            problems.push(format!(
                "{place}: {kind} {name} is written before, in {before}"
            ));
            false
        });
        self.problems.append(&mut problems);
    }
}

/// True when the document is not to be applied because of this.
fn is_bad(problem: &Problem, validation: Validation) -> bool {
    !problem.warning && (validation == Validation::Strict || !is_unknown_field(problem))
}

fn is_unknown_field(problem: &Problem) -> bool {
    problem.message.contains("unknown field")
}

fn identity(object: &Value) -> [String; 4] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    [
        text(&object["apiVersion"]),
        text(&object["kind"]),
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    ]
}

fn given(name: &str, document: Document) -> Given {
    let place = format!(
        "{name}: document {} (line {})",
        document.index, document.line
    );
    Given {
        object: document.object,
        place,
    }
}

/// `FILE: document 2, line 7: spec.resources.cpus: what is wrong`.
fn describe(name: &str, problem: &Problem) -> String {
    let Problem {
        document,
        line,
        path,
        message,
        ..
    } = problem;
    let path = if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    };
    format!("{name}: document {document}, line {line}: {path}{message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "apiVersion: stoa.dev/v1\nkind: Task\nmetadata: {name: NAME}\n\
        spec: {framework: f, command: [\"true\"], resources: {cpus: \"1\"}}\n";

    fn load(files: &[(&str, String)], recursive: bool, validation: Validation) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = Files {
            files: vec![folder.path().to_path_buf()],
            recursive,
        };
        files.load(validation).unwrap()
    }

    fn names(loaded: &Loaded) -> Vec<&str> {
        loaded
            .objects
            .iter()
            .map(|g| g.object["metadata"]["name"].as_str().unwrap())
            .collect()
    }

    fn task(name: &str) -> String {
        TASK.replace("NAME", name)
    }

    #[test]
    fn folders_are_read_in_order_and_deep_when_asked() {
        let shallow = [
            ("b.yaml", task("b")),
            ("a.yml", task("a")),
            ("c.txt", "x".into()),
            ("d/e.json", "x".into()),
        ];
        assert_eq!(
            names(&load(&shallow, false, Validation::Strict)),
            ["a", "b"]
        );
        let deep = [("b.yaml", task("b")), ("d/e.yaml", task("e"))];
        assert_eq!(names(&load(&deep, true, Validation::Strict)), ["b", "e"]);
    }

    #[test]
    fn what_is_written_twice_is_refused_across_files() {
        let files = [("a.yaml", task("x")), ("b.yaml", task("x"))];
        let loaded = load(&files, false, Validation::Strict);
        assert_eq!(names(&loaded), ["x"]);
        assert!(
            loaded.problems[0].contains("b.yaml: document 1"),
            "{:?}",
            loaded.problems
        );
        assert!(
            loaded.problems[0].contains("a.yaml"),
            "{:?}",
            loaded.problems
        );
    }

    #[test]
    fn unknown_fields_are_judged_as_asked() {
        let text = task("x").replace("spec: {", "spec: {colour: red, ");
        let table = [
            (Validation::Strict, 1, 0),
            (Validation::Warn, 0, 1),
            (Validation::Ignore, 0, 0),
        ];
        for (validation, problems, warnings) in table {
            let loaded = load(&[("a.yaml", text.clone())], false, validation);
            let counts = (loaded.problems.len(), loaded.warnings.len());
            assert_eq!(counts, (problems, warnings), "{validation:?}: {loaded:?}");
            assert_eq!(loaded.objects.len(), 1 - problems);
        }
    }
}
