//! Names of fields that are no CEL identifiers (`apiserver/pkg/cel/escaping.go`).

use std::borrow::Cow;

/// Words that a field's name must not be.
const KEYWORDS: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

const SIGNS: [(&str, char); 4] = [
    ("dot", '.'),
    ("dash", '-'),
    ("slash", '/'),
    ("underscores", '_'),
];

/// The name in JSON of what an expression writes. Without escapes, it is the same.
pub(crate) fn unescape(name: &str) -> Cow<'_, str> {
    if !name.contains("__") {
        return Cow::Borrowed(name);
    }
    let inner = name.strip_prefix("__").and_then(|n| n.strip_suffix("__"));
    if let Some(word) = inner.filter(|inner| KEYWORDS.contains(inner)) {
        return Cow::Borrowed(word);
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find("__") {
        out.push_str(&rest[..start]);
        let tail = &rest[start + 2..];
        let known = SIGNS.iter().find_map(|(word, sign)| {
            let after = tail.strip_prefix(word)?.strip_prefix("__")?;
            Some((*sign, after))
        });
        let Some((sign, after)) = known else {
            return Cow::Borrowed(name);
        };
        if sign == '_' {
            out.push_str("__");
        } else {
            out.push(sign);
        }
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (written, name) in [
            ("a", "a"),
            ("a__dot__b__dash__c__slash__d", "a.b-c/d"),
            ("a__underscores__b", "a__b"),
            ("__in__", "in"),
            ("__namespace__", "namespace"),
            ("__odd__x", "__odd__x"),
        ] {
            assert_eq!(unescape(written), name);
        }
    }
}
