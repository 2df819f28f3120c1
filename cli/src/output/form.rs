//! The forms of `-o`: which there are, and how an object looks in them.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::path::Template;

/// How objects are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The server's columns, those of low priority too.
    Wide,
    /// YAML.
    Yaml,
    /// Indented JSON.
    Json,
    /// `kind.group/name`.
    Name,
    /// What a template finds.
    Path(Template),
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(template) = text.strip_prefix("jsonpath=") {
            return Template::parse(template).map(Self::Path);
        }
        match text {
            "wide" => Ok(Self::Wide),
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "name" => Ok(Self::Name),
            _ => Err("use wide, yaml, json, name or jsonpath=TEMPLATE".to_owned()),
        }
    }
}

impl Form {
    /// Prints an object. A template says itself where its lines end.
    pub(crate) fn print(&self, object: &Value, label: &str) -> Outcome {
        let text = self.render(object, label);
        match self {
            Self::Path(_) => super::raw(text.as_bytes()),
            Self::Wide | Self::Yaml | Self::Json | Self::Name => super::line(&text),
        }
    }

    /// One object, or a List, as text without a closing newline. `label` is `kind.group`.
    pub(crate) fn render(&self, object: &Value, label: &str) -> String {
        match self {
            Self::Yaml => manifests::decode::to_yaml(object).trim_end().to_owned(),
            Self::Json => serde_json::to_string_pretty(object).unwrap_or_default(),
            Self::Path(template) => template.render(object),
            Self::Name | Self::Wide => {
                format!(
                    "{label}/{}",
                    object["metadata"]["name"].as_str().unwrap_or_default()
                )
            }
        }
    }
}

/// A `v1` List of objects.
pub(crate) fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_parsed_and_rendered() {
        let object = json!({"metadata": {"name": "x"}});
        let render = |form: &str| {
            form.parse::<Form>()
                .unwrap()
                .render(&object, "task.stoa.dev")
        };
        assert_eq!(render("name"), "task.stoa.dev/x");
        assert_eq!(render("jsonpath={.metadata.name}"), "x");
        assert!(render("json").contains("\"name\": \"x\""));
        assert!("xml".parse::<Form>().is_err());
    }
}
