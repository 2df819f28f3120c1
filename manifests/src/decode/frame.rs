//! Collections that have been opened and not closed yet.

use std::collections::BTreeMap;

use super::node::{Entry, Node};

/// A collection that has been opened and not closed yet.
pub(super) struct Frame {
    pub(super) line: usize,
    pub(super) anchor: usize,
    pub(super) content: Content,
}

pub(super) enum Content {
    Seq(Vec<Node>),
    Map(Mapping),
}

#[derive(Default)]
pub(super) struct Mapping {
    pub(super) entries: Vec<Entry>,
    /// Key whose value comes next, and its line.
    pub(super) key: Option<(Key, usize)>,
    /// Line of each key, to tell which was first.
    pub(super) seen: BTreeMap<String, usize>,
    /// What `<<` brings in: it yields to what is written here, wherever that stands.
    pub(super) merged: Vec<Entry>,
}

pub(super) enum Key {
    Name(String),
    Merge,
    /// Reported already; its value is read and dropped.
    Bad,
}

impl Mapping {
    /// What is written wins over what is merged, and the first merged over the later ones.
    pub(super) fn settle(mut self) -> Vec<Entry> {
        for entry in self.merged {
            if !self.seen.contains_key(&entry.key) {
                self.seen.insert(entry.key.clone(), entry.line);
                self.entries.push(entry);
            }
        }
        self.entries
    }
}
