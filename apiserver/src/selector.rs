//! Label and field selectors: Kubernetes' grammar, and matching against objects.

pub mod field;

pub mod label;

pub mod shelf;

use serde_json::Value;

use crate::registry::Descriptor;
use crate::status::Failure;

/// What a list or watch selects. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Requirements on labels; all must hold.
    pub labels: Vec<label::Requirement>,
    /// Requirements on fields; all must hold.
    pub fields: Vec<field::Requirement>,
}

impl Selector {
    /// Parses both selectors of a request.
    ///
    /// # Errors
    /// 400 with Kubernetes' text when one does not parse or names a field that is not selectable.
    pub fn parse(labels: &str, fields: &str, resource: &Descriptor) -> Result<Self, Failure> {
        Ok(Self {
            labels: label::parse(labels)?,
            fields: field::parse(fields, resource)?,
        })
    }

    /// True when nothing is filtered.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// True when the object is selected.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        let labels = object
            .pointer("/metadata/labels")
            .and_then(Value::as_object);
        self.labels
            .iter()
            .all(|requirement| requirement.holds(labels))
            && self
                .fields
                .iter()
                .all(|requirement| requirement.holds(object))
    }

    /// The value a field must have, if the selector asks for exactly one.
    #[must_use]
    pub fn exact_field(&self, path: &str) -> Option<&str> {
        self.fields
            .iter()
            .find_map(|r| (r.equal && r.path == path).then_some(r.value.as_str()))
    }

    /// The field, name and namespace aside, that must have exactly one value, and that value: what
    /// watchers and lists are filed by.
    #[must_use]
    pub fn narrowest(&self) -> Option<(&str, &str)> {
        let exact = self.fields.iter().filter(|field| field.equal);
        let mut content = exact.filter(|field| !field.path.starts_with("metadata."));
        content
            .next()
            .map(|field| (field.path.as_str(), field.value.as_str()))
    }

    /// False only if the object surely does not match, judged by a search in its text. Spares
    /// parsing most objects of a selective list.
    #[must_use]
    pub fn may_match(&self, text: &[u8]) -> bool {
        let fields = self
            .fields
            .iter()
            .filter(|r| r.equal)
            .map(|r| r.value.as_str());
        let labels = self.labels.iter().filter_map(label::Requirement::exact);
        fields.chain(labels).all(|value| is_within(value, text))
    }
}

/// True unless the quoted word is surely absent. Words that JSON would escape are not searched for,
/// nor those that a number or boolean might spell.
fn is_within(word: &str, text: &[u8]) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'/');
    let literal = matches!(word, "" | "true" | "false") || word.parse::<f64>().is_ok();
    if literal || !word.bytes().all(plain) {
        return true;
    }
    let quoted = format!("\"{word}\"");
    let needle = quoted.as_bytes();
    text.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_search_never_excludes_a_match() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "b"}},
                            "spec": {"agent": "a1", "n": 5, "ok": true}});
        let text = object.to_string();
        let resource = Descriptor {
            selectable: ["spec.agent", "spec.n", "spec.ok"].map(String::from).into(),
            ..Descriptor::default()
        };
        for (labels, fields, matches, may) in [
            ("", "spec.agent=a1", true, true),
            ("", "spec.agent=a2", false, false),
            ("", "spec.agent!=a2", true, true),
            ("", "spec.n=5", true, true),
            ("", "spec.ok=true", true, true),
            ("a=b", "", true, true),
            ("a=c", "", false, false),
            ("a", "", true, true),
            ("a notin (c)", "metadata.name=x", true, true),
        ] {
            let selector = Selector::parse(labels, fields, &resource).unwrap();
            assert_eq!(selector.matches(&object), matches, "{labels} {fields}");
            assert_eq!(
                selector.may_match(text.as_bytes()),
                may,
                "{labels} {fields}"
            );
        }
    }
}
