//! Paths within a schema, of selectable fields and of rules (`ValidFieldPath`).

use serde_json::Value;

use crate::cel::entries;

/// The schema a path leads to, and the path in plain words.
///
/// # Errors
/// What is wrong with it.
pub(super) fn resolve<'s>(
    schema: &'s Value,
    path: &str,
    brackets: bool,
) -> Result<&'s Value, String> {
    let mut here = schema;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            if end == 0 {
                return Err("unexpected end of JSON path".to_owned());
            }
            (after[..end].to_owned(), &after[end..])
        } else if let Some(after) = rest.strip_prefix('[') {
            if !brackets {
                return Err("array notation is not allowed".to_owned());
            }
            quoted(after)?
        } else {
            let mut later = rest.char_indices().skip(1);
            let end = later.find(|(_, c)| matches!(c, '.' | '[' | ']'));
            let end = end.map_or(rest.len(), |(at, _)| at);
            return Err(format!("expected [ or . but got: {}", &rest[..end]));
        };
        here = step(here, &name)?;
        rest = after;
    }
    Ok(here)
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let body = text.strip_prefix('\'').ok_or_else(|| {
        let end = text.find(']').unwrap_or(text.len());
        format!("expected single quoted string but got {}", &text[..end])
    })?;
    let mut name = String::new();
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '\'' if !escaped => {
                let after = body[at + 1..].strip_prefix(']');
                let after = after.ok_or_else(|| "unexpected end of JSON path".to_owned())?;
                return Ok((name, after));
            }
            other => {
                name.push(other);
                escaped = false;
            }
        }
    }
    Err("unexpected end of JSON path".to_owned())
}

fn step<'s>(schema: &'s Value, name: &str) -> Result<&'s Value, String> {
    let found = match schema.get("properties").and_then(Value::as_object) {
        Some(fields) => fields.get(name),
        None => entries(schema),
    };
    found.ok_or_else(|| "does not refer to a valid field".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let schema = json!({"properties": {"spec": {"properties": {
            "a": {"type": "string"}, "m": {"additionalProperties": {"type": "integer"}}}}}});
        assert_eq!(
            resolve(&schema, ".spec.a", false).unwrap()["type"],
            "string"
        );
        assert_eq!(
            resolve(&schema, ".spec.m['x.y']", true).unwrap()["type"],
            "integer"
        );
        for (path, text) in [
            ("spec", "expected [ or . but got: spec"),
            ("\u{5cc}pec.a", "expected [ or . but got: \u{5cc}pec"),
            ("]spec", "expected [ or . but got: ]spec"),
            (".spec.", "unexpected end of JSON path"),
            (".spec.b", "does not refer to a valid field"),
            (".spec.a.b", "does not refer to a valid field"),
            (".spec.m['x']", "array notation is not allowed"),
        ] {
            assert_eq!(resolve(&schema, path, false).unwrap_err(), text, "{path}");
        }
    }
}
