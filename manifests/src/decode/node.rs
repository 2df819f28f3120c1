//! Values that know the lines they were written on.

use std::collections::BTreeMap;

use serde_json::Value;

/// A value and the line of the file it begins on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
    /// Nodes in it, itself included.
    pub(super) size: usize,
    /// Levels in it, itself included.
    pub(super) depth: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Value),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn new(line: usize, kind: Kind) -> Self {
        let inner: Vec<&Self> = match &kind {
            Kind::Seq(items) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().map(|entry| &entry.node).collect(),
            Kind::Scalar(_) => Vec::new(),
        };
        let size = 1 + inner.iter().map(|node| node.size).sum::<usize>();
        let depth = 1 + inner.iter().map(|node| node.depth).max().unwrap_or(0);
        Self {
            line,
            kind,
            size,
            depth,
        }
    }

    pub(super) fn scalar(line: usize, value: Value) -> Self {
        Self::new(line, Kind::Scalar(value))
    }

    /// The field of a mapping.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.node),
            Kind::Seq(_) | Kind::Scalar(_) => None,
        }
    }

    pub(super) fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Seq(items) => Value::Array(items.iter().map(Self::value).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.node.value()))
                    .collect(),
            ),
        }
    }

    /// Notes the line of every field and entry under its path.
    pub(super) fn lines(&self, path: &str, into: &mut BTreeMap<String, usize>) {
        match &self.kind {
            Kind::Scalar(_) => {}
            Kind::Seq(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    item.lines(&path, into);
                    into.insert(path, item.line);
                }
            }
            Kind::Map(entries) => {
                for Entry { key, line, node } in entries {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    node.lines(&path, into);
                    into.insert(path, *line);
                }
            }
        }
    }
}
