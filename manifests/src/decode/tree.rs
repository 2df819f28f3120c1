//! From parser events to nodes that know their lines; anchors, merge keys and bounds.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use super::{DOCUMENT_BYTES_MAX, scalar};

/// Deepest nesting. JSON readers commonly stop at 128.
const DEPTH_MAX: usize = 100;

/// Most nodes that aliases may add to a document: enough for any honest use, and cheap.
const EXPANSION_MAX: usize = 50_000;

/// A value and the line it begins on, counted from the start of its part.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
    /// Nodes in it, itself included.
    size: usize,
    /// Levels in it, itself included.
    depth: usize,
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
    key: String,
    line: usize,
    node: Node,
}

/// Something wrong at a line of the part.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) warning: bool,
}

/// What a part holds: usually one root.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) roots: Vec<Node>,
    pub(super) faults: Vec<Fault>,
}

/// Reads one part.
pub(super) fn read(text: &[u8]) -> Read {
    let whole = |line, message: String| Read {
        faults: vec![Fault { line, path: String::new(), message, warning: false }],
        roots: Vec::new(),
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        let most = DOCUMENT_BYTES_MAX >> 20;
        return whole(1, format!("is larger than {most} MiB, the most that is read"));
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let before = &text[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            return whole(line, "is not UTF-8 text".to_owned());
        }
    };
    let mut builder = Builder::default();
    builder.run(text);
    builder.read
}

fn options() -> Options {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = DEPTH_MAX + 1;
    options.block_nesting_limit = DEPTH_MAX + 1;
    options
}

impl Node {
    fn scalar(line: usize, value: Value) -> Self {
        Self { line, kind: Kind::Scalar(value), size: 1, depth: 1 }
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
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.node.value())).collect())
            }
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
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    node.lines(&path, into);
                    into.insert(path, *line);
                }
            }
        }
    }
}

/// A collection that has been opened and not closed yet.
struct Frame {
    line: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map(Mapping),
}

#[derive(Default)]
struct Mapping {
    entries: Vec<Entry>,
    /// Key whose value comes next, and its line.
    key: Option<(Key, usize)>,
    /// Line of each key, to tell which was first.
    seen: BTreeMap<String, usize>,
    /// What `<<` brings in: it yields to what is written here, wherever that stands.
    merged: Vec<Entry>,
}

enum Key {
    Name(String),
    Merge,
    /// Reported already; its value is read and dropped.
    Bad,
}

/// The parser broke off, or reading on makes no sense.
struct Stop;

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    expanded: usize,
    read: Read,
}

