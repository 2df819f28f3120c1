//! Which message has which fields. The tables are text, read once: `kinds.txt` for the kinds, in
//! the order of the groups, each line a message with its fields:
//!
//! ```text
//! kind Lease: metadata 1 ObjectMeta, spec 2 LeaseSpec
//! LeaseSpec: holderIdentity 1 string?, acquireTime 3 MicroTime, ...
//! ```
//!
//! `?` marks what JSON writes even when it is empty (pointers, and what has no `omitempty`), `[]` a
//! repeated field, `{}` a map from strings, `<>` a message whose fields JSON writes in place of it.
//! `A|list` is a message that holds an `A` or several, of which JSON writes the one or the list; so are
//! `A|bool` and `A|words`. `-` stands for no fields. Numbers are those of the `generated.proto` files of
//! k8s.io/api, k8s.io/apimachinery and k8s.io/apiextensions-apiserver.

use std::collections::BTreeMap;
use std::sync::OnceLock;

const TEXT: &str = include_str!("kinds.txt");

/// The type of a field, or of an entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// A message that holds JSON: FieldsV1, RawExtension.
    Json,
    /// A message that holds a list of strings: ExtraValue.
    Words,
    /// Another message.
    Message(usize),
    /// A message that holds another one or something else.
    Either(usize, Other),
}

/// What may be there instead of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// Several of it.
    List,
    Bool,
    Words,
}

/// How often a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    Many,
    Map,
    Inline,
}

/// A field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) type_: Type,
    /// JSON says it even when it is empty.
    pub(super) kept: bool,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    fields: Vec<Field>,
}

impl Message {
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

/// All messages.
#[derive(Debug, Default)]
pub(super) struct Tables {
    messages: Vec<Message>,
    /// By apiVersion and kind. A kind of no apiVersion is one of every group.
    kinds: BTreeMap<(&'static str, &'static str), usize>,
}

impl Tables {
    pub(super) fn message(&self, at: usize) -> &Message {
        &self.messages[at]
    }

    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let at = self
            .kinds
            .get(&(api_version, kind))
            .or_else(|| self.kinds.get(&("", kind)))?;
        self.messages.get(*at)
    }
}

/// The tables.
pub(super) fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| parse(TEXT).expect("the tables are constant, and a test reads them"))
}

/// One line of the text: a message by its name, with its fields unread.
struct Line {
    api_version: &'static str,
    name: &'static str,
    is_kind: bool,
    fields: &'static str,
}

/// Reads the text; the error is the word that cannot be read.
fn parse(text: &'static str) -> Result<Tables, &'static str> {
    let lines = lines(text)?;
    let mut names = BTreeMap::new();
    let mut tables = Tables::default();
    for (at, line) in lines.iter().enumerate() {
        names.insert(line.name, at);
        if line.is_kind {
            tables.kinds.insert((line.api_version, line.name), at);
        }
    }
    for line in &lines {
        let words = line.fields.split(", ").filter(|word| *word != "-");
        let fields = words.map(|word| field(word, &names));
        let fields = fields.collect::<Result<_, _>>()?;
        tables.messages.push(Message { fields });
    }
    Ok(tables)
}

fn lines(text: &'static str) -> Result<Vec<Line>, &'static str> {
    let mut api_version = "";
    let mut lines = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(version) = line.strip_prefix("api ") {
            api_version = version;
            continue;
        }
        let (head, fields) = line.split_once(": ").ok_or(line)?;
        let kind = head.strip_prefix("kind ");
        lines.push(Line {
            api_version,
            name: kind.unwrap_or(head),
            is_kind: kind.is_some(),
            fields,
        });
    }
    Ok(lines)
}

/// `name number type`, the type with its marks.
fn field(word: &'static str, names: &BTreeMap<&'static str, usize>) -> Result<Field, &'static str> {
    let mut parts = word.split(' ');
    let (Some(name), Some(number), Some(type_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(word);
    };
    const SHAPES: [(&str, Shape); 3] = [
        ("[]", Shape::Many),
        ("{}", Shape::Map),
        ("<>", Shape::Inline),
    ];
    let marked = SHAPES
        .iter()
        .find_map(|(mark, shape)| Some((type_.strip_prefix(mark)?, *shape)));
    let (plain, shape) = marked.unwrap_or((type_, Shape::One));
    let (plain, kept) = match plain.strip_suffix('?') {
        Some(plain) => (plain, true),
        None => (plain, false),
    };
    Ok(Field {
        number: number.parse().map_err(|_not_a_number| word)?,
        name,
        shape,
        type_: type_of(plain)
            .or_else(|| message_of(plain, names))
            .ok_or(word)?,
        kept,
    })
}

fn type_of(word: &str) -> Option<Type> {
    Some(match word {
        "string" => Type::Text,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "Time" => Type::Time,
        "MicroTime" => Type::MicroTime,
        "Quantity" => Type::Quantity,
        "IntOrString" => Type::IntOrString,
        "Json" => Type::Json,
        "Words" => Type::Words,
        _ => return None,
    })
}

fn message_of(word: &str, names: &BTreeMap<&'static str, usize>) -> Option<Type> {
    let Some((name, other)) = word.split_once('|') else {
        return Some(Type::Message(*names.get(word)?));
    };
    let other = match other {
        "list" => Other::List,
        "bool" => Other::Bool,
        "words" => Other::Words,
        _ => return None,
    };
    Some(Type::Either(*names.get(name)?, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_whole() {
        let tables = parse(TEXT).unwrap();
        assert!(tables.kinds.len() > 25, "{:?}", tables.kinds.keys());
        for message in &tables.messages {
            let mut numbers: Vec<u32> = message.fields.iter().map(|f| f.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), message.fields.len(), "{message:?}");
        }
        for ((api_version, kind), at) in &tables.kinds {
            let first = tables.message(*at).field(1).unwrap();
            assert!(
                first.name == "metadata" || *kind == "DeleteOptions",
                "{api_version} {kind}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, word) in [
            ("Nonsense", "Nonsense"),
            ("A: b", "b"),
            ("A: b x string", "b x string"),
            ("A: b 1 Nothing", "b 1 Nothing"),
            ("A: b 1 A|none", "b 1 A|none"),
            ("A: b 1 B|list", "b 1 B|list"),
            ("A: b 1 string, c 2 string x", "c 2 string x"),
        ] {
            assert_eq!(parse(text).unwrap_err(), word);
        }
    }
}
