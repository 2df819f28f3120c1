//! Reading manifests: every document of a file, every problem in it, and where each one is.
//!
//! A file is cut at its `---` lines first, which YAML allows nowhere else in column 0, and each
//! document is read alone; so a bad one hides no good one and is always reported.

mod check;
mod emit;
mod frame;
mod node;
mod scalar;
mod split;
mod tree;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use check::check;
pub use emit::to_yaml;

use node::{Kind, Node};
use tree::Fault;

/// Most a document may hold. Servers take far smaller objects; this bounds the work spent here.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The good objects in the order in which they were written.
    pub documents: Vec<Document>,
    /// Everything that is wrong, in the order of documents and lines.
    pub problems: Vec<Problem>,
}

/// One object of a file. The items of a `List` are objects of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// Number of the document in its file, from 1.
    pub index: usize,
    /// Line in the file at which the object begins, from 1.
    pub line: usize,
    /// The object.
    pub object: Value,
    /// Line of each field by its path, e.g. `spec.tasks[0].name`.
    pub lines: BTreeMap<String, usize>,
}

/// Something wrong in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Number of the document in its file, from 1.
    pub document: usize,
    /// Line in the file, from 1.
    pub line: usize,
    /// Path of the field within the object; empty for the whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// True when the object is good all the same.
    pub warning: bool,
}

impl Document {
    /// Line of a field, or of the closest thing around it that was written.
    #[must_use]
    pub fn line_of(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            let Some(end) = path.rfind(['.', '[']) else {
                return self.line;
            };
            path = &path[..end];
        }
    }

    fn text(&self, path: &[&str]) -> &str {
        let value = path
            .iter()
            .try_fold(&self.object, |value, name| value.get(name));
        value.and_then(Value::as_str).unwrap_or_default()
    }

    fn problem(&self, path: &str, message: String) -> Problem {
        let line = self.line_of(path);
        Problem {
            document: self.index,
            line,
            path: path.to_owned(),
            message,
            warning: false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}, line {}: ", self.document, self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads a file of YAML or JSON documents.
#[must_use]
pub fn decode(text: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    if let Some(documents) = split::json_stream(text) {
        for (document, line, object) in documents {
            decoded.take(Document {
                index: document,
                line,
                object,
                lines: BTreeMap::new(),
            });
        }
    } else {
        for part in split::split(text) {
            decoded.read(&part);
        }
    }
    decoded.refuse_duplicates();
    decoded.problems.sort();
    decoded
}

impl Decoded {
    fn read(&mut self, part: &split::Part<'_>) {
        let problem = |fault: Fault| Problem {
            document: part.index,
            line: fault.line,
            path: fault.path,
            message: fault.message,
            warning: fault.warning,
        };
        let read = tree::read(part.text, part.line);
        let bad = read.faults.iter().any(|fault| !fault.warning);
        self.problems.extend(read.faults.into_iter().map(problem));
        if bad {
            return;
        }
        for root in &read.roots {
            self.explode(part, root);
        }
    }

    /// A `List` counts for its items.
    fn explode(&mut self, part: &split::Part<'_>, root: &Node) {
        if let Kind::Scalar(Value::Null) = root.kind {
            return;
        }
        let document = document(part, root);
        let version = document.text(&["apiVersion"]);
        let is_list =
            document.text(&["kind"]).ends_with("List") && matches!(version, "v1" | "stoa.dev/v1");
        let Some(Kind::Seq(items)) = root
            .field("items")
            .filter(|_| is_list)
            .map(|node| &node.kind)
        else {
            self.take(document);
            return;
        };
        for item in items {
            self.explode(part, item);
        }
    }

    /// Keeps a document that says what it is; reports one that does not.
    fn take(&mut self, document: Document) {
        let before = self.problems.len();
        if !document.object.is_object() {
            let what =
                "is no object; a manifest has the fields apiVersion, kind, metadata and spec";
            self.problems.push(document.problem("", what.to_owned()));
            return;
        }
        for (name, example) in [("apiVersion", "stoa.dev/v1"), ("kind", "Task")] {
            if document.text(&[name]).is_empty() {
                let message = format!("Required value: write for example {name}: {example}");
                self.problems.push(document.problem(name, message));
            }
        }
        let named = ["name", "generateName"]
            .iter()
            .any(|n| !document.text(&["metadata", n]).is_empty());
        if !named {
            let message = "Required value: an object needs a name, a non-empty string";
            self.problems
                .push(document.problem("metadata.name", message.to_owned()));
        }
        if self.problems.len() == before {
            self.documents.push(document);
        }
    }

    /// An object that is written twice has no one meaning; the second is reported.
    fn refuse_duplicates(&mut self) {
        let mut first: BTreeMap<[String; 4], (usize, usize)> = BTreeMap::new();
        let mut problems = Vec::new();
        self.documents.retain(|document| {
            let name = document.text(&["metadata", "name"]);
            let place = (document.index, document.line);
            if name.is_empty() {
                return true;
            }
            let Some((index, line)) = first.get(&identity(document)) else {
                first.insert(identity(document), place);
                return true;
            };
            let kind = document.text(&["kind"]);
            let message = format!(
                "{kind} {name:?} is written twice in this file, first in document {index}, line {line}"
            );
            problems.push(document.problem("metadata.name", message));
            false
        });
        self.problems.append(&mut problems);
    }
}

fn identity(document: &Document) -> [String; 4] {
    let group = document
        .text(&["apiVersion"])
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    let namespace = match document.text(&["metadata", "namespace"]) {
        "" => "default",
        other => other,
    };
    let kind = document.text(&["kind"]);
    [group, kind, namespace, document.text(&["metadata", "name"])].map(str::to_owned)
}

fn document(part: &split::Part<'_>, root: &Node) -> Document {
    let mut lines = BTreeMap::new();
    root.lines("", &mut lines);
    Document {
        index: part.index,
        line: root.line,
        object: root.value(),
        lines,
    }
}

#[cfg(test)]
mod tests;
