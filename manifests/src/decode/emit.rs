//! Writing an object as YAML, as `kubectl get -o yaml` does: keys sorted, lists not indented.

use serde_json::{Map, Value};

use super::scalar;

/// The object as YAML, with a final newline. `decode` reads the same object back.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => mapping(fields, 0, &mut out),
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut out),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            out.push_str(&format!("{value}\n"));
        }
        // A block scalar at the root could hold a line `---`.
        Value::String(text) => out.push_str(&format!("{}\n", quoted(text))),
    }
    out
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn mapping(fields: &Map<String, Value>, indent: usize, out: &mut String) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        // The first field of a list's entry stands behind its dash.
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(indent, out);
        }
        out.push_str(&if is_plain(key) {
            key.clone()
        } else {
            quoted(key)
        });
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(inner, indent + 2, out);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(items, indent, out);
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                out.push_str(&format!(" {value}\n"));
            }
            Value::String(text) => {
                out.push(' ');
                string(text, indent + 2, out);
            }
        }
    }
}

fn sequence(items: &[Value], indent: usize, out: &mut String) {
    for (index, value) in items.iter().enumerate() {
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(indent, out);
        }
        out.push_str("- ");
        match value {
            Value::Object(inner) if !inner.is_empty() => mapping(inner, indent + 2, out),
            Value::Array(inner) if !inner.is_empty() => sequence(inner, indent + 2, out),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                out.push_str(&format!("{value}\n"));
            }
            Value::String(text) => string(text, indent + 2, out),
        }
    }
}

fn string(text: &str, indent: usize, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        out.push('\n');
    } else if is_block(text) {
        block(text, indent, out);
    } else {
        out.push_str(&quoted(text));
        out.push('\n');
    }
}

/// What may stand within a plain text beside letters and digits. `#` and `:` are not among them:
/// after or before a space they end the text.
const WITHIN: &str = " -_./+=();,'\"$@%<>!*&~^|?\\";

/// True when the text needs no quotes, whoever reads it, YAML 1.1 included.
fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || WITHIN.contains(c);
    let first = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '.' | '$' | '(');
    // A flag such as `-c` is plain; an entry `- c` and a marker `---` are not.
    let bare = text
        .strip_prefix("--")
        .or_else(|| text.strip_prefix('-'))
        .unwrap_or(text);
    let loose = |(index, c): (usize, char)| match c {
        ':' => text[index + 1..].starts_with(|next: char| next != ' ' && inner(next)),
        other => inner(other),
    };
    bare.starts_with(first)
        && !text.ends_with(' ')
        && text.char_indices().all(loose)
        && !is_taken(text)
}

/// True for what some reader takes for a number, a time, a truth value or nothing.
fn is_taken(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", ".nan", ".inf",
    ];
    let numeric = |c: char| c.is_ascii_hexdigit() || "_:.+-xoTtZz ".contains(c);
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().all(numeric);
    let word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    number || word || !matches!(scalar::plain(text), Ok(Value::String(_)))
}

/// True when a literal block shows the text exactly: several lines, nothing invisible.
fn is_block(text: &str) -> bool {
    let odd = |c: char| c != '\n' && c != '\t' && is_invisible(c);
    let tabbed = text.lines().any(|line| line.starts_with('\t'));
    let body = text.trim_end_matches('\n');
    (body.contains('\n') || text.len() > body.len())
        && !body.is_empty()
        && !text.starts_with([' ', '\n'])
        && !tabbed
        && !text.contains(odd)
        && !text
            .lines()
            .any(|line| line.trim().is_empty() && !line.is_empty())
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

fn block(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    let newlines = text.len() - body.len();
    out.push_str(match newlines {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in body.split('\n') {
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
        out.push('\n');
    }
    out.extend(std::iter::repeat_n('\n', newlines.saturating_sub(1)));
}

/// Between double quotes, everything invisible escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_invisible(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