impl Builder {
    fn run(&mut self, text: &str) {
        for event in Parser::new_from_str_with_options(text, options()) {
            let stop = match event {
                Ok((event, span)) => self.event(event, &span).is_err(),
                Err(error) => {
                    let marker = error.marker();
                    let message = format!("is not YAML: {}, at column {}", error.info(), marker.col() + 1);
                    self.fault_at("", marker.line(), message);
                    true
                }
            };
            if stop {
                return;
            }
        }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), line);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", line);
                self.open(line, anchor, Content::Seq(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", line);
                self.open(line, anchor, Content::Map(Mapping::default()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, line)?,
            Event::UnresolvedAlias(name) => {
                self.fault(line, format!("*{name} refers to no anchor before it"));
                self.add(Node::scalar(line, Value::Null));
            }
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            // Presentation, which `options` does not ask for; and whatever a later parser adds.
            Event::Anchor(..) | Event::Comment(..) | _ => {}
        }
        Ok(())
    }

    /// Path of the place where the next value goes.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.content {
                Content::Seq(items) => path.push_str(&format!("[{}]", items.len())),
                Content::Map(Mapping { key: Some((Key::Name(name), _)), .. }) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                Content::Map(_) => {}
            }
        }
        path
    }

    fn fault(&mut self, line: usize, message: String) {
        let path = self.path();
        self.fault_at(&path, line, message);
    }

    fn fault_at(&mut self, path: &str, line: usize, message: String) {
        let path = path.to_owned();
        self.read.faults.push(Fault { line, path, message, warning: false });
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, own: &str, line: usize) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(own)) {
            self.fault(line, format!("the tag {} means nothing here", tag.original()));
        }
    }

    fn awaits_key(&self) -> bool {
        self.stack.last().is_some_and(|frame| {
            matches!(&frame.content, Content::Map(Mapping { key: None, .. }))
        })
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, line: usize) {
        if self.awaits_key() {
            if anchor != 0 {
                self.anchors.insert(anchor, Node::scalar(line, Value::String(text.to_owned())));
            }
            let merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
            self.key(if merge { Key::Merge } else { Key::Name(text.to_owned()) }, line);
            return;
        }
        let plain = style == ScalarStyle::Plain;
        let suffix = tag.and_then(Tag::core_suffix);
        let value = match (suffix, tag) {
            (Some("str" | "binary"), _) => Ok(Value::String(text.to_owned())),
            (Some("int" | "float" | "bool" | "null"), _) => scalar::plain(text),
            (_, Some(tag)) if tag.original() == "!" => Ok(Value::String(text.to_owned())),
            (_, Some(tag)) => Err(format!("the tag {} means nothing here", tag.original())),
            (_, None) if plain => scalar::plain(text),
            (_, None) => Ok(Value::String(text.to_owned())),
        };
        if let Some(message) = scalar::ambiguity(text).filter(|_| plain && tag.is_none()) {
            let path = self.path();
            self.read.faults.push(Fault { line, path, message, warning: true });
        }
        let node = Node::scalar(line, value.unwrap_or_else(|message| {
            self.fault(line, message);
            Value::Null
        }));
        self.note_anchor(anchor, &node);
        self.add(node);
    }

    fn note_anchor(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// Takes a key; the next value is its value.
    fn key(&mut self, key: Key, line: usize) {
        let Some(Frame { content: Content::Map(mapping), .. }) = self.stack.last_mut() else { return };
        let mut twice = None;
        if let Key::Name(name) = &key {
            twice = mapping.seen.get(name).map(|first| (*first, name.clone()));
            mapping.seen.entry(name.clone()).or_insert(line);
        }
        mapping.key = Some((key, line));
        if let Some((first, name)) = twice {
            let offset = line - first;
            let before = if offset == 1 { "line".to_owned() } else { format!("{offset} lines") };
            let before = if offset == 0 { "on this line".to_owned() } else { format!("{before} before") };
            self.fault(line, format!("the key {name:?} is given twice, first {before}"));
            self.forget_key(line);
        }
    }

    fn forget_key(&mut self, line: usize) {
        if let Some(Frame { content: Content::Map(mapping), .. }) = self.stack.last_mut() {
            mapping.key = Some((Key::Bad, line));
        }
    }

    fn open(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.stack.len() >= DEPTH_MAX {
            self.fault_at("", line, format!("is nested deeper than {DEPTH_MAX} levels"));
            return Err(Stop);
        }
        self.stack.push(Frame { line, anchor, content });
        Ok(())
    }

    fn close(&mut self) {
        let Some(Frame { line, anchor, content }) = self.stack.pop() else { return };
        let kind = match content {
            Content::Seq(items) => Kind::Seq(items),
            Content::Map(mapping) => Kind::Map(mapping.settle()),
        };
        let inner: Vec<&Node> = match &kind {
            Kind::Seq(items) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().map(|entry| &entry.node).collect(),
            Kind::Scalar(_) => Vec::new(),
        };
        let size = 1 + inner.iter().map(|node| node.size).sum::<usize>();
        let depth = 1 + inner.iter().map(|node| node.depth).max().unwrap_or(0);
        let node = Node { line, kind, size, depth };
        self.note_anchor(anchor, &node);
        self.add(node);
    }

    fn alias(&mut self, id: usize, line: usize) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&id) else {
            self.fault(line, "an alias refers to what contains it".to_owned());
            self.add(Node::scalar(line, Value::Null));
            return Ok(());
        };
        self.expanded += node.size;
        let too_deep = self.stack.len() + node.depth > DEPTH_MAX;
        if too_deep || self.expanded > EXPANSION_MAX {
            let message = format!(
                "aliases add more than {EXPANSION_MAX} values or nest deeper than {DEPTH_MAX} levels"
            );
            self.fault(line, message);
            return Err(Stop);
        }
        // Its lines stay those of the anchor: that is where a wrong value is put right.
        let node = node.clone();
        self.add(node);
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node) {
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.read.roots.push(node),
            Some(Content::Seq(items)) => items.push(node),
            Some(Content::Map(mapping)) => match mapping.key.take() {
                Some((Key::Name(key), line)) => mapping.entries.push(Entry { key, line, node }),
                Some((Key::Merge, line)) => self.merge(node, line),
                Some((Key::Bad, _)) => {}
                None => self.value_as_key(&node),
            },
        }
    }

    /// An alias of a text is a key; a collection is none.
    fn value_as_key(&mut self, node: &Node) {
        if let Kind::Scalar(Value::String(name)) = &node.kind {
            self.key(Key::Name(name.clone()), node.line);
            return;
        }
        self.fault(node.line, "a key is a text, not a list or a mapping".to_owned());
        self.forget_key(node.line);
    }

    fn merge(&mut self, node: Node, line: usize) {
        let sources = match node.kind {
            Kind::Map(_) => vec![node],
            Kind::Seq(items) => items,
            Kind::Scalar(_) => Vec::new(),
        };
        let good = !sources.is_empty() && sources.iter().all(|s| matches!(s.kind, Kind::Map(_)));
        if !good {
            self.fault(line, "<< takes a mapping, or a list of mappings, usually as an alias".to_owned());
            return;
        }
        let Some(Frame { content: Content::Map(mapping), .. }) = self.stack.last_mut() else { return };
        for source in sources {
            if let Kind::Map(entries) = source.kind {
                mapping.merged.extend(entries);
            }
        }
    }
}

impl Mapping {
    /// What is written wins over what is merged, and the first merged over the later ones.
    fn settle(mut self) -> Vec<Entry> {
        for entry in self.merged {
            if !self.seen.contains_key(&entry.key) {
                self.seen.insert(entry.key.clone(), entry.line);
                self.entries.push(entry);
            }
        }
        self.entries
    }
}
