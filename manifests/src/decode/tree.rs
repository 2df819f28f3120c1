//! From parser events to nodes; anchors, merge keys and bounds.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::Value;

use super::frame::{Content, Frame, Key, Mapping};
use super::node::{Entry, Kind, Node};
use super::{DOCUMENT_BYTES_MAX, scalar};

/// Deepest nesting. JSON readers commonly stop at 128.
const DEPTH_MAX: usize = 100;

/// Most nodes that aliases may add to a document: enough for any honest use, and cheap.
const EXPANSION_MAX: usize = 50_000;

/// Something wrong at a line of the file.
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

/// Reads one part of a file, which begins at line `first` of it.
pub(super) fn read(text: &[u8], first: usize) -> Read {
    let mut builder = Builder {
        first,
        ..Builder::default()
    };
    if text.len() > DOCUMENT_BYTES_MAX {
        let most = DOCUMENT_BYTES_MAX >> 20;
        builder.fault(
            first,
            format!("is larger than {most} MiB, the most that is read"),
        );
        return builder.read;
    }
    match std::str::from_utf8(text) {
        Ok(text) => builder.run(text),
        Err(error) => {
            let before = &text[..error.valid_up_to()];
            let line = first + before.iter().filter(|b| **b == b'\n').count();
            builder.fault(line, "is not UTF-8 text".to_owned());
        }
    }
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

/// The parser broke off, or reading on makes no sense.
struct Stop;

#[derive(Default)]
struct Builder {
    /// Line of the file at which the text begins.
    first: usize,
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
                    self.broken(&error);
                    true
                }
            };
            if stop {
                return;
            }
        }
    }

    fn broken(&mut self, error: &ScanError) {
        let (info, column) = (error.info(), error.marker().col() + 1);
        let line = self.line(error.marker().line());
        self.fault_at("", line, format!("is not YAML: {info}, at column {column}"));
    }

    /// The file's line for one of the parser's.
    fn line(&self, line: usize) -> usize {
        self.first + line.saturating_sub(1)
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let line = self.line(span.start.line());
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
                Content::Map(Mapping {
                    key: Some((Key::Name(name), _)),
                    ..
                }) => {
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
        self.read.faults.push(Fault {
            line,
            path,
            message,
            warning: false,
        });
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, own: &str, line: usize) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix() != Some(own)) {
            self.fault(
                line,
                format!("the tag {} means nothing here", tag.original()),
            );
        }
    }

    fn awaits_key(&self) -> bool {
        self.stack
            .last()
            .is_some_and(|frame| matches!(&frame.content, Content::Map(Mapping { key: None, .. })))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) {
        if self.awaits_key() {
            if anchor != 0 {
                self.anchors
                    .insert(anchor, Node::scalar(line, Value::String(text.to_owned())));
            }
            let merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
            self.key(
                if merge {
                    Key::Merge
                } else {
                    Key::Name(text.to_owned())
                },
                line,
            );
            return;
        }
        let plain = style == ScalarStyle::Plain;
        if let Some(message) = scalar::ambiguity(text).filter(|_| plain && tag.is_none()) {
            let path = self.path();
            self.read.faults.push(Fault {
                line,
                path,
                message,
                warning: true,
            });
        }
        let value = scalar::resolve(text, plain, tag).unwrap_or_else(|message| {
            self.fault(line, message);
            Value::Null
        });
        let node = Node::scalar(line, value);
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
        let Some(Frame {
            content: Content::Map(mapping),
            ..
        }) = self.stack.last_mut()
        else {
            return;
        };
        let mut twice = None;
        if let Key::Name(name) = &key {
            twice = mapping.seen.get(name).map(|first| (*first, name.clone()));
            mapping.seen.entry(name.clone()).or_insert(line);
        }
        mapping.key = Some((key, line));
        if let Some((first, name)) = twice {
            self.fault(
                line,
                format!("the key {name:?} is given twice, first on line {first}"),
            );
            self.forget_key(line);
        }
    }

    fn forget_key(&mut self, line: usize) {
        if let Some(Frame {
            content: Content::Map(mapping),
            ..
        }) = self.stack.last_mut()
        {
            mapping.key = Some((Key::Bad, line));
        }
    }

    fn open(&mut self, line: usize, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.stack.len() >= DEPTH_MAX {
            self.fault_at(
                "",
                line,
                format!("is nested deeper than {DEPTH_MAX} levels"),
            );
            return Err(Stop);
        }
        self.stack.push(Frame {
            line,
            anchor,
            content,
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(Frame {
            line,
            anchor,
            content,
        }) = self.stack.pop()
        else {
            return;
        };
        let kind = match content {
            Content::Seq(items) => Kind::Seq(items),
            Content::Map(mapping) => Kind::Map(mapping.settle()),
        };
        let node = Node::new(line, kind);
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
        self.fault(
            node.line,
            "a key is a text, not a list or a mapping".to_owned(),
        );
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
            self.fault(
                line,
                "<< takes a mapping, or a list of mappings, usually as an alias".to_owned(),
            );
            return;
        }
        let Some(Frame {
            content: Content::Map(mapping),
            ..
        }) = self.stack.last_mut()
        else {
            return;
        };
        for source in sources {
            if let Kind::Map(entries) = source.kind {
                mapping.merged.extend(entries);
            }
        }
    }
}
