//! Cutting a file into documents at its `---` lines.

use serde_json::Value;

/// One document's bytes.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Number in the file, from 1.
    pub(super) index: usize,
    /// Line of the file at which `text` begins, from 1.
    pub(super) line: usize,
    /// From its `---` line, if it has one, to the next.
    pub(super) text: &'a [u8],
}

/// The documents of a file. What precedes the first `---` is one only if it holds anything.
pub(super) fn split(text: &[u8]) -> Vec<Part<'_>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut parts: Vec<Part<'_>> = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        if is_marker(line) && !only_directives(&text[start..at]) {
            parts.push(Part {
                index: 0,
                line: start_line,
                text: &text[start..at],
            });
            (start, start_line) = (at, number + 1);
        }
        at += line.len();
    }
    parts.push(Part {
        index: 0,
        line: start_line,
        text: &text[start..],
    });
    parts.retain(|part| holds_anything(part.text));
    for (index, part) in parts.iter_mut().enumerate() {
        part.index = index + 1;
    }
    parts
}

fn is_marker(line: &[u8]) -> bool {
    line.strip_prefix(b"---")
        .is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// `%YAML 1.2` belongs to the document that the next `---` begins.
fn only_directives(text: &[u8]) -> bool {
    let mut lines = lines(text).peekable();
    lines.peek().is_some() && lines.all(|line| line.starts_with(b"%"))
}

/// False for nothing but blank lines, comments and markers; such a part does not count.
fn holds_anything(text: &[u8]) -> bool {
    lines(text).any(|line| line != b"---" && line != b"...")
}

/// Lines without comments, blank ones left out.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bare = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    bare.filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// JSON objects one after the other, as `kubectl get -o json` of several calls gives; `None` for
/// anything else, a single object included: YAML reads that too, and knows the lines.
pub(super) fn json_stream(text: &[u8]) -> Option<Vec<(usize, usize, Value)>> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let mut stream = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let (mut found, mut offset) = (Vec::new(), 0);
    while let Some(next) = stream.next() {
        let space = text[offset..].len() - text[offset..].trim_ascii_start().len();
        let line = 1 + text[..offset + space]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        found.push((found.len() + 1, line, next.ok()?));
        offset = stream.byte_offset();
    }
    (found.len() > 1).then_some(found)
}
